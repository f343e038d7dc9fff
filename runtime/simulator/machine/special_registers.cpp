#include <algorithm>
#include <bit>
#include <chrono>

#include "runtime/simulator/machine/scheduler.hpp"

namespace kerncast::simulator {
namespace {

/// Clocks of the device since the launch began, at an instruction of `warp`.
double clocks_since_start(const Warp& warp, const Op* op, const KernelClock& clock) {
  const auto executed = static_cast<double>(warp.warp_instructions + (op->prefix - warp.run_prefix));
  return executed * clock.clocks_per_instruction + static_cast<double>(warp.slept) * clock.ghz;
}

std::uint64_t read_nanoseconds(const Warp& warp, const Op* op, const Launch& launch) {
  if (launch.clock != nullptr) {
    const KernelClock& clock = *launch.clock;
    return clock.start_ps / 1000 +
           static_cast<std::uint64_t>(clocks_since_start(warp, op, clock) / clock.ghz);
  }
  const auto host = std::chrono::steady_clock::now().time_since_epoch();
  return launch.clock_offset + warp.slept +
         static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(host).count());
}

/// Without a device clock, one tick per warp instruction of this warp: deterministic, and it advances.
std::uint64_t read_clock(const Warp& warp, const Op* op, const Launch& launch) {
  if (launch.clock != nullptr) {
    const KernelClock& clock = *launch.clock;
    return static_cast<std::uint64_t>(static_cast<double>(clock.start_ps) * 1e-3 * clock.ghz +
                                      clocks_since_start(warp, op, clock));
  }
  return warp.warp_instructions + (op->prefix - warp.run_prefix);
}

}  // namespace

void read_special(Warp& warp, const Op* op, std::uint64_t* values) {
  const Block& block = *warp.block;
  const LaunchState& state = *block.launch;
  const Launch& launch = *state.launch;
  const auto special = static_cast<Special>(op->sub);
  const auto fill = [&](std::uint64_t value) { std::fill_n(values, lane_count, value); };
  const auto per_lane = [&](auto f) {
    for (std::uint32_t lane = 0; lane < lane_count; ++lane) {
      values[lane] = f(lane);
    }
  };
  switch (special) {
    case Special::tid_x:
      if (launch.block[1] == 1 && launch.block[2] == 1) {
        per_lane([&](std::uint32_t lane) { return warp.index * lane_count + lane; });
      } else {
        per_lane([&](std::uint32_t lane) { return thread_position(warp, lane)[0]; });
      }
      break;
    case Special::tid_y:
      per_lane([&](std::uint32_t lane) { return thread_position(warp, lane)[1]; });
      break;
    case Special::tid_z:
      per_lane([&](std::uint32_t lane) { return thread_position(warp, lane)[2]; });
      break;
    case Special::ntid_x:
      fill(launch.block[0]);
      break;
    case Special::ntid_y:
      fill(launch.block[1]);
      break;
    case Special::ntid_z:
      fill(launch.block[2]);
      break;
    case Special::ctaid_x:
      fill(block.position[0]);
      break;
    case Special::ctaid_y:
      fill(block.position[1]);
      break;
    case Special::ctaid_z:
      fill(block.position[2]);
      break;
    case Special::nctaid_x:
      fill(launch.grid[0]);
      break;
    case Special::nctaid_y:
      fill(launch.grid[1]);
      break;
    case Special::nctaid_z:
      fill(launch.grid[2]);
      break;
    case Special::laneid:
      per_lane([](std::uint32_t lane) { return lane; });
      break;
    case Special::warpid:
      fill(warp.index);
      break;
    case Special::nwarpid:
      fill(64);
      break;
    case Special::smid:
      fill(block.linear % std::max(launch.sm_count, 1U));
      break;
    case Special::nsmid:
      fill(launch.sm_count);
      break;
    case Special::gridid:
    case Special::zero:
      fill(0);
      break;
    case Special::one:
      fill(1);
      break;
    case Special::clusterid_x:
      fill(block.position[0] / launch.cluster[0]);
      break;
    case Special::clusterid_y:
      fill(block.position[1] / launch.cluster[1]);
      break;
    case Special::clusterid_z:
      fill(block.position[2] / launch.cluster[2]);
      break;
    case Special::nclusterid_x:
      fill(launch.grid[0] / launch.cluster[0]);
      break;
    case Special::nclusterid_y:
      fill(launch.grid[1] / launch.cluster[1]);
      break;
    case Special::nclusterid_z:
      fill(launch.grid[2] / launch.cluster[2]);
      break;
    case Special::cluster_ctaid_x:
      fill(block.position[0] % launch.cluster[0]);
      break;
    case Special::cluster_ctaid_y:
      fill(block.position[1] % launch.cluster[1]);
      break;
    case Special::cluster_ctaid_z:
      fill(block.position[2] % launch.cluster[2]);
      break;
    case Special::cluster_nctaid_x:
      fill(launch.cluster[0]);
      break;
    case Special::cluster_nctaid_y:
      fill(launch.cluster[1]);
      break;
    case Special::cluster_nctaid_z:
      fill(launch.cluster[2]);
      break;
    case Special::cluster_ctarank:
      fill(warp.rank);
      break;
    case Special::cluster_nctarank:
      fill(std::uint64_t{launch.cluster[0]} * launch.cluster[1] * launch.cluster[2]);
      break;
    case Special::clock:
      fill(read_clock(warp, op, launch));
      break;
    case Special::clock_hi:
      fill(read_clock(warp, op, launch) >> 32);
      break;
    case Special::globaltimer:
    case Special::globaltimer_lo:
      fill(read_nanoseconds(warp, op, launch));
      break;
    case Special::globaltimer_hi:
      fill(read_nanoseconds(warp, op, launch) >> 32);
      break;
    case Special::lanemask_eq:
      per_lane([](std::uint32_t lane) { return 1U << lane; });
      break;
    case Special::lanemask_le:
      per_lane([](std::uint32_t lane) { return all_lanes >> (31 - lane); });
      break;
    case Special::lanemask_lt:
      per_lane([](std::uint32_t lane) { return (1U << lane) - 1; });
      break;
    case Special::lanemask_ge:
      per_lane([](std::uint32_t lane) { return all_lanes << lane; });
      break;
    case Special::lanemask_gt:
      per_lane([](std::uint32_t lane) { return ~(all_lanes >> (31 - lane)); });
      break;
    case Special::dynamic_smem_size:
      fill(launch.dynamic_shared_bytes);
      break;
    case Special::total_smem_size:
      fill(state.shared_bytes);
      break;
    case Special::dynamic_shared_base:
      fill(state.dynamic_shared_base + static_cast<std::uint64_t>(op->imm));
      break;
    case Special::grid_workspace_hi:
      fill(state.grid_workspace >> 32);
      break;
    case Special::grid_workspace_lo:
      fill(state.grid_workspace & 0xffffffff);
      break;
    case Special::local_base: {
      const auto* base = reinterpret_cast<const std::uint32_t*>(warp.base[0] + frame_header::local_base);
      per_lane([&](std::uint32_t lane) { return base[lane] + static_cast<std::uint64_t>(op->imm); });
      break;
    }
  }
}

}  // namespace kerncast::simulator
