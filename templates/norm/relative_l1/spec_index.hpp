#pragma once

#include <cstddef>

/// The parameters and tunables of norm.relative_l1.
namespace kerncast::norm::relative_l1_params {

enum Param : std::size_t { dtype, hidden, alignment, contiguous };
enum Tunable : std::size_t { threads, vectors };

}  // namespace kerncast::norm::relative_l1_params
