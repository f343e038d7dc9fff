#pragma once

#include <cstddef>
#include <cstdint>

/// Places of the parameters and tunables of the ops that quantise rows by groups.
namespace kerncast::quant::group_rows_params {

/// `experts` is there where x may be masked; 0 elsewhere.
enum Param : std::size_t { x_dtype, q_dtype, hidden, group, scale_layout, scale_format, alignment, experts };
enum Tunable : std::size_t { threads, vectors };

}  // namespace kerncast::quant::group_rows_params
