#include "tools/tune/space/space.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/dispatch/source_text/source.hpp"
#include "runtime/dispatch/tunables/launch_defect.hpp"
#include "tools/tune/space/call_shape.hpp"

namespace kerncast::tools {
namespace {

/// The reason why no call of `point` should have these tunables; empty if one may.
std::string defect_of(const Point& point, const Tunables& tunables) {
  const OpDefinition& op = point.op();
  const std::int64_t highest =
      point.rows_high == std::numeric_limits<std::int64_t>::max() ? 2 * point.rows_low : point.rows_high;
  for (std::size_t i = 0; i < op.tunables.size(); ++i) {
    if (op.tunables[i].name == "rows_per_block" && tunables[i] > highest) {
      return fmt::format("a block of {} rows would never be full", tunables[i]);
    }
  }
  for (const std::int64_t rows : {point.rows_low, highest}) {
    if (std::string defect = launch_defect(op, point.spec, tunables, point.traits, point.arch, rows);
        !defect.empty()) {
      return defect;
    }
  }
  return {};
}

/// The coordinates of each value of a tunable: logarithms, or places if a value has none.
std::vector<double> coordinates_of(const std::vector<std::int32_t>& values) {
  const bool positive = std::all_of(values.begin(), values.end(), [](std::int32_t v) { return v > 0; });
  std::vector<double> coordinates;
  coordinates.reserve(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    coordinates.push_back(positive ? std::log2(static_cast<double>(values[i])) : static_cast<double>(i));
  }
  return coordinates;
}

}  // namespace

std::size_t Space::find(const std::string& text) const {
  const auto found =
      std::find_if(valid.begin(), valid.end(), [&](const Candidate& made) { return made.text == text; });
  return static_cast<std::size_t>(found - valid.begin());
}

Space space_of(const Point& point) {
  const OpDefinition& op = point.op();
  const Tunables own =
      op.default_tunables(point.spec, point.traits, call_of(point.workload, point.rows).rows);
  Space space;
  bool found = false;
  std::uint32_t id = 0;
  for (const Tunables& tunables : all_tunables(op)) {
    Candidate candidate{id++, tunables, format_tunables(op, tunables)};
    const bool is_own = tunables == own;
    if (std::string why = is_own ? std::string() : defect_of(point, tunables); !why.empty()) {
      space.pruned.push_back({std::move(candidate), std::move(why)});
      continue;
    }
    if (is_own) {
      found = true;
      space.first = space.valid.size();
    }
    space.valid.push_back(std::move(candidate));
  }
  if (!found) {
    throw Error(ErrorCode::internal, fmt::format("{}: its own choice {} is none of its tunables' values",
                                                 describe(point), format_tunables(op, own)));
  }
  return space;
}

SearchSpace search_space_of(const Point& point, const Space& space) {
  const OpDefinition& op = point.op();
  SearchSpace made;
  made.first = space.first;
  made.places.resize(space.valid.size());
  for (std::size_t i = 0; i < op.tunables.size(); ++i) {
    const std::vector<std::int32_t> values = tunable_values(op.tunables[i]);
    const std::vector<double> coordinates = coordinates_of(values);
    for (std::size_t c = 0; c < space.valid.size(); ++c) {
      const auto value = std::find(values.begin(), values.end(), space.valid[c].tunables[i]);
      made.places[c].push_back(coordinates[static_cast<std::size_t>(value - values.begin())]);
    }
  }
  return made;
}

}  // namespace kerncast::tools
