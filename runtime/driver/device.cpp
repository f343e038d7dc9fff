#include "runtime/driver/device.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "kerncast/error.hpp"
#include "runtime/driver/driver_error.hpp"

namespace kerncast::driver {
namespace {

/// Compute capabilities that have an architecture-specific instruction set.
constexpr std::array<int, 6> specific = {90, 100, 103, 110, 120, 121};

std::string format_uuid(const CUuuid& uuid) {
  std::string text = "GPU";
  for (std::size_t i = 0; i < sizeof uuid.bytes; ++i) {
    const bool group = i == 0 || i == 4 || i == 6 || i == 8 || i == 10;
    text += fmt::format("{}{:02x}", group ? "-" : "", static_cast<unsigned char>(uuid.bytes[i]));
  }
  return text;
}

}  // namespace

std::string arch_of(int sm) {
  const bool has_variant = std::find(specific.begin(), specific.end(), sm) != specific.end();
  return fmt::format("sm_{}{}", sm, has_variant ? "a" : "");
}

DeviceInfo query_device(const DriverApi& api, int ordinal) {
  int count = 0;
  check(api, api.cuDeviceGetCount(&count), "counting devices");
  if (ordinal < 0 || ordinal >= count) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("there is no device {}; the driver has {}", ordinal, count));
  }
  CUdevice device = 0;
  const std::string what = fmt::format("querying device {}", ordinal);
  check(api, api.cuDeviceGet(&device, ordinal), what);
  const auto attribute = [&](CUdevice_attribute which) {
    int value = 0;
    check(api, api.cuDeviceGetAttribute(&value, which, device), what);
    return value;
  };
  DeviceInfo info;
  info.ordinal = ordinal;
  std::array<char, 256> name{};
  check(api, api.cuDeviceGetName(name.data(), static_cast<int>(name.size()) - 1, device), what);
  info.name = name.data();
  CUuuid uuid{};
  check(api, api.cuDeviceGetUuid(&uuid, device), what);
  info.uuid = format_uuid(uuid);
  info.sm = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR) * 10 +
            attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
  info.arch = arch_of(info.sm);
  info.sm_count = attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
  info.max_threads_per_block = attribute(CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
  info.max_threads_per_sm = attribute(CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR);
  info.max_shared_per_block_optin = attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
  info.max_shared_per_sm = attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR);
  info.registers_per_sm = attribute(CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR);
  info.l2_bytes = attribute(CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE);
  info.clock_khz = attribute(CU_DEVICE_ATTRIBUTE_CLOCK_RATE);
  info.memory_clock_khz = attribute(CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE);
  info.memory_bus_bits = attribute(CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH);
  check(api, api.cuDeviceTotalMem(&info.total_memory, device), what);
  return info;
}

}  // namespace kerncast::driver
