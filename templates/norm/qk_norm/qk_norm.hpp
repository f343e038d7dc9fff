#pragma once

#include <string_view>

#include "kerncast/export.hpp"
#include "kerncast/launch.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::norm {

/// Root-mean-square normalisation of q and k heads (Henry et al. 2020, arXiv:2010.04245; Qwen3 technical
/// report): every q and k head x of a packed qkv becomes x * rsqrt(mean(x^2) + eps) * weight, in place. The v
/// heads are neither read nor written. Launch with kerncast::launch or prepare, which say what is
/// asynchronous and what must live how long. Aliasing: the weights may be one tensor, but overlap qkv
/// nowhere.
struct QkNorm {
  static constexpr std::string_view op_name = "norm.qk_norm";

  /// [..., q_heads + 2 * kv_heads, D], D from 1 to 1024; bf16, f16 or f32; tokens and heads may be strided
  TensorView qkv;
  TensorView q_weight;       ///< [D]; bf16, f16 or f32
  TensorView k_weight;       ///< [D], q_weight's dtype
  int q_heads = 0;           ///< from 1 to 1024
  int kv_heads = 0;          ///< from 1 to 1024
  float eps = 1e-6F;         ///< not negative
  bool unit_offset = false;  ///< multiply by weight + 1, as Gemma does
};

/// Checks the arguments and makes the call. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call bind(const QkNorm& arguments);

}  // namespace kerncast::norm
