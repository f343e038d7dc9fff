#pragma once

#include <cstddef>

/// Places of the parameters and tunables in Specialisation and Tunables.
namespace kerncast::norm::rms_norm_params {

enum Param : std::size_t { x_dtype, weight_dtype, y_dtype, hidden, alignment, has_weight, hf_rounding };
enum Tunable : std::size_t { threads, rows_per_block };

}  // namespace kerncast::norm::rms_norm_params
