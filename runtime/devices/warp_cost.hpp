#pragma once

#include <algorithm>
#include <cstdint>

/// The constants and formulas of the cost model, which estimates the time of a launch from what its warps do.
/// The full model is runtime/devices/cost_model.hpp; templates/host/launch_cost.hpp evaluates it in a few
/// terms to choose tunables.
namespace kerncast::devices {

constexpr double warp_lanes = 32;
constexpr int registers_per_sm = 65536;
constexpr double issue_per_clock = 4;  ///< warp instructions per clock and SM: four schedulers of one each
/// Clocks from an arithmetic instruction to one that needs its result: Jia et al., "Dissecting the NVIDIA
/// Volta GPU Architecture via Microbenchmarking" (2018), and alike since.
constexpr double dependent_latency = 4;
constexpr double independent_instructions = 2;  ///< instructions of a warp that do not wait for each other
constexpr double loads_under_way = 4;           ///< loads of a warp that are under way together
constexpr double barrier_latency =
    30;  ///< clocks of a barrier that no warp is late for: assumed, of the right order
constexpr double shared_read_latency = 30;  ///< clocks from a load of shared memory to its use, rounded
/// Time of a kernel that does nothing: on an H100, one-row kernels launched back to back in a graph take 1.0
/// to 1.3 us each, by this project's own measurement. Other devices are assumed to take as long.
constexpr double launch_overhead_us = 1.2;
/// The part of launch_overhead_us that a dependent launch hides behind the launch before it, on devices of
/// compute capability 9.0 and above. The CUDA programming guide ("Programmatic Dependent Launch and
/// Synchronization") says what may overlap: the launch itself and the kernel's work before it waits. It gives
/// no figures, so this one is assumed: the wait for the end of the launch before, and for its memory,
/// remains.
constexpr double hidden_launch_us = 0.7;
/// Time between launches that a host makes one by one, below which kernels get no shorter. Assumed, of the
/// right order.
constexpr double eager_launch_us = 2.2;

/// Number of times that a warp waits for `count` loads. A kernel that loads at all waits at least once.
[[nodiscard]] constexpr double load_waits(double count) noexcept {
  return std::max(1.0, count / loads_under_way);
}

/// Clocks that a warp of one device waits each time.
struct Latencies {
  double global = 0;
  double shared = shared_read_latency;
  double barrier = barrier_latency;
  double dependent = dependent_latency;
};

/// The work of one warp from start to end.
struct WarpWork {
  double instructions = 0;
  double global_waits = 0;
  double shared_waits = 0;
  double barriers = 0;
};

/// Clocks of one warp from start to end.
[[nodiscard]] constexpr double warp_clocks(const WarpWork& work, const Latencies& latencies) noexcept {
  return work.instructions * latencies.dependent / independent_instructions +
         work.global_waits * latencies.global + work.shared_waits * latencies.shared +
         work.barriers * latencies.barrier;
}

/// Blocks of the multiprocessor that has the most, when `blocks` are spread over `sm_count`.
[[nodiscard]] constexpr std::int64_t busiest_blocks(std::int64_t blocks, std::int64_t sm_count) noexcept {
  return (blocks + sm_count - 1) / sm_count;
}

}  // namespace kerncast::devices
