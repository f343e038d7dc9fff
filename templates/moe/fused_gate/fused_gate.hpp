#pragma once

#include "kerncast/export.hpp"
#include "kerncast/op.hpp"
#include "kerncast/runtime.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::moe {

/// The router of DeepSeek-V3, Kimi-K2 and GLM-4.5. s = sigmoid(logits), c = s + bias; the topk_group groups
/// with the largest sum of their two largest c are kept, and in them the experts with the largest c are
/// chosen, ties to the lower group and index. Weights are s, optionally divided by their sum.
struct FusedGate {
  TensorView logits;   ///< [..., E], E from 1 to 1024; bf16, f16 or f32; rows may be strided
  TensorView bias;     ///< [E]; bf16, f16 or f32
  TensorView weights;  ///< [..., K], K from 1 to 32, shared slots included; f32
  TensorView ids;      ///< shape of weights; i32
  int groups = 1;      ///< divides E
  int topk_group = 1;  ///< groups kept
  /// The last S of the K slots get ids E, E + 1, ... and 1 / routed_scaling_factor of the routed weights'
  /// sum.
  int num_fused_shared_experts = 0;
  bool renormalize = true;
  bool apply_scale_on_output = false;  ///< multiply all weights by routed_scaling_factor
  float routed_scaling_factor = 1.0F;  ///< finite and positive
};

/// The op's definition in the registry.
[[nodiscard]] KERNCAST_API const OpDefinition& fused_gate_op();

/// Checks the arguments. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call fused_gate_call(const FusedGate& arguments);

/// Launches on `stream`. No rows: success without a launch. Throws Error.
KERNCAST_API void fused_gate(Runtime& runtime, const FusedGate& arguments, Stream stream);

/// Resolves the kernel and binds the arguments for repeated launches.
[[nodiscard]] KERNCAST_API PreparedLaunch prepare_fused_gate(Runtime& runtime, const FusedGate& arguments);

}  // namespace kerncast::moe
