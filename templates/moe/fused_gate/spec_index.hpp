#pragma once

#include <cstddef>

/// Positions of the parameters in Specialisation. The tunables are those of moe::router.
namespace kerncast::moe::fused_gate_params {

enum Param : std::size_t {
  logits_dtype,
  bias_dtype,
  experts,
  groups,
  topk_group,
  top_k,
  num_fused_shared_experts,
  renormalize,
  apply_scale_on_output,
  scoring,
  has_num_token_non_padded,
};

}  // namespace kerncast::moe::fused_gate_params
