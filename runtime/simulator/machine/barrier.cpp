#include <fmt/format.h>

#include <bit>
#include <vector>

#include "runtime/simulator/machine/scheduler.hpp"

namespace kerncast::simulator {

namespace {

/// Threads that an arrival of `mask` counts for. A warp counts as whole once all its live lanes wait, since
/// thread counts of barriers are given in whole warps.
std::uint32_t arrival(const Warp& warp, std::uint32_t id, std::uint32_t mask, bool counted) {
  auto added = static_cast<std::uint32_t>(std::popcount(mask));
  if (!counted) {
    return added;
  }
  std::uint32_t waiting = mask;
  for (std::uint32_t i = 0; i < warp.fragment_count; ++i) {
    const Fragment& fragment = warp.fragments[i];
    if (fragment.state == Fragment::State::barrier && fragment.barrier == id) {
      waiting |= fragment.mask;
    }
  }
  if (waiting == warp.live) {
    added += lane_count - static_cast<std::uint32_t>(std::popcount(warp.live));
  }
  return added;
}

void write_reduction(Warp& warp, const Fragment& fragment, const Barrier& barrier) {
  const Op* op = fragment.at;
  std::byte* frame = warp.stack + fragment.frame;
  if (op->sub == 0) {
    auto* target = reinterpret_cast<std::uint32_t*>(frame + op->d);
    for (std::uint32_t rest = fragment.mask; rest != 0; rest &= rest - 1) {
      target[std::countr_zero(rest)] = barrier.votes;
    }
    return;
  }
  const bool holds = op->sub == 1 ? barrier.votes == barrier.voters : barrier.votes != 0;
  auto* target = reinterpret_cast<std::uint32_t*>(frame + op->d);
  *target = (*target & ~fragment.mask) | (holds ? fragment.mask : 0U);
}

void release(Block& block, std::uint32_t id) {
  Barrier& barrier = block.barriers[id];
  std::uint32_t waiting = 0;
  for (Warp& warp : block.warps) {
    for (std::uint32_t i = 0; i < warp.fragment_count;) {
      Fragment& fragment = warp.fragments[i];
      if (fragment.state != Fragment::State::barrier || fragment.barrier != id) {
        ++i;
        continue;
      }
      if (fragment.at->code == Code::barrier_red) {
        write_reduction(warp, fragment, barrier);
      }
      waiting |= 1U << warp.index;
      const Fragment gone = fragment;
      warp.fragments[i] = warp.fragments[--warp.fragment_count];
      add_fragment(warp, gone.at + 1, gone.mask, gone.frame, Fragment::State::ready);
      // The new fragment may have taken the freed place, so look at it again; it is ready and will be passed
      // over.
    }
  }
  barrier = Barrier{};
  if (block.strict != nullptr) {
    strict_leave(*block.strict, waiting, id);
  }
}

void settle(Block& block, std::uint32_t id) {
  const Barrier& barrier = block.barriers[id];
  const bool complete = barrier.expected != 0 ? barrier.arrived >= barrier.expected
                                              : barrier.waiting && barrier.arrived >= block.live_threads;
  if (complete) {
    release(block, id);
  }
}

}  // namespace

void settle_barriers(Block& block) {
  for (std::uint32_t id = 0; id < barrier_count; ++id) {
    if (block.barriers[id].waiting) {
      settle(block, id);
    }
  }
}

namespace {

/// True if control can flow from `from` to `to` within their function. The order of instructions does not
/// tell: compilers place loops before and after the code that they lead to.
bool can_reach(const Program& module, const Op* from, const Op* to) {
  const Op* const first = module.ops.data();
  std::vector<bool> seen(module.ops.size());
  std::vector<std::size_t> open{static_cast<std::size_t>(from - first)};
  while (!open.empty()) {
    const std::size_t at = open.back();
    open.pop_back();
    if (at >= seen.size() || seen[at]) {
      continue;
    }
    seen[at] = true;
    const Op& op = module.ops[at];
    if (&op == to) {
      return true;
    }
    bool goes_on = op.guard != frame_header::true_predicate || op.guard_xor != 0;
    switch (op.code) {
      case Code::bra:
        open.push_back(static_cast<std::size_t>(static_cast<std::int64_t>(at) + op.imm));
        break;
      case Code::brx:
        for (std::size_t i = 0; i < op.d2; ++i) {
          open.push_back(module.targets[static_cast<std::size_t>(op.imm) + i]);
        }
        break;
      case Code::ret:
      case Code::exit:
      case Code::trap:
        break;
      default:
        goes_on = true;
        break;
    }
    if (goes_on) {
      open.push_back(at + 1);
    }
  }
  return false;
}

/// True if other lanes of the warp are still on their way to `op`: in code that leads to it, or in a function
/// that it waits for, and not at a barrier themselves.
bool others_may_come(const Warp& warp, const Op* op) {
  for (std::uint32_t i = 0; i < warp.fragment_count; ++i) {
    const Fragment& other = warp.fragments[i];
    const bool at_barrier =
        (other.at->code == Code::barrier_sync || other.at->code == Code::barrier_red ||
         other.at->code == Code::barrier_arrive || other.at->code == Code::cluster_arrive ||
         other.at->code == Code::cluster_wait) &&
        (other.at->flags & flag::aligned) != 0;
    if (other.state != Fragment::State::ready || at_barrier) {
      continue;
    }
    if (other.frame > warp.frame ||
        (other.frame == warp.frame && can_reach(*warp.block->launch->module, other.at, op))) {
      return true;
    }
  }
  return false;
}

}  // namespace

bool meet_aligned(Warp& warp, const Op* op, std::uint32_t mask) {
  if (warp.block->strict == nullptr || (op->flags & flag::aligned) == 0 || mask == warp.live) {
    return true;
  }
  if (mask == warp.active && others_may_come(warp, op)) {
    // They meet here, as they would on a device: the rest may be in a loop that waits for another block.
    add_fragment(warp, op, mask, warp.frame, Fragment::State::ready);
    count_before(warp, op);
    warp.active = 0;
    warp.resume = op;
    warp.rotate = true;
    warp.event = Event::reschedule;
    return false;
  }
  return violation(warp, op, [&] {
    return fmt::format(
        "{} reaches a barrier that all threads of its warp must reach together, but lanes {:#010x} "
        "of warp {} are not with it: the barrier is divergent{}",
        describe_thread(warp, op, static_cast<std::uint32_t>(std::countr_zero(mask))), warp.live & ~mask,
        warp.index, describe_op(warp, op));
  });
}

const Op* barrier(Warp& warp, const Op* op, std::uint32_t mask) {
  Block& block = *warp.block;
  const auto value = [&](std::uint32_t offset, std::uint32_t lane) {
    return reinterpret_cast<const std::uint32_t*>(warp.base[offset & 1U] + (offset & ~63U))[lane];
  };
  const auto lane = static_cast<std::uint32_t>(std::countr_zero(mask));
  const std::uint32_t id = value(op->a, lane);
  const std::uint32_t expected = op->count != 0 ? value(op->b, lane) : 0;
  if (id >= barrier_count) {
    return raise_illegal(warp, op, lane, "names a barrier above 15");
  }
  if (op->count != 0 && (expected == 0 || expected % lane_count != 0)) {
    return raise_illegal(warp, op, lane,
                         "passes a barrier thread count that is not a positive multiple of 32");
  }
  Barrier& target = block.barriers[id];
  if (target.arrived != 0 && target.expected != expected) {
    return raise_illegal(
        warp, op, lane,
        "passes another thread count to the barrier than the threads that already wait at it");
  }
  if (block.strict != nullptr) {
    if (!meet_aligned(warp, op, mask)) {
      return nullptr;
    }
    strict_arrive(*block.strict, warp.index, id);
  }
  target.expected = expected;
  target.arrived += arrival(warp, id, mask, expected != 0);
  if (op->code == Code::barrier_red) {
    const std::uint32_t predicate = *reinterpret_cast<const std::uint32_t*>(warp.base[0] + op->c) ^
                                    ((op->flags & flag::neg_c) != 0 ? all_lanes : 0U);
    target.votes += static_cast<std::uint32_t>(std::popcount(predicate & mask));
    target.voters += static_cast<std::uint32_t>(std::popcount(mask));
  }
  if (op->code == Code::barrier_arrive) {
    settle(block, id);
    return op + 1;
  }
  count_through(warp, op);
  target.waiting = true;
  Fragment& waits = warp.fragments[warp.fragment_count++];
  waits = {op, mask, warp.frame, Fragment::State::barrier, static_cast<std::uint8_t>(id), block.clock};
  warp.active &= ~mask;
  warp.resume = op + 1;
  warp.event = Event::reschedule;
  settle(block, id);
  return nullptr;
}

std::string describe_deadlock(const Block& block) {
  std::string text = fmt::format("block ({},{},{}) of kernel '{}' cannot go on:", block.position[0],
                                 block.position[1], block.position[2], block.launch->function->name);
  std::uint32_t listed = 0;
  for (const Warp& warp : block.warps) {
    for (std::uint32_t i = 0; i < warp.fragment_count; ++i) {
      const Fragment& fragment = warp.fragments[i];
      if (++listed > 8) {
        continue;
      }
      const int line = block.launch->module->line_of(fragment.at);
      const std::string where = fmt::format("PTX line {}: {}", line, block.launch->module->line_text(line));
      if (fragment.state == Fragment::State::cluster) {
        text += fmt::format(
            " warp {} lanes {:#010x} wait at the barrier of their cluster ({} threads arrived; {});",
            warp.index, fragment.mask, block.cluster->arrived, where);
      } else if (fragment.state == Fragment::State::barrier) {
        const Barrier& barrier = block.barriers[fragment.barrier];
        text += fmt::format(" warp {} lanes {:#010x} wait at barrier {} ({} of {} threads arrived; {});",
                            warp.index, fragment.mask, fragment.barrier, barrier.arrived,
                            barrier.expected != 0 ? barrier.expected : block.live_threads, where);
      } else {
        text += fmt::format(" warp {} lanes {:#010x} wait for other lanes of their warp ({});", warp.index,
                            fragment.mask, where);
      }
    }
  }
  if (listed > 8) {
    text += fmt::format(" and {} more;", listed - 8);
  }
  text.back() = '.';
  return text;
}

}  // namespace kerncast::simulator
