#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace kerncast::bench {

/// The median of `values`, which must not be empty; of an even number of values, the upper one of the middle
/// two.
inline double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace kerncast::bench
