#pragma once

#include "kerncast/export.hpp"
#include "kerncast/op.hpp"
#include "kerncast/runtime.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::norm {

/// Every q and k head x of a packed qkv becomes x * rsqrt(mean(x^2) + eps) * weight, in place; the v heads
/// are neither read nor written.
struct QkNorm {
  /// [..., q_heads + 2 * kv_heads, D], D from 1 to 1024; bf16, f16 or f32; tokens and heads may be strided
  TensorView qkv;
  TensorView q_weight;       ///< [D]; bf16, f16 or f32
  TensorView k_weight;       ///< [D], q_weight's dtype
  int q_heads = 0;           ///< from 1 to 1024
  int kv_heads = 0;          ///< from 1 to 1024
  float eps = 1e-6F;         ///< not negative
  bool unit_offset = false;  ///< multiply by weight + 1, as Gemma does
};

/// The op's definition in the registry.
[[nodiscard]] KERNCAST_API const OpDefinition& qk_norm_op();

/// Checks the arguments. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call qk_norm_call(const QkNorm& arguments);

/// Launches on `stream`. No tokens: success without a launch. Throws Error.
KERNCAST_API void qk_norm(Runtime& runtime, const QkNorm& arguments, Stream stream);

/// Resolves the kernel and binds the arguments for repeated launches.
[[nodiscard]] KERNCAST_API PreparedLaunch prepare_qk_norm(Runtime& runtime, const QkNorm& arguments);

}  // namespace kerncast::norm
