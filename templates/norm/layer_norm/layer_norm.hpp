#pragma once

#include <string_view>

#include "kerncast/export.hpp"
#include "kerncast/launch.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::norm {

/// Layer normalisation (Ba, Kiros and Hinton 2016, arXiv:1607.06450):
/// y = (x - mean(x)) * rsqrt(mean((x - mean(x))^2) + eps) * weight + bias, per row.
/// Launch with kerncast::launch or prepare, which say what is asynchronous and what must live how long.
/// Aliasing: y may be x itself.
struct LayerNorm {
  static constexpr std::string_view op_name = "norm.layer_norm";

  TensorView x;            ///< [..., H], H from 1 to 65536; bf16, f16 or f32; rows may be strided
  TensorView weight = {};  ///< [H]; bf16, f16 or f32; absent: no multiplication
  TensorView bias = {};    ///< [H]; of weight's type where there is one; absent: no addition
  TensorView y;            ///< shape of x; bf16, f16 or f32; may be x itself
  float eps = 1e-6F;       ///< not negative
};

/// Checks the arguments and makes the call. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call bind(const LayerNorm& arguments);

}  // namespace kerncast::norm
