#pragma once

#include <cstddef>

/// Positions of the parameters of topk_softmax and topk_sigmoid in Specialisation. topk_sigmoid does not have
/// the last one.
namespace kerncast::moe::topk_gate_params {

enum Param : std::size_t {
  logits_dtype,
  bias_dtype,
  experts,
  top_k,
  has_bias,
  renormalize,
  has_num_token_non_padded,
  softcap,
};

}  // namespace kerncast::moe::topk_gate_params
