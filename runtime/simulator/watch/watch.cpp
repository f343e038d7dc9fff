#include "runtime/simulator/machine/watch.hpp"

#include <fmt/format.h>

#include "runtime/simulator/machine/scheduler.hpp"
#include "runtime/simulator/machine/state.hpp"
#include "runtime/simulator/watch/profile.hpp"
#include "runtime/simulator/watch/strict.hpp"

namespace kerncast::simulator {

bool watch_access(Warp& warp, const Op* op, const WarpAccess& touch) {
  if (warp.tally != nullptr) {
    warp.tally->access(warp, op->prefix, touch);
  }
  if (warp.strict == nullptr) {
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

void strict_grid_waited(StrictBlock& strict, std::uint32_t warp) {
  strict.grid_waited(warp);
}

void strict_lanes_met(StrictBlock& strict, std::uint32_t warp) {
  strict.lanes_met(warp);
}

}  // namespace kerncast::simulator
