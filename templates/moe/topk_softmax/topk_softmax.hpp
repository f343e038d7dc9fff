#pragma once

#include "kerncast/export.hpp"
#include "kerncast/op.hpp"
#include "kerncast/runtime.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::moe {

/// The router of Mixtral, Qwen3-MoE and GPT-OSS. p = softmax(logits + bias); the experts with the K largest p
/// are chosen, ties to the lower index, and NaN last. Weights are p, optionally divided by their sum.
struct TopkSoftmax {
  TensorView logits;        ///< [..., E], E from 1 to 1024; bf16, f16 or f32; rows may be strided
  TensorView bias;          ///< [E]; bf16, f16 or f32; optional
  TensorView weights;       ///< [..., K], K from 1 to min(E, 32); f32
  TensorView ids;           ///< shape of weights; i32
  bool renormalize = true;  ///< divide the weights by their sum
  float softcap = 0.0F;     ///< c > 0: logits become c * tanh(logits / c) first; 0: they do not
};

/// The op's definition in the registry.
[[nodiscard]] KERNCAST_API const OpDefinition& topk_softmax_op();

/// Checks the arguments. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call topk_softmax_call(const TopkSoftmax& arguments);

/// Launches on `stream`. No rows: success without a launch. Throws Error.
KERNCAST_API void topk_softmax(Runtime& runtime, const TopkSoftmax& arguments, Stream stream);

/// Resolves the kernel and binds the arguments for repeated launches.
[[nodiscard]] KERNCAST_API PreparedLaunch prepare_topk_softmax(Runtime& runtime,
                                                               const TopkSoftmax& arguments);

}  // namespace kerncast::moe
