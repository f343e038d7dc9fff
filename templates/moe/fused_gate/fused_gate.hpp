#pragma once

#include <string_view>

#include <kerncast/ops/moe/scoring.h>
#include "kerncast/export.hpp"
#include "kerncast/launch.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::moe {

/// The router of DeepSeek-V3, Kimi-K2 and GLM-4.5 (DeepSeek-V3 technical report, noaux_tc): s =
/// sigmoid(logits), or in DeepSeek-V4 sqrt(softplus(logits)); c = s + bias. The topk_group groups with the
/// largest sum of their two largest c are kept. In them the experts with the largest c are chosen, in this
/// order, ties to the lower group and index, NaN as -infinity. Weights are s, optionally divided by their
/// sum. Launch with kerncast::launch or prepare, which say what is asynchronous and what must live how long.
/// Aliasing: outputs may overlap neither each other nor an input.
struct FusedGate {
  static constexpr std::string_view op_name = "moe.fused_gate";

  TensorView logits;   ///< [..., E], E from 1 to 1024; bf16, f16 or f32; rows may be strided
  TensorView bias;     ///< [E]; bf16, f16 or f32
  TensorView weights;  ///< [..., K], K from 1 to 32, shared slots included; f32; rows may be strided
  TensorView ids;      ///< shape of weights; i32; rows may be strided
  /// Optional, [1], i32: rows from this count on are padding, whose logits do not count: their weights are 0
  /// and their ids -1. A count below 0 counts as 0.
  TensorView num_token_non_padded = {};
  int groups = 1;      ///< divides E
  int topk_group = 1;  ///< groups kept
  /// S, less than K: the last S of the K slots get the ids E, E + 1, ... and as weight the sum of the routed
  /// weights times 1 / routed_scaling_factor.
  int num_fused_shared_experts = 0;
  bool renormalize = true;             ///< divide the routed weights by their sum
  bool apply_scale_on_output = false;  ///< multiply all weights by routed_scaling_factor
  float routed_scaling_factor = 1.0F;  ///< finite and positive
  Scoring scoring = Scoring::sigmoid;
};

/// Checks the arguments and makes the call. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call bind(const FusedGate& arguments);

}  // namespace kerncast::moe
