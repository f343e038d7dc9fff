#pragma once

#include <cstdint>
#include <string_view>

#include <kerncast/ops/norm/qk_norm.hpp>

namespace kerncast::norm {

/// The elements of a head that turn together.
enum class RopeStyle : std::uint8_t {
  neox,         ///< i and i + rotary_dim / 2 (Llama, Qwen3, GLM-4.5)
  interleaved,  ///< 2i and 2i + 1 (GPT-J, FLUX.1, Qwen-Image)
};

/// QkNorm, then rotary position embedding (Su et al. 2021, arXiv:2104.09864) of the first rotary_dim elements
/// of each q and k head: a pair (a, b) becomes (a * cos - b * sin, b * cos + a * sin). Launch with
/// kerncast::launch or prepare, which say what is asynchronous and what must live how long. Aliasing: no
/// tensor overlaps qkv. Either cos_sin is given or inv_freq, from which the kernel computes what a table
/// would hold: cos(position * inv_freq[i]) * attention_factor and the sine likewise, each right to 2^-22
/// times the factor. That saves a load that waits for another one. Frequencies scaled as YaRN has it (Peng et
/// al. 2023, arXiv:2309.00071) or by another rule are passed as they are.
struct QkNormRope {
  static constexpr std::string_view op_name = "norm.qk_norm_rope";

  QkNorm norm;
  /// [max_position, rotary_dim], f32: rotary_dim / 2 cosines, then as many sines; rotary_dim is even, from 2
  /// to D; rows may be strided
  TensorView cos_sin;
  /// one per token, contiguous, i32 or i64; a token whose position is outside of the table is normalised
  /// only, and with inv_freq one whose position is below 0 or above 2^22 - 1
  TensorView positions;
  RopeStyle style = RopeStyle::neox;
  TensorView inv_freq = {};    ///< [rotary_dim / 2], f32, contiguous, of magnitude 1 or less
  float attention_factor = 1;  ///< finite; with inv_freq alone
};

/// Checks the arguments and makes the call. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call bind(const QkNormRope& arguments);

}  // namespace kerncast::norm
