#pragma once

#include "kerncast/export.hpp"
#include "kerncast/op.hpp"
#include "kerncast/runtime.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::norm {

/// r = x + residual, stored over residual; y = r * rsqrt(mean(r^2) + eps) * (weight + weight_offset), per
/// row, from r as it was before it was rounded to residual's type.
struct FusedAddRmsNorm {
  TensorView x;                ///< [..., H], H from 1 to 65536; bf16, f16 or f32; rows may be strided
  TensorView residual;         ///< shape of x; bf16, f16 or f32; x + residual on return
  TensorView weight;           ///< [H]; bf16, f16 or f32; absent: no multiplication
  TensorView y;                ///< shape of x; bf16, f16 or f32; may be x itself, but not residual
  float eps = 1e-6F;           ///< not negative
  float weight_offset = 0.0F;  ///< 1 for Gemma
  bool hf_rounding = false;    ///< round r * rsqrt(...) to x's dtype before the weight
};

/// The op's definition in the registry.
[[nodiscard]] KERNCAST_API const OpDefinition& fused_add_rms_norm_op();

/// Checks the arguments. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call fused_add_rms_norm_call(const FusedAddRmsNorm& arguments);

/// Launches on `stream`. No rows: success without a launch. Throws Error.
KERNCAST_API void fused_add_rms_norm(Runtime& runtime, const FusedAddRmsNorm& arguments, Stream stream);

/// Resolves the kernel and binds the arguments for repeated launches.
[[nodiscard]] KERNCAST_API PreparedLaunch prepare_fused_add_rms_norm(Runtime& runtime,
                                                                     const FusedAddRmsNorm& arguments);

}  // namespace kerncast::norm
