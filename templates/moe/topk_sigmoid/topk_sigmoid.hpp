#pragma once

#include <string_view>

#include "kerncast/export.hpp"
#include "kerncast/launch.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::moe {

/// A router with sigmoid scores (DeepSeek-V3 technical report, without groups): s = sigmoid(logits). The K
/// experts with the largest s + bias are chosen, in this order, ties to the lower index and NaN last. Weights
/// are s, optionally divided by their sum. Launch with kerncast::launch or prepare, which say what is
/// asynchronous and what must live how long. Aliasing: outputs may overlap neither each other nor an input.
struct TopkSigmoid {
  static constexpr std::string_view op_name = "moe.topk_sigmoid";

  TensorView logits;     ///< [..., E], E from 1 to 1024; bf16, f16 or f32; rows may be strided
  TensorView bias = {};  ///< [E]; bf16, f16 or f32; optional
  TensorView weights;    ///< [..., K], K from 1 to min(E, 32); f32; rows may be strided
  TensorView ids;        ///< shape of weights; i32; rows may be strided
  /// Optional, [1], i32: rows from this count on are padding, whose logits do not count: their weights are 0
  /// and their ids -1. A count below 0 counts as 0.
  TensorView num_token_non_padded = {};
  bool renormalize = true;  ///< divide the weights by their sum
};

/// Checks the arguments and makes the call. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call bind(const TopkSigmoid& arguments);

}  // namespace kerncast::moe
