#pragma once

#include <string_view>

#include "kerncast/export.hpp"
#include "kerncast/launch.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::moe {

/// Brings rows that moe.permute grouped by expert back to their tokens, weighted and summed:
/// y[t] = routed_scaling_factor * sum over k of weights[t, k] * x[map[t, k]] (+ addend[t]), k ascending, in
/// f32, rounded once. A slot whose map names no row of x gives 0. Launch with kerncast::launch or prepare,
/// which say what is asynchronous and what must live how long. Aliasing: addend may be y itself; no other
/// tensor may overlap y.
struct Unpermute {
  static constexpr std::string_view op_name = "moe.unpermute";

  TensorView x;                        ///< [P, H], H from 1 to 65536; bf16, f16 or f32; rows may be strided
  TensorView map;                      ///< [..., K], K from 1 to 64, i32: rows of x; rows may be strided
  TensorView weights = {};             ///< [..., K], f32; optional: each weight is 1; rows may be strided
  TensorView addend = {};              ///< shape and type of y; optional; rows may be strided
  TensorView y;                        ///< [..., H]; bf16, f16 or f32; rows may be strided
  float routed_scaling_factor = 1.0F;  ///< finite
};

/// Checks the arguments and makes the call. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call bind(const Unpermute& arguments);

}  // namespace kerncast::moe
