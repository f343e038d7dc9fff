#include "tools/tune/search/neighbours.hpp"

#include <algorithm>
#include <cmath>

namespace kerncast::tools {

std::vector<std::size_t> along_axis(const SearchSpace& space, std::size_t index, std::size_t axis) {
  const std::vector<double>& here = space.places[index];
  std::vector<std::size_t> line;
  for (std::size_t other = 0; other < space.size(); ++other) {
    bool same = other != index;
    for (std::size_t i = 0; same && i < here.size(); ++i) {
      same = i == axis || space.places[other][i] == here[i];
    }
    if (same) {
      line.push_back(other);
    }
  }
  std::stable_sort(line.begin(), line.end(), [&](std::size_t a, std::size_t b) {
    return std::abs(space.places[a][axis] - here[axis]) < std::abs(space.places[b][axis] - here[axis]);
  });
  return line;
}

std::vector<std::size_t> neighbours_of(const SearchSpace& space, std::size_t index) {
  std::vector<std::size_t> found;
  for (std::size_t axis = 0; axis < space.places[index].size(); ++axis) {
    bool below = false;
    bool above = false;
    for (const std::size_t other : along_axis(space, index, axis)) {
      bool& side = space.places[other][axis] < space.places[index][axis] ? below : above;
      if (!side) {
        side = true;
        found.push_back(other);
      }
    }
  }
  return found;
}

}  // namespace kerncast::tools
