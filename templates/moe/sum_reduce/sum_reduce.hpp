#pragma once

#include "kerncast/export.hpp"
#include "kerncast/op.hpp"
#include "kerncast/runtime.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::moe {

/// y[t] = routed_scaling_factor * sum over k of weights[t, k] * x[t, k] (+ addend[t]), k ascending: what the
/// experts of a token gave becomes one row.
struct SumReduce {
  TensorView x;        ///< [..., K, H], K from 1 to 64; bf16, f16 or f32; tokens and slots may be strided
  TensorView weights;  ///< [..., K], f32; optional: 1
  TensorView addend;   ///< shape and type of y; optional; may be y itself
  TensorView y;        ///< [..., H]; bf16, f16 or f32; rows may be strided
  float routed_scaling_factor = 1.0F;  ///< finite
};

/// The op's definition in the registry.
[[nodiscard]] KERNCAST_API const OpDefinition& sum_reduce_op();

/// Checks the arguments. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call sum_reduce_call(const SumReduce& arguments);

/// Launches on `stream`. No rows: success without a launch. Throws Error.
KERNCAST_API void sum_reduce(Runtime& runtime, const SumReduce& arguments, Stream stream);

/// Resolves the kernel and binds the arguments for repeated launches.
[[nodiscard]] KERNCAST_API PreparedLaunch prepare_sum_reduce(Runtime& runtime, const SumReduce& arguments);

}  // namespace kerncast::moe
