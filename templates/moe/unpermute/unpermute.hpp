#pragma once

#include "kerncast/export.hpp"
#include "kerncast/op.hpp"
#include "kerncast/runtime.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::moe {

/// The inverse of permute: y[t] = routed_scaling_factor * sum over k of weights[t, k] * x[map[t, k]]
/// (+ addend[t]), k ascending. Slots whose map names no row of x give 0.
struct Unpermute {
  TensorView x;                        ///< [P, H]; bf16, f16 or f32; rows may be strided
  TensorView map;                      ///< [..., K], K from 1 to 64, i32: rows of x
  TensorView weights;                  ///< [..., K], f32; optional: 1
  TensorView addend;                   ///< shape and type of y; optional; may be y itself
  TensorView y;                        ///< [..., H]; bf16, f16 or f32; rows may be strided
  float routed_scaling_factor = 1.0F;  ///< finite
};

/// The op's definition in the registry.
[[nodiscard]] KERNCAST_API const OpDefinition& unpermute_op();

/// Checks the arguments. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call unpermute_call(const Unpermute& arguments);

/// Launches on `stream`. No rows: success without a launch. Throws Error.
KERNCAST_API void unpermute(Runtime& runtime, const Unpermute& arguments, Stream stream);

/// Resolves the kernel and binds the arguments for repeated launches.
[[nodiscard]] KERNCAST_API PreparedLaunch prepare_unpermute(Runtime& runtime, const Unpermute& arguments);

}  // namespace kerncast::moe
