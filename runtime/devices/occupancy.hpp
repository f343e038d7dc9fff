#pragma once

#include <cstdint>
#include <string>

#include "runtime/devices/device_description.hpp"

namespace kerncast::devices {

/// The resources of an SM that a block needs.
struct BlockResources {
  std::uint32_t threads = 0;
  int registers = 0;               ///< per thread; 0 if unknown, and then registers are no limit
  std::uint64_t shared_bytes = 0;  ///< static and dynamic
};

/// The share of an SM that a kernel can occupy.
struct Occupancy {
  int blocks_per_sm = 0;  ///< 0 if a block does not fit at all
  int warps_per_sm = 0;
  double fraction = 0;  ///< warps_per_sm divided by the most warps that an SM holds
  std::string limit;    ///< the tightest limit: "warps", "blocks", "registers" or "shared memory"
};

/// Computes the occupancy by the rules of the CUDA programming guide: registers are allocated to a warp in
/// units of 256, evenly over the four partitions of an SM; shared memory is allocated to a block in units of
/// 128 bytes, including the bytes that the driver reserves.
[[nodiscard]] Occupancy occupancy(const DeviceDescription& device, const BlockResources& block);

}  // namespace kerncast::devices
