#pragma once

#include <string>

#include "kerncast/runtime.hpp"

namespace kerncast::tools {

/// The device that --device names.
struct DeviceChoice {
  std::string driver;  ///< "cuda", "sim", or empty: the driver in use
  int ordinal = 0;
  std::string simulated;  ///< the device whose clock the virtual GPU follows, such as "h100"; empty: none

  /// Options for the chosen driver. If a device is simulated, it sets KERNCAST_SIM_CLOCK and
  /// KERNCAST_SIM_ARCH, which the virtual GPU reads when it is loaded; so call it before, and while no other
  /// thread reads the environment.
  [[nodiscard]] RuntimeOptions apply(RuntimeOptions options) const;
};

/// Parses "cuda:0" or "sim:h100"; an empty text is the first device of the driver in use. Throws UsageError
/// with the nearest valid value.
[[nodiscard]] DeviceChoice parse_device_choice(const std::string& text);

/// Bandwidth of device memory in GB/s (1e9 bytes) of a device that is simulated, else of device `ordinal` by
/// its memory clock and bus width. 0 if the driver does not tell.
[[nodiscard]] double memory_gb_per_s(const DeviceChoice& choice, int memory_clock_khz, int memory_bus_bits);

}  // namespace kerncast::tools
