#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tests/tools/measure/doubling_op.hpp"
#include "tools/tune/space/point.hpp"
#include "tools/tune/space/space.hpp"

/// An op for tuners, with its points and candidates.
namespace kerncast::test {

/// With 96 threads it writes 3 x.
inline OpDefinition wrong_at_96_threads() {
  return doubling_op("if (i < a.count) a.y[i] = 3.0f * a.x[i];");
}

/// The point of `rows` rows of `op` on an H100. `op` must outlive it.
inline tools::Point point_on_h100(const OpDefinition& op, std::int64_t rows) {
  return tools::point_of({&op, "", {}, {}}, "sm_90a", DeviceTraits{90, 132, 232448}, rows);
}

/// The candidate of so many threads.
inline tools::Candidate with_threads(const tools::Point& point, int threads) {
  const tools::Space space = tools::space_of(point);
  return space.valid.at(space.find("threads=" + std::to_string(threads)));
}

}  // namespace kerncast::test
