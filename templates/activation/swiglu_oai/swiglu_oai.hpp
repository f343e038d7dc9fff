#pragma once

#include <string_view>

#include "kerncast/export.hpp"
#include "kerncast/launch.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::activation {

/// y = (clamp(up, -L, L) + 1) * g * sigmoid(alpha * g), g = min(gate, L) (swiglu of the reference
/// implementation of gpt-oss, gpt_oss/torch/model.py), in f32, rounded once. The gates are at the even places
/// of x, the ups at the odd ones. Launch with kerncast::launch or prepare, which say what is asynchronous and
/// what must live how long. Aliasing: y may overlap none of the inputs.
struct SwigluOai {
  static constexpr std::string_view op_name = "activation.swiglu_oai";

  TensorView x;  ///< [..., 2 * H], H from 1 to 65536; bf16, f16 or f32; rows may be strided
  TensorView y;  ///< [..., H]; bf16, f16 or f32; rows may be strided
  /// Optional, [E] i32, with x [E, M, 2 * H]: only the first masked_m[e] rows of expert e are read and
  /// written. E is from 1 to 1024.
  TensorView masked_m = {};
  float limit = 7.0F;    ///< L, positive and finite
  float alpha = 1.702F;  ///< finite
};

/// Checks the arguments and makes the call. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call bind(const SwigluOai& arguments);

}  // namespace kerncast::activation
