#include "templates/host/launch_cost.hpp"

#include <algorithm>
#include <cmath>

#include "runtime/devices/device_specs.hpp"
#include "runtime/devices/warp_cost.hpp"
#include "templates/host/checks.hpp"

namespace kerncast::host {
namespace {

/// The figures of a device that the choice of tunables depends on. They are rounded, since no choice should
/// hang on the fourth digit of a data sheet.
struct Figures {
  std::int64_t warps_per_sm;
  std::int64_t blocks_per_sm;
  double memory_bytes;   ///< per clock and multiprocessor
  double latency;        ///< clocks from a load to its use
  double launch_clocks;  ///< of a launch that does nothing
  double double_clocks;  ///< that an instruction of a warp in f64 takes of a multiprocessor's units
};

Figures figures_of(int sm) {
  const devices::DeviceSpec& device = devices::reference_device(sm);
  const devices::ArchSpec& arch = devices::arch_spec(device.sm);
  const double bytes = device.memory_gb_per_s * 1e3 / device.clock_mhz / device.sm_count;
  const double launch = devices::launch_overhead_us * device.clock_mhz;
  return {
      arch.threads_per_sm / 32,       arch.blocks_per_sm,
      std::round(10 * bytes) / 10,    arch.global_latency,
      100 * std::round(launch / 100), arch.double_lanes > 0 ? devices::warp_lanes / arch.double_lanes : 0};
}

/// Registers of a thread that holds `turns` vectors: an estimate.
std::int64_t registers_of(std::int64_t turns) {
  return std::min<std::int64_t>(24 + 8 * turns, 64);
}

}  // namespace

double launch_clocks(const LaunchGeometry& geometry, std::int64_t turns, const LaunchWork& work,
                     const DeviceTraits& device) {
  const Figures figures = figures_of(device.sm);
  const std::int64_t blocks = std::int64_t{geometry.grid[0]} * geometry.grid[1] * geometry.grid[2];
  if (blocks == 0) {
    return 0;
  }
  const std::int64_t warps = divide_up(geometry.block[0], 32);
  const std::int64_t busiest = devices::busiest_blocks(blocks, device.sm_count);
  const std::int64_t held =
      std::clamp<std::int64_t>(devices::registers_per_sm / (warps * 32 * registers_of(turns)), 1,
                               std::min(figures.warps_per_sm / warps, figures.blocks_per_sm));
  const double instructions =
      static_cast<double>(blocks * warps) * work.once + static_cast<double>(work.vectors) / 32 * work.each;
  const double issue =
      instructions * static_cast<double>(busiest) / static_cast<double>(blocks) / devices::issue_per_clock;
  const double doubles = static_cast<double>(busiest * warps * work.doubles) * figures.double_clocks;
  // The values that a barrier guards are read from shared memory after it.
  const double warp =
      devices::warp_clocks({.instructions = static_cast<double>(work.once + turns * work.each),
                            .global_waits = devices::load_waits(static_cast<double>(turns * work.loads)),
                            .shared_waits = static_cast<double>(work.barriers),
                            .barriers = static_cast<double>(work.barriers)},
                           {.global = figures.latency});
  const double latency = warp * static_cast<double>(divide_up(busiest, held));
  const double memory = static_cast<double>(work.bytes) / (figures.memory_bytes * device.sm_count);
  return figures.launch_clocks + std::max({memory, issue, doubles, latency});
}

}  // namespace kerncast::host
