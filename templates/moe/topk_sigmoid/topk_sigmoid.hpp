#pragma once

#include "kerncast/export.hpp"
#include "kerncast/op.hpp"
#include "kerncast/runtime.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::moe {

/// A router with sigmoid scores. s = sigmoid(logits); the experts with the K largest s + bias are chosen,
/// ties to the lower index, and NaN last. Weights are s, optionally divided by their sum.
struct TopkSigmoid {
  TensorView logits;        ///< [..., E], E from 1 to 1024; bf16, f16 or f32; rows may be strided
  TensorView bias;          ///< [E]; bf16, f16 or f32; optional
  TensorView weights;       ///< [..., K], K from 1 to min(E, 32); f32
  TensorView ids;           ///< shape of weights; i32
  bool renormalize = true;  ///< divide the weights by their sum
};

/// The op's definition in the registry.
[[nodiscard]] KERNCAST_API const OpDefinition& topk_sigmoid_op();

/// Checks the arguments. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call topk_sigmoid_call(const TopkSigmoid& arguments);

/// Launches on `stream`. No rows: success without a launch. Throws Error.
KERNCAST_API void topk_sigmoid(Runtime& runtime, const TopkSigmoid& arguments, Stream stream);

/// Resolves the kernel and binds the arguments for repeated launches.
[[nodiscard]] KERNCAST_API PreparedLaunch prepare_topk_sigmoid(Runtime& runtime,
                                                               const TopkSigmoid& arguments);

}  // namespace kerncast::moe
