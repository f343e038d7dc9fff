#pragma once

#include <cstddef>
#include <cstdint>

/// Indices of the parameters and tunables of the ops that quantise each row with one scale.
namespace kerncast::quant::row_scaled_params {

enum Param : std::size_t { x_dtype, q_dtype, hidden, alignment };
enum Tunable : std::size_t { threads, rows_per_block };

}  // namespace kerncast::quant::row_scaled_params
