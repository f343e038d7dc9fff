#pragma once

#include <string>

#include "runtime/devices/device_description.hpp"

namespace kerncast::tools {

/// Digest (32 hex digits) of what the cost model says of `device`: the way of counting, the device's
/// description, and every factor of the estimates of a fixed set of made-up launches. Estimates under another
/// digest are not comparable.
[[nodiscard]] std::string model_digest(const devices::DeviceDescription& device);

}  // namespace kerncast::tools
