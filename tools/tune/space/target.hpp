#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/devices/device_description.hpp"

namespace kerncast::tools {

/// A device to tune for.
struct TuneTarget {
  enum class Kind : std::uint8_t {
    estimate,  ///< the cost model of a described device
    sim,       ///< the virtual GPU with the clock of a described device
    cuda,      ///< a device of the driver
  };
  Kind kind = Kind::estimate;
  int ordinal = 0;                                          ///< of a device of the driver
  const devices::DeviceDescription* description = nullptr;  ///< null for a device of the driver
  std::string text;                                         ///< as the user writes it: "estimate:h100"
};

/// Parses "estimate:h100", "sim:h100" or "cuda:0". Throws UsageError that names the kinds, or the nearest
/// device.
[[nodiscard]] TuneTarget parse_target(const std::string& text);

/// Targets that `devices` name. Devices of the driver may stand together; there may be one virtual device for
/// each architecture. If `archs` is not empty, each target must have one of them. Without `devices`, the
/// estimate of the first described device of each of `archs`. Throws UsageError.
[[nodiscard]] std::vector<TuneTarget> choose_targets(const std::vector<std::string>& devices,
                                                     const std::vector<std::string>& archs);

}  // namespace kerncast::tools
