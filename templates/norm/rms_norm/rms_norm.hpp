#pragma once

#include <string_view>

#include "kerncast/export.hpp"
#include "kerncast/launch.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::norm {

/// Root-mean-square normalisation (Zhang and Sennrich 2019, arXiv:1910.07467):
/// y = x * rsqrt(mean(x^2) + eps) * (weight + weight_offset), per row, in f32, rounded once.
/// Launch with kerncast::launch or prepare, which say what is asynchronous and what must live how long.
/// Aliasing: y may be x itself; no other tensor may overlap y.
struct RmsNorm {
  static constexpr std::string_view op_name = "norm.rms_norm";

  TensorView x;                ///< [..., H], H from 1 to 65536; bf16, f16 or f32; rows may be strided
  TensorView weight = {};      ///< [H]; bf16, f16 or f32; absent: no multiplication
  TensorView y;                ///< shape of x; bf16, f16 or f32; rows may be strided
  float eps = 1e-6F;           ///< not negative
  float weight_offset = 0.0F;  ///< 1 for Gemma
  /// Round x * rsqrt(...) to x's dtype before the weight, as Hugging Face's Llama does.
  bool hf_rounding = false;
};

/// Checks the arguments and makes the call. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call bind(const RmsNorm& arguments);

}  // namespace kerncast::norm
