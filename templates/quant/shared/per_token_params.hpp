#pragma once

#include <cstddef>
#include <cstdint>

/// Places of the parameters and tunables in Specialisation and Tunables.
namespace kerncast::quant::per_token_params {

enum Param : std::size_t { x_dtype, q_dtype, hidden, alignment };
enum Tunable : std::size_t { threads, rows_per_block };

}  // namespace kerncast::quant::per_token_params
