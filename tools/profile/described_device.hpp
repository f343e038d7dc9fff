#pragma once

#include <string_view>

#include "runtime/devices/device_description.hpp"

namespace kerncast::tools {

/// The device that the user calls `name`, in any case. Throws UsageError that lists the devices and names the
/// nearest.
[[nodiscard]] const devices::DeviceDescription& require_device_description(std::string_view name);

}  // namespace kerncast::tools
