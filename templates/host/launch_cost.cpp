#include "templates/host/launch_cost.hpp"

#include <algorithm>

#include "templates/host/checks.hpp"

namespace kerncast::host {
namespace {

/// What an architecture's devices have in common; figures of memory and clock are those of its largest.
struct Architecture {
  int sm;
  int warps;             ///< of a multiprocessor at most
  int blocks;            ///< of a multiprocessor at most
  double bytes;          ///< of memory per clock and multiprocessor
  double latency;        ///< clocks from a load to its use
  double launch_clocks;  ///< 1.2 us at its clock
};

// As tools/profile/device_description.cpp has them, where it has; the others by their data sheets, their
// latency assumed.
constexpr Architecture architectures[] = {
    {75, 32, 16, 5, 430, 1900},     {80, 64, 32, 13.4, 466, 1700}, {86, 48, 16, 6.7, 480, 2000},
    {87, 48, 16, 9.8, 480, 1600},   {89, 48, 24, 3.1, 542, 3000},  {90, 64, 32, 12.8, 479, 2400},
    {100, 64, 32, 27.5, 600, 2400}, {110, 48, 24, 8.7, 600, 1900}, {120, 48, 24, 4.4, 600, 2900},
};

constexpr double issue_per_clock = 4;
constexpr double clocks_between = 2;  ///< dependent instructions wait four clocks, two of them together
constexpr double loads_under_way = 4;
constexpr double barrier_latency = 60;  ///< with what is read of shared memory after it

const Architecture& architecture_of(int sm) {
  const Architecture* found = &architectures[0];
  for (const Architecture& known : architectures) {
    found = known.sm <= sm ? &known : found;
  }
  return *found;
}

/// Registers of a thread that holds `turns` vectors.
std::int64_t registers_of(std::int64_t turns) {
  return std::min<std::int64_t>(24 + 8 * turns, 64);
}

}  // namespace

std::int32_t warps_held(const DeviceTraits& device) {
  return architecture_of(device.sm).warps;
}

double launch_clocks(const LaunchGeometry& geometry, std::int64_t turns, const LaunchWork& work,
                     const DeviceTraits& device) {
  const Architecture& arch = architecture_of(device.sm);
  const std::int64_t blocks = std::int64_t{geometry.grid[0]} * geometry.grid[1] * geometry.grid[2];
  if (blocks == 0) {
    return 0;
  }
  const std::int64_t warps = divide_up(geometry.block[0], 32);
  const std::int64_t busiest = divide_up(blocks, device.sm_count);
  const std::int64_t held = std::clamp<std::int64_t>(65536 / (warps * 32 * registers_of(turns)), 1,
                                                     std::min<std::int64_t>(arch.warps / warps, arch.blocks));
  const double instructions =
      static_cast<double>(blocks * warps) * work.once + static_cast<double>(work.vectors) / 32 * work.each;
  const double issue =
      instructions * static_cast<double>(busiest) / static_cast<double>(blocks) / issue_per_clock;
  const double loads = std::max(1.0, static_cast<double>(turns * work.loads) / loads_under_way);
  const double warp = static_cast<double>(work.once + turns * work.each) * clocks_between +
                      loads * arch.latency + work.barriers * barrier_latency;
  const double latency = warp * static_cast<double>(divide_up(busiest, held));
  const double memory = static_cast<double>(work.bytes) / (arch.bytes * device.sm_count);
  return arch.launch_clocks + std::max({memory, issue, latency});
}

}  // namespace kerncast::host
