#pragma once

#include <kerncast/ops/norm/scale_shift.hpp>

namespace kerncast::norm {

/// r = residual + gate * x; y = (norm(r) * weight + bias) * (1 + scale) + shift, per row, of r as f32
/// holds it, before it is rounded to its type. gate is spread over the rows as scale and shift are; what is
/// absent of the three is left out.
struct GateResidualScaleShift {
  ScaleShift norm;      ///< scale and shift may be absent
  TensorView residual;  ///< shape of x; bf16, f16 or f32; rows may be strided
  TensorView gate;      ///< scale's dtype; may be absent
  TensorView r;         ///< shape of x, residual's dtype; may be residual itself
};

/// The op's definition in the registry.
[[nodiscard]] KERNCAST_API const OpDefinition& gate_residual_scale_shift_op();

/// Checks the arguments. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call gate_residual_scale_shift_call(const GateResidualScaleShift& arguments);

/// Launches on `stream`. No rows: success without a launch. Throws Error.
KERNCAST_API void gate_residual_scale_shift(Runtime& runtime, const GateResidualScaleShift& arguments,
                                            Stream stream);

/// Resolves the kernel and binds the arguments for repeated launches.
[[nodiscard]] KERNCAST_API PreparedLaunch
prepare_gate_residual_scale_shift(Runtime& runtime, const GateResidualScaleShift& arguments);

}  // namespace kerncast::norm
