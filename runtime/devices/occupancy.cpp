#include "runtime/devices/occupancy.hpp"

#include <algorithm>
#include <limits>

namespace kerncast::devices {
namespace {

constexpr std::uint64_t warp_size = 32;
constexpr int register_unit = 256;
constexpr int partitions = 4;
constexpr std::uint64_t shared_unit = 128;

int clamp_to_int(std::uint64_t value) {
  return static_cast<int>(
      std::min<std::uint64_t>(value, static_cast<std::uint64_t>(std::numeric_limits<int>::max())));
}

int blocks_by_registers(const DeviceDescription& device, int registers, int warps) {
  if (registers <= 0) {
    return std::numeric_limits<int>::max();
  }
  const int per_warp =
      (registers * static_cast<int>(warp_size) + register_unit - 1) / register_unit * register_unit;
  const int warps_that_fit = device.registers_per_sm / partitions / per_warp * partitions;
  return warps_that_fit / warps;
}

int blocks_by_shared(const DeviceDescription& device, std::uint64_t bytes) {
  if (bytes > static_cast<std::uint64_t>(device.shared_bytes_per_block)) {
    return 0;
  }
  const std::uint64_t taken =
      (bytes + static_cast<std::uint64_t>(device.reserved_shared_bytes_per_block) + shared_unit - 1) /
      shared_unit * shared_unit;
  return taken == 0 ? std::numeric_limits<int>::max()
                    : clamp_to_int(static_cast<std::uint64_t>(device.shared_bytes_per_sm) / taken);
}

}  // namespace

Occupancy occupancy(const DeviceDescription& device, const BlockResources& block) {
  Occupancy result;
  const int warps = clamp_to_int((std::uint64_t{block.threads} + warp_size - 1) / warp_size);
  if (warps == 0 || block.threads > static_cast<std::uint32_t>(device.max_threads_per_block)) {
    result.limit = "warps";
    return result;
  }
  struct Limit {
    const char* name;
    int blocks;
  };
  // If several limits are equally tight, the first is named.
  const Limit limits[] = {
      {"warps", device.max_warps_per_sm / warps},
      {"blocks", device.max_blocks_per_sm},
      {"registers", blocks_by_registers(device, block.registers, warps)},
      {"shared memory", blocks_by_shared(device, block.shared_bytes)},
  };
  const Limit* tightest =
      std::min_element(std::begin(limits), std::end(limits),
                       [](const Limit& a, const Limit& b) { return a.blocks < b.blocks; });
  result.limit = tightest->name;
  result.blocks_per_sm = tightest->blocks;
  result.warps_per_sm = tightest->blocks * warps;
  result.fraction = static_cast<double>(result.warps_per_sm) / device.max_warps_per_sm;
  return result;
}

}  // namespace kerncast::devices
