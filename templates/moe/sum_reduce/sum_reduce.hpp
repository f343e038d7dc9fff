#pragma once

#include <string_view>

#include "kerncast/export.hpp"
#include "kerncast/launch.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::moe {

/// Sums the rows of a token's slots, the outputs of its experts, into one row (as sgl-kernel's
/// moe_sum_reduce): y[t] = routed_scaling_factor * sum over k of weights[t, k] * x[t, k] (+ addend[t]), k
/// ascending, in f32, rounded once. With ids, a slot whose id, after expert_map, is below 0 or from experts
/// on gives 0 and its row of x is not read: moe.grouped_gemm writes no row for it. Launch with
/// kerncast::launch or prepare, which say what is asynchronous and what must live how long. Aliasing: addend
/// may be y itself; no other tensor may overlap y.
struct SumReduce {
  static constexpr std::string_view op_name = "moe.sum_reduce";

  TensorView
      x;  ///< [..., K, H], K from 1 to 64, H to 65536; bf16, f16 or f32; tokens and slots may be strided
  TensorView weights = {};             ///< [..., K], f32; optional: each weight is 1; rows may be strided
  TensorView addend = {};              ///< shape and type of y; optional; rows may be strided
  TensorView y;                        ///< [..., H]; bf16, f16 or f32; rows may be strided
  float routed_scaling_factor = 1.0F;  ///< finite
  TensorView ids = {};                 ///< [..., K], i32; optional; rows may be strided
  TensorView expert_map =
      {};  ///< [experts of all ranks], i32: the expert's number on this rank, or -1; optional, with ids
  int experts = 1024;  ///< with ids: E, from 1 to 1024
};

/// Checks the arguments and makes the call. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call bind(const SumReduce& arguments);

}  // namespace kerncast::moe
