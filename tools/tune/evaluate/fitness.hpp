#pragma once

#include <optional>
#include <string>

#include "runtime/devices/device_description.hpp"
#include "tools/tune/evaluate/candidate_compiler.hpp"
#include "tools/tune/space/point.hpp"
#include "tools/tune/space/space.hpp"
#include "tools/tune/trials/trial.hpp"

namespace kerncast::tools {

/// The reason for which a compiled candidate is left out before it is timed.
struct Unfit {
  Outcome outcome = Outcome::does_not_compile;
  std::string why;
};

/// A candidate is left out if
///
///     it does not compile,
///     it spills more bytes per thread than the default does, or
///     its registers or its shared memory let an SM hold fewer than half of the warps that it holds of the
///     default, at this row count.
///
/// The warps that an SM holds are counted for the blocks that it gets at `rows` rows of the call: a launch of
/// few blocks loses nothing by a large block. `device` may be null, and then the last rule does not hold.
/// Empty if the candidate is fit.
[[nodiscard]] std::optional<Unfit> unfitness(const Point& point, std::int64_t rows,
                                             const devices::DeviceDescription* device,
                                             const Candidate& candidate, const Compiled& compiled,
                                             const Candidate& own, const Compiled& own_compiled);

}  // namespace kerncast::tools
