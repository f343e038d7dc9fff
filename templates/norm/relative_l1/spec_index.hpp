#pragma once

#include <cstddef>

/// Places of the parameters and tunables in Specialisation and Tunables.
namespace kerncast::norm::relative_l1_params {

enum Param : std::size_t { dtype, hidden, alignment, contiguous };
enum Tunable : std::size_t { threads, vectors };

}  // namespace kerncast::norm::relative_l1_params
