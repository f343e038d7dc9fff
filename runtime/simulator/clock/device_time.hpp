#pragma once

#include <chrono>
#include <cmath>
#include <cstdint>

namespace kerncast::simulator {

/// Time on a device's clock. Whole picoseconds, so that sums do not depend on their order; 106 days fit.
using DeviceTime = std::chrono::duration<std::int64_t, std::pico>;

[[nodiscard]] inline DeviceTime device_time(double us) {
  return DeviceTime(std::llround(us * 1e6));
}

}  // namespace kerncast::simulator
