#pragma once

#include <string_view>

#include "kerncast/export.hpp"
#include "kerncast/launch.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::activation {

/// y = silu(gate) * up, silu(x) = x * sigmoid(x) (Shazeer 2020, arXiv:2002.05202), in f32, rounded once. The
/// gates are x[..., :H] and the ups x[..., H:]. With a limit L gate becomes min(gate, L) and up clamp(up, -L,
/// L) first, as in DeepSeek-V4 (swiglu_limit; silu_and_mul_clamp of sglang, jit/csrc/deepseek_v4). Launch
/// with kerncast::launch or prepare, which say what is asynchronous and what must live how long. Aliasing: y
/// may overlap none of the inputs.
struct SiluAndMul {
  static constexpr std::string_view op_name = "activation.silu_and_mul";

  TensorView x;  ///< [..., 2 * H], H from 1 to 65536; bf16, f16 or f32; rows may be strided
  TensorView y;  ///< [..., H]; bf16, f16 or f32; rows may be strided
  /// Optional, [E] i32, with x [E, M, 2 * H]: only the first masked_m[e] rows of expert e are read and
  /// written. E is from 1 to 1024.
  TensorView masked_m = {};
  float limit = 0.0F;  ///< L, positive and finite; 0: no limit
};

/// Checks the arguments and makes the call. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call bind(const SiluAndMul& arguments);

}  // namespace kerncast::activation
