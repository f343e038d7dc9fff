#pragma once

#include <cstddef>

/// Places of the parameters and tunables in Specialisation and Tunables.
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
};
enum Tunable : std::size_t { threads_per_row, rows_per_block };

}  // namespace kerncast::moe::fused_gate_params
