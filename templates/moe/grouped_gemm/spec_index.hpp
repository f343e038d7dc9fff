#pragma once

#include <cstddef>

/// Places of the parameters in Specialisation and of the tunables in Tunables.
namespace kerncast::moe::grouped_gemm_params {

enum Param : std::size_t {
  a_dtype,
  b_dtype,
  c_dtype,
  n,
  k,
  experts,
  top_k,
  block,
  has_weights,
  has_scales,
  activation,
  alignment,
  scale_form,
  limit,
  bias,
  scale_alignment
};
enum Tunable : std::size_t { tile_m, tile_n, tile_k, stages, warps, tiles_together };

}  // namespace kerncast::moe::grouped_gemm_params
