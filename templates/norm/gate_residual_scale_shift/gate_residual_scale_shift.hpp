#pragma once

#include <string_view>

#include <kerncast/ops/norm/scale_shift.hpp>

namespace kerncast::norm {

/// A gated residual connection, then adaptive layer normalisation (Peebles and Xie 2022, arXiv:2212.09748):
/// r = residual + gate * x; y = (norm(r) * weight + bias) * (1 + scale) + shift, per row, of r as f32 holds
/// it, before it is rounded to its dtype. With aten_rounding it is r as stored, and gate * x is rounded too:
/// FluxTransformerBlock, QwenImageTransformerBlock and WanTransformerBlock of diffusers, the kernel of
/// sglang's jit/csrc/diffusion/flux2_gated_resnorm.cuh. gate is spread over the rows as scale and shift are.
/// Each of the three may be absent, and is then left out of the formula. Launch with kerncast::launch or
/// prepare, which say what is asynchronous and what must live how long. Aliasing: y may be x itself and r may
/// be residual itself; r and y may not be the same memory.
struct GateResidualScaleShift {
  static constexpr std::string_view op_name = "norm.gate_residual_scale_shift";

  ScaleShift norm;       ///< scale and shift may be absent
  TensorView residual;   ///< shape of x; bf16, f16 or f32; rows may be strided
  TensorView gate = {};  ///< scale's dtype; may be absent
  TensorView r;          ///< shape of x, residual's dtype; may be residual itself
};

/// Checks the arguments and makes the call. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call bind(const GateResidualScaleShift& arguments);

}  // namespace kerncast::norm
