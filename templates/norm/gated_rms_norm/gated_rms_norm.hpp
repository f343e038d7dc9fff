#pragma once

#include <string_view>

#include <kerncast/ops/norm/norm_gate.h>
#include "kerncast/export.hpp"
#include "kerncast/launch.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::norm {

/// Root-mean-square normalisation with a gate: y = x * rsqrt(mean(x^2) + eps) * (weight + weight_offset) *
/// gate(z), per row; gate is silu (Gated DeltaNet, Yang, Kautz and Hatamizadeh 2024, arXiv:2412.06464) or
/// sigmoid (Kimi Linear, 2025, arXiv:2510.26692; FusedRMSNormGated of flash-linear-attention,
/// fla/modules/fused_norm_gate.py).
/// Launch with kerncast::launch or prepare, which say what is asynchronous and what must live how long.
/// Aliasing: y may be x or z itself.
struct GatedRmsNorm {
  static constexpr std::string_view op_name = "norm.gated_rms_norm";

  TensorView x;                ///< [..., H], H from 1 to 65536; bf16, f16 or f32; rows may be strided
  TensorView z;                ///< shape of x; bf16, f16 or f32; rows may be strided
  TensorView weight = {};      ///< [H]; bf16, f16 or f32; absent: no multiplication
  TensorView y;                ///< shape of x; bf16, f16 or f32; may be x or z itself
  float eps = 1e-6F;           ///< not negative
  float weight_offset = 0.0F;  ///< added to the weight
  /// Round x * rsqrt(...) to x's dtype before the weight, and its product with a weight of that dtype too
  /// before the gate: Qwen3NextRMSNormGated of transformers.
  bool hf_rounding = false;
  NormGate gate = NormGate::silu;
};

/// Checks the arguments and makes the call. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call bind(const GatedRmsNorm& arguments);

}  // namespace kerncast::norm
