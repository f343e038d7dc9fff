#pragma once

#include <string_view>
#include <vector>

#include "kerncast/op.hpp"

namespace kerncast {

/// Traits of the devices on sale that have architecture `arch` ("sm_90a"), the most common first. Of one that
/// is not known, those of the nearest older. Throws Error(invalid_argument) where `arch` is none.
[[nodiscard]] std::vector<DeviceTraits> known_devices(std::string_view arch);

/// Those of the first, with `sm_count` multiprocessors unless that is 0.
[[nodiscard]] DeviceTraits typical_traits(std::string_view arch, int sm_count = 0);

}  // namespace kerncast
