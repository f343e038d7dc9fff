#pragma once

#include <cstdint>

#include "runtime/devices/cost_model.hpp"
#include "tools/profile/launch_profile.hpp"

namespace kerncast::tools {

/// The input of the cost model for a profiled launch. `read_bytes` and `written_bytes` are the sizes of the
/// tensors it reads and writes; `registers` per thread come from the ptxas report.
[[nodiscard]] devices::CostInput cost_input(const LaunchProfile& profile, int registers,
                                            std::uint64_t read_bytes, std::uint64_t written_bytes);

}  // namespace kerncast::tools
