#pragma once

#include <string>
#include <vector>

#include "runtime/devices/device_description.hpp"
#include "tools/measure/device_choice.hpp"

namespace kerncast::tools {

/// A device to tune for.
struct TuneTarget {
  using Kind = DeviceName::Kind;
  Kind kind = Kind::estimate;
  int ordinal = 0;                                          ///< of a device of the driver
  const devices::DeviceDescription* description = nullptr;  ///< null for a device of the driver
  std::string text;                                         ///< as the user writes it: "estimate:h100"
  std::string why;  ///< why this device was chosen, if the user named none
};

/// Parses "estimate:h100", "sim:h100" or "cuda:0", as parse_device_name() does.
[[nodiscard]] TuneTarget parse_target(const std::string& text);

/// Targets that `devices` name. Devices of the driver may stand together; there may be one virtual device for
/// each architecture. If `archs` is not empty, each target must have one of them. Throws UsageError.
[[nodiscard]] std::vector<TuneTarget> choose_targets(const std::vector<std::string>& devices,
                                                     const std::vector<std::string>& archs);

/// The targets if the user names no device. `gpu_arch` is the architecture of the driver's first GPU, such as
/// "sm_90a", or empty if there is none. This GPU is the target unless `archs` asks for anything else. Then it
/// is the estimate of the first described device of each of `archs`, and the estimate of h100 if there is
/// none. Throws UsageError for an architecture that no described device has.
[[nodiscard]] std::vector<TuneTarget> default_targets(const std::string& gpu_arch,
                                                      const std::vector<std::string>& archs);

}  // namespace kerncast::tools
