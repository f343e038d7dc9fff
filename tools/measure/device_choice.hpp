#pragma once

#include <cstdint>
#include <string>

#include "kerncast/runtime.hpp"

namespace kerncast::tools {

/// A device as an option writes it.
struct DeviceName {
  enum class Kind : std::uint8_t {
    cuda,      ///< a device of the driver, by its number: "cuda:0"
    sim,       ///< the virtual GPU with the clock of a described device: "sim:h100"
    estimate,  ///< a described device, by exact counts and the cost model: "estimate:h100"
  };
  Kind kind = Kind::cuda;
  int ordinal = 0;        ///< of a device of the driver
  std::string described;  ///< the described device, such as "h100"; empty for a device of the driver
};

/// Parses the name of a device; the names of described devices count in any case. `estimates` says whether an
/// estimate is a device here. Throws UsageError with the nearest valid name.
[[nodiscard]] DeviceName parse_device_name(const std::string& text, bool estimates);

/// Sets the variables by which the virtual GPU gets the architecture of a described device, and its clock if
/// `clock`. The virtual GPU reads them when it is loaded; so call it before, and while no other thread reads
/// the environment.
void set_virtual_gpu(const std::string& described, bool clock);

/// The device that --device names where a device is measured.
struct DeviceChoice {
  std::string driver;  ///< "cuda", "sim", or empty: the driver in use
  int ordinal = 0;
  std::string simulated;  ///< the device whose clock the virtual GPU follows, such as "h100"; empty: none

  /// Options for the chosen driver. If a device is simulated, set_virtual_gpu() is called.
  [[nodiscard]] RuntimeOptions apply(RuntimeOptions options) const;
};

/// Parses "cuda:0" or "sim:h100"; an empty text is the first device of the driver in use. Throws UsageError
/// with the nearest valid value.
[[nodiscard]] DeviceChoice parse_device_choice(const std::string& text);

/// Bandwidth of device memory in GB/s (1e9 bytes) of a device that is simulated, else of device `ordinal` by
/// its memory clock and bus width. 0 if the driver does not tell.
[[nodiscard]] double memory_gb_per_s(const DeviceChoice& choice, int memory_clock_khz, int memory_bus_bits);

}  // namespace kerncast::tools
