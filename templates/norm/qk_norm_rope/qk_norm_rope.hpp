#pragma once

#include <cstdint>

#include <kerncast/ops/norm/qk_norm.hpp>

namespace kerncast::norm {

/// Which elements of a head turn together.
enum class RopeStyle : std::uint8_t {
  neox,         ///< i and i + rotary_dim / 2 (Llama, Qwen3, GLM-4.5)
  interleaved,  ///< 2i and 2i + 1 (GPT-J, FLUX.1, Qwen-Image)
};

/// QkNorm, then rotary position embedding of the first rotary_dim elements of each q and k head: a pair (a,
/// b) becomes (a * cos - b * sin, b * cos + a * sin).
struct QkNormRope {
  QkNorm norm;
  /// [max_position, rotary_dim], f32: rotary_dim / 2 cosines, then as many sines; rotary_dim is even, from 2
  /// to D; rows may be strided
  TensorView cos_sin;
  /// one per token, contiguous, i32 or i64; a token whose position is outside of the table is normalised only
  TensorView positions;
  RopeStyle style = RopeStyle::neox;
};

/// The op's definition in the registry.
[[nodiscard]] KERNCAST_API const OpDefinition& qk_norm_rope_op();

/// Checks the arguments. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call qk_norm_rope_call(const QkNormRope& arguments);

/// Launches on `stream`. No tokens: success without a launch. Throws Error.
KERNCAST_API void qk_norm_rope(Runtime& runtime, const QkNormRope& arguments, Stream stream);

/// Resolves the kernel and binds the arguments for repeated launches.
[[nodiscard]] KERNCAST_API PreparedLaunch prepare_qk_norm_rope(Runtime& runtime, const QkNormRope& arguments);

}  // namespace kerncast::norm
