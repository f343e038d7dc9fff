#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/devices/device_description.hpp"
#include "runtime/devices/occupancy.hpp"

/// Estimates the time of a launch from exact counts. Deterministic; an estimate, never a measurement. The
/// constants and the clocks of a warp are those of runtime/devices/warp_cost.hpp. The profile of the command
/// and the device clock of the virtual GPU both use it. The functions are pure, and thus thread-safe.
///
/// The work of a launch is divided by the rate of each thing that could hold it up. For a launch of B blocks
/// on a device of S SMs, each holding R blocks at once, these are the factors:
///
///     memory bandwidth  memory bytes / memory bandwidth
///     L2 bandwidth      32 * sectors / L2 bandwidth, and at most 64 bytes per clock into one SM
///     issue             warp instructions / 4 per clock and SM
///     <class> unit      32 * warp instructions of that class / its lanes per clock and SM
///     tensor unit       multiply-adds / its rate per clock and SM
///     shared memory     wavefronts / 1 per clock and SM
///     latency           one warp from start to end, as often as an SM takes in new blocks: B / (S * R)
///
/// Every factor but memory is computed twice: with the blocks spread evenly, and for the busiest SM, which
/// has ceil(B / S) blocks and takes them in ceil(ceil(B / S) / R) waves. Then
///
///     estimate = launch overhead + largest evenly spread factor + tail
///     tail     = largest factor of the busiest SM - largest evenly spread factor
///
/// A launch with the attribute of programmatic stream serialization, behind one that triggers it in time,
/// hides a part of its launch overhead behind that one (hidden_launch_us). Its estimate is less by this part.
/// The work that it does before it waits is not told from the rest, and hides nothing.
///
/// The limiting factor is the largest of these three, by the name of its factor. One warp takes, from start
/// to end,
///
///     instructions * dependent latency / 2 + loads * global latency / 4
///       + shared loads * shared latency / 4 + barriers * barrier latency
///
/// A kernel that loads at all waits for at least one load. The first wave takes as long as the longest warp,
/// such as one that chooses among candidates that other warps only read, or one that has a row when others
/// have none; its loads exceed those of an average warp by the same ratio as its requests. Every further wave
/// takes as long as an average warp.
///
/// Assumptions. PTX instructions stand for machine instructions, one for one, but moves cost nothing, since
/// they disappear when registers are assigned. All warps wait for equally many barriers. Two instructions of
/// a warp are independent of each other, and four of its loads are under way together. No data is cached
/// before the launch; data read again is found in L2, so memory moves every tensor byte once, or the
/// requested sectors if those are fewer. L1 holds nothing. Memory, L2 and units reach their full rate at the
/// boost clock, and overlap perfectly.
namespace kerncast::devices {

/// The work of a launch, as the model counts it.
struct CostInput {
  std::uint64_t blocks = 0;
  std::uint32_t warps_per_block = 0;
  BlockResources resources;
  /// Warp instructions by class, by the names that the virtual GPU gives them: "float", "load", ...
  std::vector<std::pair<std::string, std::uint64_t>> warp_instructions;
  /// Instructions of the warp that ran most, moves included; 0: all warps run the same.
  std::uint64_t longest_warp = 0;
  std::uint64_t longest_warp_requests = 0;  ///< its global loads, stores and atomics
  std::uint64_t global_requests = 0;        ///< of all warps
  double tensor_fma = 0;                    ///< multiply-adds of 16-bit operands
  std::uint64_t global_sectors = 0;         ///< loads, stores and atomics
  std::uint64_t memory_bytes = 0;           ///< bytes that must come from or go to memory
  std::uint64_t global_waits = 0;           ///< requests whose result a warp waits for: loads and atomics
  std::uint64_t shared_wavefronts = 0;
  std::uint64_t shared_waits = 0;  ///< shared loads and atomics
  std::uint64_t barriers = 0;      ///< warp instructions
};

/// The counts of one class of instructions in a launch that the model reads.
struct ClassCounts {
  std::uint64_t warp_instructions = 0;
  std::uint64_t global_requests = 0;
  std::uint64_t global_sectors = 0;
  std::uint64_t shared_requests = 0;
  std::uint64_t shared_wavefronts = 0;
  double tensor_fma = 0;  ///< as tensor_work.hpp counts them
};

/// Adds the work of class `unit` to `input`. A class may be added once. Memory bytes are not counted by
/// class, and stay as they are.
void add_class(CostInput& input, std::string_view unit, const ClassCounts& counts);

/// The time one thing would take if it alone held up the launch.
struct CostFactor {
  /// "memory bandwidth", "L2 bandwidth", "issue", "float unit", "shared memory", "latency"
  std::string name;
  double us = 0;          ///< with the blocks spread evenly over the SMs
  double busiest_us = 0;  ///< of the SM with the most blocks
};

struct Estimate {
  const DeviceDescription* device = nullptr;
  Occupancy occupancy;
  bool fits = false;                ///< false: a block needs more than an SM has; nothing below is set
  std::uint64_t waves = 0;          ///< waves of the busiest SM
  std::vector<CostFactor> factors;  ///< in a fixed order; factors without work are left out
  double tail_us = 0;
  double launch_overhead_us = 0;
  double total_us = 0;
  double dependent_us = 0;      ///< the total of a programmatic launch; total_us where the device has none
  std::string limiting_factor;  ///< the name of a factor, "tail" or "launch overhead"
};

/// Names of the tail and of the launch overhead among factors.
constexpr std::string_view tail_name = "tail";
constexpr std::string_view launch_overhead_name = "launch overhead";

/// Estimates the time of a launch on `device`, which must outlive the estimate.
[[nodiscard]] Estimate estimate_cost(const CostInput& input, const DeviceDescription& device);

}  // namespace kerncast::devices
