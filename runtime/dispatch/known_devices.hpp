#pragma once

#include <string_view>
#include <vector>

#include "kerncast/op_definition.hpp"

namespace kerncast {

/// Traits of the known devices of architecture `arch` ("sm_90a"), the most common device first. If no device
/// of `arch` is known, the result is that of the nearest older architecture. Throws Error(invalid_argument)
/// if `arch` is not the name of an architecture.
[[nodiscard]] std::vector<DeviceTraits> known_devices(std::string_view arch);

/// Traits of the most common device of `arch`, with `sm_count` multiprocessors unless that is 0. Throws as
/// known_devices does.
[[nodiscard]] DeviceTraits typical_traits(std::string_view arch, int sm_count = 0);

}  // namespace kerncast
