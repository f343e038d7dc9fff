#pragma once

#include <cstddef>

/// Places of the parameters and tunables of sum_reduce and unpermute in Specialisation and Tunables.
namespace kerncast::moe::weighted_sum_params {

enum Param : std::size_t { x_dtype, y_dtype, hidden, top_k, has_weights, has_addend, alignment };
enum Tunable : std::size_t { threads, rows_per_block, blocks_per_row };

}  // namespace kerncast::moe::weighted_sum_params
