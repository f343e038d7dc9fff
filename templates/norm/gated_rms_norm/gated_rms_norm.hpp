#pragma once

#include <string_view>

#include "kerncast/export.hpp"
#include "kerncast/launch.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::norm {

/// Root-mean-square normalisation with a gate (Gated DeltaNet, Yang, Kautz and Hatamizadeh 2024,
/// arXiv:2412.06464): y = x * rsqrt(mean(x^2) + eps) * (weight + weight_offset) * silu(z), per row.
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
};

/// Checks the arguments and makes the call. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call bind(const GatedRmsNorm& arguments);

}  // namespace kerncast::norm
