#include "runtime/simulator/machine/watch.hpp"

#include <fmt/format.h>

#include <bit>

#include "runtime/simulator/machine/scheduler.hpp"
#include "runtime/simulator/machine/state.hpp"
#include "runtime/simulator/watch/profile.hpp"
#include "runtime/simulator/watch/strict.hpp"

namespace kerncast::simulator {

namespace {

/// The lanes of `touch` that access the shared memory of other blocks of the cluster, of which those blocks
/// learn. `ended` is the first lane whose block has ended, if any.
std::uint32_t outside_lanes(const Warp& warp, const WarpAccess& touch, std::uint32_t& ended) {
  const Cluster& cluster = *warp.block->cluster;
  std::uint32_t lanes = 0;
  for (std::uint32_t rank = 0; cluster.memory.blocks > 1 && rank < cluster.memory.blocks; ++rank) {
    if (rank == warp.rank) {
      continue;
    }
    const Block& other = *cluster.blocks[rank];
    const auto base = reinterpret_cast<std::uint64_t>(cluster.memory.shared[rank]);
    for (std::uint32_t rest = touch.mask; rest != 0; rest &= rest - 1) {
      const auto lane = static_cast<std::uint32_t>(std::countr_zero(rest));
      const std::uint64_t offset = touch.at(lane) - base;
      if (offset >= warp.shared_bytes) {
        continue;
      }
      lanes |= 1U << lane;
      ended = other.live_threads == 0 && ended == lane_count ? lane : ended;
      if (other.strict != nullptr) {
        other.strict->access_from_outside(offset, touch.bytes, touch.kind);
      }
    }
  }
  return lanes;
}

/// Takes the part of `touch` that goes to other blocks off it. False after raising a fault.
bool take_outside(Warp& warp, const Op* op, WarpAccess& touch) {
  std::uint32_t ended = lane_count;
  touch.mask &= ~outside_lanes(warp, touch, ended);
  return ended == lane_count || violation(warp, op, [&] {
           return fmt::format("{} accesses the shared memory of a block of its cluster that has ended{}",
                              describe_thread(warp, op, ended), describe_op(warp, op));
         });
}

}  // namespace

bool watch_access(Warp& warp, const Op* op, const WarpAccess& given) {
  if (warp.tally != nullptr) {
    warp.tally->access(warp, op->prefix, given);
  }
  if (warp.strict == nullptr) {
    return true;
  }
  if (op->code != Code::mbarrier) {
    warp.waits_failed = 0;
  }
  WarpAccess touch = given;
  if (!take_outside(warp, op, touch)) {
    return false;
  }
  if (touch.mask == 0) {
    return true;
  }
  if (op->code == Code::wgmma) {
    warp.strict->group_order(warp).note_read(op, touch);
  }
  const std::uint32_t shared = StrictBlock::shared_lanes(warp, touch);
  if (shared == touch.mask) {
    return warp.strict->access(warp, op, touch);
  }
  if (shared == 0) {
    return strict_global_access(warp, op, touch);
  }
  WarpAccess part = touch;
  part.mask = shared;
  if (!warp.strict->access(warp, op, part)) {
    return false;
  }
  part.mask = touch.mask & ~shared;
  return strict_global_access(warp, op, part);
}

void DeleteTally::operator()(Tally* tally) const {
  delete tally;
}

Tally* make_tally(std::uint32_t instructions, bool footprint) {
  return new Tally(instructions, footprint);
}

void add_to_profile(const Tally& tally, LaunchProfile& profile) {
  tally.add_to(profile);
}

void count_run(Tally& tally, std::uint32_t from, std::uint32_t to, std::uint32_t lanes) {
  tally.run(from, to, lanes);
}

void count_divergence(Tally& tally, std::uint32_t instruction) {
  tally.divergent(instruction);
}

void count_end_of_warp(Tally& tally, const Warp& warp) {
  tally.end_of_warp(warp);
}

void DeleteStrict::operator()(StrictBlock* strict) const {
  delete strict;
}

StrictBlock* make_strict(std::uint64_t shared_bytes, std::uint64_t asked, std::uint32_t warps) {
  return new StrictBlock(shared_bytes, asked, warps);
}

bool strict_before(Warp& warp, const Op* op, std::uint32_t mask) {
  GroupOrder& order = warp.strict->group_order(warp);
  if (order.watches() && !order.before(warp, op, mask)) {
    return false;
  }
  return warp.strict->undefined(warp).before(warp, op, mask);
}

bool strict_excess(Warp& warp, const Op* op, std::uint32_t lane, std::uint64_t bytes) {
  return violation(warp, op, [&] {
    return fmt::format(
        "{} leaves an mbarrier at which all threads have arrived and {} bytes more than expected: its phase "
        "does not complete{}",
        describe_thread(warp, op, lane), bytes, describe_op(warp, op));
  });
}

void strict_note_tile(Warp& warp, const Op* op, std::uint32_t span) {
  warp.strict->note_tile(warp, op, span);
}

bool strict_tile(Warp& warp, const Op* op, const std::uint64_t* at, std::uint32_t mask, std::uint32_t span) {
  return warp.strict->check_tile(warp, op, at, mask, span);
}

void strict_start(StrictBlock& strict) {
  strict.start();
}

void strict_arrive(StrictBlock& strict, std::uint32_t warp, std::uint32_t id) {
  strict.arrive(warp, id);
}

void strict_leave(StrictBlock& strict, std::uint32_t waiting, std::uint32_t id) {
  strict.leave(waiting, id);
}

void strict_cluster_arrived(StrictBlock& strict, std::uint32_t warp) {
  strict.cluster_arrived(warp);
}

void strict_cluster_met(StrictBlock& strict) {
  strict.cluster_met();
}

void strict_cluster_passed(StrictBlock& strict, std::uint32_t warp) {
  strict.cluster_passed(warp);
}

void strict_proxy_fence(StrictBlock& strict, std::uint32_t warp) {
  strict.proxy_fence(warp);
}

void strict_grid_waited(StrictBlock& strict, std::uint32_t warp) {
  strict.grid_waited(warp);
}

void strict_lanes_met(StrictBlock& strict, std::uint32_t warp) {
  strict.lanes_met(warp);
}

}  // namespace kerncast::simulator
