#include "runtime/devices/device_description.hpp"

#include <algorithm>
#include <cctype>
#include <string>

#include "runtime/devices/device_specs.hpp"
#include "runtime/devices/warp_cost.hpp"
#include "runtime/util/leading_number.hpp"

namespace kerncast::devices {
namespace {

/// Puts the facts of a device and of its architecture together with what all devices have in common. Figures
/// that device_specs does not give are assumed, and round.
DeviceDescription describe(const DeviceSpec& spec) {
  const ArchSpec& arch = arch_spec(spec.sm);
  DeviceDescription device;
  device.name = spec.id;
  device.title = spec.title;
  device.arch = arch.target;
  device.sm = spec.sm;
  device.sm_count = spec.sm_count;
  device.clock_ghz = spec.clock_mhz / 1e3;
  device.memory_gb_per_s = spec.memory_gb_per_s;
  device.host_gb_per_s = arch.host_gb_per_s;
  device.l2_bytes = static_cast<std::uint64_t>(spec.l2_mib) << 20;
  device.l2_bytes_per_clock = arch.l2_bytes_per_clock;
  device.l2_bytes_per_clock_sm = 64;
  device.shared_wavefronts_clock = 1;
  device.issue_per_clock = issue_per_clock;
  device.rates = {.float_lanes = arch.float_lanes,
                  .double_lanes = arch.double_lanes,
                  .half_lanes = arch.half_lanes,
                  .integer_lanes = 64,
                  .special_lanes = 16,
                  .convert_lanes = arch.convert_lanes,
                  .control_lanes = 64,
                  .load_store_lanes = 32,
                  .warp_lanes = 32,
                  .tensor_fma = arch.tensor_fma};
  device.global_latency = arch.global_latency;
  device.shared_latency = arch.shared_latency;
  device.barrier_latency = barrier_latency;
  device.dependent_latency = dependent_latency;
  device.launch_overhead_us = launch_overhead_us;
  device.max_warps_per_sm = arch.threads_per_sm / 32;
  device.max_blocks_per_sm = arch.blocks_per_sm;
  device.registers_per_sm = registers_per_sm;
  device.shared_bytes_per_sm = arch.shared_kib_per_sm * 1024;
  device.shared_bytes_per_block = arch.shared_kib_per_block * 1024;
  device.reserved_shared_bytes_per_block = 1024;
  return device;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

/// "nvidiageforcertx4090" for "NVIDIA GeForce RTX 4090".
std::string letters_and_digits(std::string_view text) {
  std::string out = lower(text);
  std::erase_if(out, [](unsigned char c) { return std::isalnum(c) == 0; });
  return out;
}

}  // namespace

const std::vector<DeviceDescription>& device_descriptions() {
  static const std::vector<DeviceDescription> described = [] {
    std::vector<DeviceDescription> made;
    for (const DeviceSpec& spec : device_specs) {
      if (!spec.id.empty()) {
        made.push_back(describe(spec));
      }
    }
    return made;
  }();
  return described;
}

const DeviceDescription* find_device_description(std::string_view name) {
  const std::string wanted = lower(name);
  const std::vector<DeviceDescription>& described = device_descriptions();
  const auto found = std::find_if(described.begin(), described.end(),
                                  [&](const DeviceDescription& device) { return device.name == wanted; });
  return found == described.end() ? nullptr : &*found;
}

const DeviceDescription* device_description_of(std::string_view arch) {
  return device_description_of(arch, {});
}

const DeviceDescription* device_description_of(std::string_view arch, std::string_view driver_name) {
  const int sm = arch.starts_with("sm_") ? leading_number(arch.substr(3)) : 0;
  const std::string name = letters_and_digits(driver_name);
  const DeviceDescription* first = nullptr;
  for (const DeviceDescription& device : device_descriptions()) {
    if (device.sm != sm) {
      continue;
    }
    if (name.find(device.name) != std::string::npos) {
      return &device;
    }
    first = first == nullptr ? &device : first;
  }
  return first;
}

}  // namespace kerncast::devices
