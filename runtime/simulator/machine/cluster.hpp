#pragma once

#include <cstdint>
#include <vector>

#include "runtime/simulator/machine/state.hpp"

namespace kerncast::simulator {

/// The blocks that run as one cluster, in order of their ranks, and their barrier. They share a host thread.
struct Cluster {
  ClusterMemory memory;
  std::vector<Block*> blocks;
  std::uint32_t arrived = 0;  ///< live threads that have arrived in this phase of the barrier
  bool odd = false;           ///< the phase has an odd number
};

/// Completes the phase of the cluster's barrier if all live threads have arrived; called whenever a thread
/// arrives or exits.
void settle_cluster(Cluster& cluster);
/// Takes the lanes of `mask`, which exit, off the barrier's arrivals.
void leave_cluster(Warp& warp, std::uint32_t mask);

}  // namespace kerncast::simulator
