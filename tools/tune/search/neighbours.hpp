#pragma once

#include <cstddef>
#include <vector>

#include "tools/tune/search/search_space.hpp"

namespace kerncast::tools {

/// The candidates that differ from `index` in one coordinate only, the nearest first.
[[nodiscard]] std::vector<std::size_t> along_axis(const SearchSpace& space, std::size_t index,
                                                  std::size_t axis);

/// For each coordinate the next candidate below and above `index` that differs in this coordinate only.
[[nodiscard]] std::vector<std::size_t> neighbours_of(const SearchSpace& space, std::size_t index);

}  // namespace kerncast::tools
