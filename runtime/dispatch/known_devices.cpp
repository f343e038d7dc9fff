#include "runtime/dispatch/known_devices.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "kerncast/error.hpp"
#include "runtime/devices/device_specs.hpp"
#include "runtime/util/leading_number.hpp"

namespace kerncast {
namespace {

int number_of(std::string_view arch) {
  const int sm = arch.starts_with("sm_") ? leading_number(arch.substr(3)) : 0;
  if (sm < 50) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("'{}' is not an architecture; write it as sm_90a", arch));
  }
  return sm;
}

}  // namespace

std::vector<DeviceTraits> known_devices(std::string_view arch) {
  const int sm = number_of(arch);
  const devices::ArchSpec& nearest = devices::arch_spec(sm);
  std::vector<DeviceTraits> found;
  for (const devices::DeviceSpec& device : devices::device_specs) {
    // Devices that differ in memory alone are one.
    const bool listed = std::any_of(found.begin(), found.end(), [&](const DeviceTraits& traits) {
      return traits.sm_count == device.sm_count;
    });
    if (device.sm == nearest.sm && !listed) {
      found.push_back({sm, device.sm_count, nearest.shared_kib_per_block * 1024});
    }
  }
  return found;
}

DeviceTraits typical_traits(std::string_view arch, int sm_count) {
  DeviceTraits traits = known_devices(arch).front();
  traits.sm_count = sm_count > 0 ? sm_count : traits.sm_count;
  return traits;
}

}  // namespace kerncast
