#pragma once

#include <kerncast/ops/norm/quantised_norm.hpp>
#include "kerncast/export.hpp"
#include "kerncast/op.hpp"
#include "kerncast/runtime.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::norm {

/// fused_add_rms_norm whose result is quantised before it is rounded to anything else, and optionally stored
/// as it is.
struct FusedAddRmsNormQuant {
  TensorView x;            ///< [..., H], H from 1 to 65536; bf16, f16 or f32; rows may be strided
  TensorView residual;     ///< shape of x; bf16, f16 or f32; x + residual on return
  TensorView weight = {};  ///< [H]; bf16, f16 or f32; absent: no multiplication
  TensorView y = {};  ///< shape of x; bf16, f16 or f32; may be x itself, but not residual; absent: not wanted
  Quantised out;
  float eps = 1e-6F;           ///< not negative
  float weight_offset = 0.0F;  ///< 1 for Gemma
};

/// The op's definition in the registry.
[[nodiscard]] KERNCAST_API const OpDefinition& fused_add_rms_norm_quant_op();

/// Checks the arguments. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call fused_add_rms_norm_quant_call(const FusedAddRmsNormQuant& arguments);

/// Launches on `stream`. No rows: success without a launch. Throws Error.
KERNCAST_API void fused_add_rms_norm_quant(Runtime& runtime, const FusedAddRmsNormQuant& arguments,
                                           Stream stream);

/// Resolves the kernel and binds the arguments for repeated launches.
[[nodiscard]] KERNCAST_API PreparedLaunch
prepare_fused_add_rms_norm_quant(Runtime& runtime, const FusedAddRmsNormQuant& arguments);

}  // namespace kerncast::norm
