#pragma once

#include "kerncast/launch.hpp"

namespace kerncast::norm {

/// y = x * rsqrt(sum(x^2) + eps), per row, in f32, rounded once: l2norm of flash-linear-attention
/// (fla/modules/l2norm.py). y may be x itself. Asynchrony and lifetime are those of kerncast::launch.
struct L2Norm {
  static constexpr std::string_view op_name = "norm.l2_norm";

  TensorView x;       ///< [..., H], H from 1 to 65536; bf16, f16 or f32; rows may be strided
  TensorView y;       ///< shape of x; bf16, f16 or f32; rows may be strided
  float eps = 1e-6F;  ///< not negative
};

/// Checks the arguments and makes the call. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call bind(const L2Norm& arguments);

}  // namespace kerncast::norm
