#include "runtime/simulator/machine/cluster.hpp"

#include <bit>

#include "runtime/simulator/machine/scheduler.hpp"

namespace kerncast::simulator {

namespace {

/// Lanes of the warp that have arrived in the cluster's current phase.
std::uint32_t arrived_now(const Warp& warp, const Cluster& cluster) {
  return warp.cluster_arrived & (cluster.odd ? warp.cluster_odd : ~warp.cluster_odd);
}

/// The lanes of `mask` have waited for the barrier.
void pass(Warp& warp, std::uint32_t mask) {
  warp.cluster_arrived &= ~mask;
  if (warp.strict != nullptr) {
    strict_cluster_passed(*warp.strict, warp.index);
  }
}

void release_waiting(Warp& warp) {
  for (std::uint32_t i = 0; i < warp.fragment_count;) {
    if (warp.fragments[i].state != Fragment::State::cluster) {
      ++i;
      continue;
    }
    const Fragment gone = warp.fragments[i];
    warp.fragments[i] = warp.fragments[--warp.fragment_count];
    pass(warp, gone.mask);
    add_fragment(warp, gone.at + 1, gone.mask, gone.frame, Fragment::State::ready);
  }
}

}  // namespace

void settle_cluster(Cluster& cluster) {
  std::uint32_t live = 0;
  for (const Block* block : cluster.blocks) {
    live += block->live_threads;
  }
  if (cluster.arrived == 0 || cluster.arrived != live) {
    return;
  }
  cluster.arrived = 0;
  cluster.odd = !cluster.odd;
  for (Block* block : cluster.blocks) {
    if (block->strict != nullptr) {
      strict_cluster_met(*block->strict);
    }
    for (Warp& warp : block->warps) {
      release_waiting(warp);
    }
  }
}

void leave_cluster(Warp& warp, std::uint32_t mask) {
  Cluster& cluster = *warp.block->cluster;
  cluster.arrived -= static_cast<std::uint32_t>(std::popcount(arrived_now(warp, cluster) & mask));
  warp.cluster_arrived &= ~mask;
}

const Op* cluster_arrive(Warp& warp, const Op* op, std::uint32_t mask) {
  Cluster& cluster = *warp.block->cluster;
  if (!meet_aligned(warp, op, mask)) {
    return nullptr;
  }
  if (const std::uint32_t again = warp.cluster_arrived & mask; again != 0) {
    return raise_illegal(warp, op, static_cast<std::uint32_t>(std::countr_zero(again)),
                         "arrives at its cluster's barrier again before it has waited for it");
  }
  if (warp.strict != nullptr) {
    strict_cluster_arrived(*warp.strict, warp.index);
  }
  warp.cluster_arrived |= mask;
  warp.cluster_odd = cluster.odd ? warp.cluster_odd | mask : warp.cluster_odd & ~mask;
  cluster.arrived += static_cast<std::uint32_t>(std::popcount(mask));
  settle_cluster(cluster);
  return op + 1;
}

const Op* cluster_wait(Warp& warp, const Op* op, std::uint32_t mask) {
  const Cluster& cluster = *warp.block->cluster;
  if (!meet_aligned(warp, op, mask)) {
    return nullptr;
  }
  if (const std::uint32_t absent = mask & ~warp.cluster_arrived; absent != 0) {
    return raise_illegal(warp, op, static_cast<std::uint32_t>(std::countr_zero(absent)),
                         "waits for its cluster's barrier, at which it has not arrived");
  }
  const std::uint32_t waits = mask & arrived_now(warp, cluster);
  if (waits != mask) {
    pass(warp, mask & ~waits);
  }
  if (waits == 0) {
    return op + 1;
  }
  count_through(warp, op);
  add_fragment(warp, op, waits, warp.frame, Fragment::State::cluster);
  warp.active &= ~waits;
  warp.resume = op + 1;
  warp.event = Event::reschedule;
  return nullptr;
}

}  // namespace kerncast::simulator
