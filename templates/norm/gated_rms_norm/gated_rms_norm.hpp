#pragma once

#include "kerncast/export.hpp"
#include "kerncast/op.hpp"
#include "kerncast/runtime.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::norm {

/// y = x * rsqrt(mean(x^2) + eps) * (weight + weight_offset) * silu(z), per row.
struct GatedRmsNorm {
  TensorView x;                ///< [..., H], H from 1 to 65536; bf16, f16 or f32; rows may be strided
  TensorView z;                ///< shape of x; bf16, f16 or f32; rows may be strided
  TensorView weight;           ///< [H]; bf16, f16 or f32; absent: no multiplication
  TensorView y;                ///< shape of x; bf16, f16 or f32; may be x or z itself
  float eps = 1e-6F;           ///< not negative
  float weight_offset = 0.0F;  ///< added to the weight
  bool hf_rounding = false;    ///< round x * rsqrt(...) to x's dtype before the weight
};

/// The op's definition in the registry.
[[nodiscard]] KERNCAST_API const OpDefinition& gated_rms_norm_op();

/// Checks the arguments. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call gated_rms_norm_call(const GatedRmsNorm& arguments);

/// Launches on `stream`. No rows: success without a launch. Throws Error.
KERNCAST_API void gated_rms_norm(Runtime& runtime, const GatedRmsNorm& arguments, Stream stream);

/// Resolves the kernel and binds the arguments for repeated launches.
[[nodiscard]] KERNCAST_API PreparedLaunch prepare_gated_rms_norm(Runtime& runtime,
                                                                 const GatedRmsNorm& arguments);

}  // namespace kerncast::norm
