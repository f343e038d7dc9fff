#pragma once

#include <cmath>
#include <cstddef>
#include <functional>
#include <vector>

#include "tools/tune/search/strategy.hpp"

/// Made-up spaces and times of candidates, for strategies without a device.
namespace kerncast::test {

/// A space of `x` by `y` candidates one step apart, whose first is the default.
inline tools::SearchSpace grid(int x, int y) {
  tools::SearchSpace space;
  for (int i = 0; i < x; ++i) {
    for (int j = 0; j < y; ++j) {
      space.places.push_back({static_cast<double>(i), static_cast<double>(j)});
    }
  }
  return space;
}

using Landscape = std::function<double(const std::vector<double>& place)>;

/// A valley around `x`, `y`: 1 at its bottom, 3 % slower for each step away.
inline Landscape valley(double x, double y) {
  return [x, y](const std::vector<double>& place) {
    return 1 + 0.03 * (std::abs(place[0] - x) + std::abs(place[1] - y));
  };
}

struct Searched {
  std::vector<std::size_t> order;
  double best = 0;
};

/// Runs a strategy to its end, `batch` candidates at a time.
inline Searched search(tools::Strategy& strategy, const tools::SearchSpace& space, const Landscape& landscape,
                       std::size_t batch = 4) {
  Searched searched;
  while (true) {
    const std::vector<std::size_t> next = strategy.next(batch);
    if (next.empty()) {
      return searched;
    }
    for (const std::size_t index : next) {
      const double time = landscape(space.places[index]);
      searched.best = searched.order.empty() ? time : std::min(searched.best, time);
      searched.order.push_back(index);
      strategy.tell(index, time);
    }
  }
}

}  // namespace kerncast::test
