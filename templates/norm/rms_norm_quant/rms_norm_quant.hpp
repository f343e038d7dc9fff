#pragma once

#include <kerncast/ops/norm/quantised_norm.hpp>
#include "kerncast/export.hpp"
#include "kerncast/op.hpp"
#include "kerncast/runtime.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::norm {

/// rms_norm whose result is quantised before it is rounded to anything else, and optionally stored as it is.
struct RmsNormQuant {
  TensorView x;            ///< [..., H], H from 1 to 65536; bf16, f16 or f32; rows may be strided
  TensorView weight = {};  ///< [H]; bf16, f16 or f32; absent: no multiplication
  TensorView y = {};       ///< shape of x; bf16, f16 or f32; may be x itself; absent: not wanted
  Quantised out;
  float eps = 1e-6F;           ///< not negative
  float weight_offset = 0.0F;  ///< 1 for Gemma
};

/// The op's definition in the registry.
[[nodiscard]] KERNCAST_API const OpDefinition& rms_norm_quant_op();

/// Checks the arguments. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call rms_norm_quant_call(const RmsNormQuant& arguments);

/// Launches on `stream`. No rows: success without a launch. Throws Error.
KERNCAST_API void rms_norm_quant(Runtime& runtime, const RmsNormQuant& arguments, Stream stream);

/// Resolves the kernel and binds the arguments for repeated launches.
[[nodiscard]] KERNCAST_API PreparedLaunch prepare_rms_norm_quant(Runtime& runtime,
                                                                 const RmsNormQuant& arguments);

}  // namespace kerncast::norm
