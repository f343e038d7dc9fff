#pragma once

#include <cstddef>
#include <vector>

namespace kerncast::tools {

/// The candidates of a search as points of a space: what a strategy knows of them.
struct SearchSpace {
  /// Coordinates of each candidate, one for each tunable, in the order of their identifiers. A step of 1 is a
  /// doubling, or the next choice of a tunable that has values below 1.
  std::vector<std::vector<double>> places;
  std::size_t first = 0;  ///< index of the default, which every search tries first
  /// The time that a model expects of each candidate, in microseconds; empty if there is no model.
  std::vector<double> expected_us;

  [[nodiscard]] std::size_t size() const { return places.size(); }
};

}  // namespace kerncast::tools
