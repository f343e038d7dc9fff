#pragma once

#include <cstddef>

/// The parameters that every norm of whole rows has first, and the tunables of all of them.
namespace kerncast::norm::row_params {

enum Param : std::size_t { x_dtype, y_dtype, hidden, alignment, count };
enum Tunable : std::size_t { threads, rows_per_block };

}  // namespace kerncast::norm::row_params
