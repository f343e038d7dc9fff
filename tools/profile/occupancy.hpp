#pragma once

#include <cstdint>
#include <string>

#include "tools/profile/device_description.hpp"

namespace kerncast::tools {

/// What a block needs of an SM.
struct BlockResources {
  std::uint32_t threads = 0;
  int registers = 0;               ///< per thread; 0 where unknown, which then limits nothing
  std::uint64_t shared_bytes = 0;  ///< static and dynamic
};

/// How much of an SM a kernel can fill.
struct Occupancy {
  int blocks_per_sm = 0;  ///< 0: a block does not fit at all
  int warps_per_sm = 0;
  double fraction = 0;  ///< warps of the most an SM holds
  std::string limit;    ///< what allows no more blocks: "warps", "blocks", "registers" or "shared memory"
};

/// By the rules of the CUDA programming guide: registers are given to a warp in units of 256, evenly over the
/// four partitions of an SM; shared memory to a block in units of 128 bytes, with what the driver reserves.
[[nodiscard]] Occupancy occupancy(const DeviceDescription& device, const BlockResources& block);

}  // namespace kerncast::tools
