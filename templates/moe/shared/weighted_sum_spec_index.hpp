#pragma once

#include <cstddef>

/// Positions of the parameters of sum_reduce and unpermute in Specialisation. unpermute has those up to
/// alignment.
namespace kerncast::moe::weighted_sum_params {

enum Param : std::size_t {
  x_dtype,
  y_dtype,
  hidden,
  top_k,
  has_weights,
  has_addend,
  alignment,
  has_ids,
  has_expert_map,
  experts
};

}  // namespace kerncast::moe::weighted_sum_params
