#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>
#include <limits>
#include <string_view>
#include <utility>

#include "runtime/simulator/machine/grid_link.hpp"
#include "runtime/simulator/machine/scheduler.hpp"

namespace kerncast::simulator {

namespace {

/// Backward branches and calls that a warp may make in one turn.
constexpr std::uint32_t turn_branches = 1024;
/// Turns that a split warp may end before a fragment other than the lowest gets one, so that lanes that wait
/// for each other in a loop make progress.
constexpr std::uint32_t turns_apart = 4;
/// Failed waits for mbarriers of each warp that can run, after which none of them is taken to succeed any
/// more: no other block can arrive, and copies happen at once.
constexpr std::uint32_t most_tries = 4096;
/// Turns between two looks at the clock and the stop flag.
constexpr std::uint32_t turns_between_checks = 64;

const Op* end_of_ops(const Warp& warp) {
  const Program& module = *warp.block->launch->module;
  return module.ops.data() + module.ops.size();
}

void count_until(Warp& warp, std::uint32_t prefix) {
  const std::uint32_t instructions = prefix - warp.run_prefix;
  warp.warp_instructions += instructions;
  warp.thread_instructions +=
      static_cast<std::uint64_t>(instructions) * static_cast<unsigned>(std::popcount(warp.active));
  if (warp.tally != nullptr) {
    count_run(*warp.tally, warp.run_prefix, prefix, static_cast<std::uint32_t>(std::popcount(warp.active)));
  }
  warp.run_prefix = prefix;
}

void set_frame(Warp& warp, std::uint32_t frame) {
  warp.frame = frame;
  warp.base[0] = warp.stack + frame;
}

/// Makes the fragment that should run next the current one. False if none is ready.
bool select_fragment(Warp& warp) {
  std::uint32_t chosen = lane_count;
  for (std::uint32_t i = 0; i < warp.fragment_count; ++i) {
    const Fragment& candidate = warp.fragments[i];
    if (candidate.state != Fragment::State::ready) {
      continue;
    }
    if (chosen == lane_count) {
      chosen = i;
      continue;
    }
    const Fragment& best = warp.fragments[chosen];
    const bool better = warp.rotate ? candidate.stamp < best.stamp
                                    : std::less<>()(candidate.at, best.at) ||
                                          (candidate.at == best.at && candidate.frame > best.frame);
    chosen = better ? i : chosen;
  }
  warp.rotate = false;
  if (chosen == lane_count) {
    return false;
  }
  const Fragment fragment = warp.fragments[chosen];
  warp.fragments[chosen] = warp.fragments[--warp.fragment_count];
  warp.resume = fragment.at;
  warp.active = fragment.mask;
  set_frame(warp, fragment.frame);
  const Op* limit = end_of_ops(warp);
  for (std::uint32_t i = 0; i < warp.fragment_count; ++i) {
    const Fragment& other = warp.fragments[i];
    if (other.state == Fragment::State::ready && !std::less<>()(other.at, fragment.at)) {
      limit = std::min(limit, other.at, std::less<>());
    }
  }
  warp.limit = limit;
  warp.run_prefix = warp.resume->prefix;
  return true;
}

void keep_current(Warp& warp) {
  if (warp.active != 0) {
    add_fragment(warp, warp.resume, warp.active, warp.frame, Fragment::State::ready);
    warp.active = 0;
  }
}

/// Follows ops from the one where the fragment stands to its limit. Null if the scheduler must act.
const Op* follow(Warp& warp) {
  const Op* op = warp.resume;
  do {
    const std::uint32_t holds =
        *reinterpret_cast<const std::uint32_t*>(warp.base[0] + op->guard) ^ op->guard_xor;
    const std::uint32_t mask = warp.active & holds;
    op = mask != 0 ? op->handler(warp, op, mask) : op + 1;
  } while (op != nullptr && op < warp.limit);
  return op;
}

/// Does the same with a look at each op, as long as the warp has to be cautious.
const Op* follow_cautiously(Warp& warp) {
  const Op* op = warp.resume;
  do {
    const std::uint32_t holds =
        *reinterpret_cast<const std::uint32_t*>(warp.base[0] + op->guard) ^ op->guard_xor;
    const std::uint32_t mask = warp.active & holds;
    if (!strict_before(warp, op, mask)) {
      return nullptr;
    }
    op = mask != 0 ? op->handler(warp, op, mask) : op + 1;
  } while (op != nullptr && op < warp.limit && warp.cautious);
  return op;
}

/// Runs a warp until its turn ends or none of its fragments is ready. False after a fault.
bool run_warp(Block& block, Warp& warp) {
  warp.slice = turn_branches;
  while (select_fragment(warp)) {
    const Op* op = warp.cautious ? follow_cautiously(warp) : follow(warp);
    if (op != nullptr) {
      count_until(warp, op->prefix);
      warp.resume = op;
      keep_current(warp);
      continue;
    }
    switch (std::exchange(warp.event, Event::none)) {
      case Event::fault:
        return false;
      case Event::slice: {
        const bool split = warp.fragment_count != 0;
        keep_current(warp);
        warp.slices_apart = split ? warp.slices_apart + 1 : 0;
        if (warp.slices_apart >= turns_apart) {
          warp.slices_apart = 0;
          warp.rotate = true;
        }
        ++block.clock;
        return true;
      }
      default:
        keep_current(warp);
        break;
    }
  }
  return true;
}

/// Ends the launch of a warp that has live lanes; `when` is a phrase such as "after 5 instructions".
void raise_running(Warp& warp, std::string_view when) {
  const auto lane = static_cast<std::uint32_t>(std::countr_zero(warp.live));
  raise(warp, FaultKind::launch_timeout,
        fmt::format("{}: still running {}{}", describe_thread(warp, warp.resume, lane), when,
                    describe_op(warp, warp.resume)));
}

bool has_ready(const Warp& warp) {
  for (std::uint32_t i = 0; i < warp.fragment_count; ++i) {
    if (warp.fragments[i].state == Fragment::State::ready) {
      return true;
    }
  }
  return false;
}

/// The message of a block in which all that can run waits for mbarriers, `warp` among them.
std::string describe_idle(const Warp& warp) {
  const auto lane = static_cast<std::uint32_t>(std::countr_zero(warp.live));
  return fmt::format(
      "{} waits for an mbarrier that lacks {} arrivals and {} bytes, and all others that can run wait as "
      "well{}",
      describe_thread(warp, warp.waits_at, lane), warp.waits_pending, warp.waits_bytes,
      describe_op(warp, warp.waits_at));
}

bool waits_for_cluster(const Block& block) {
  for (const Warp& warp : block.warps) {
    for (std::uint32_t i = 0; i < warp.fragment_count; ++i) {
      if (warp.fragments[i].state == Fragment::State::cluster) {
        return true;
      }
    }
  }
  return false;
}

}  // namespace

void count_before(Warp& warp, const Op* op) {
  count_until(warp, op->prefix);
}

void count_through(Warp& warp, const Op* op) {
  count_until(warp, op[1].prefix);
}

void note_divergence(Warp& warp, const Op* op) {
  if (warp.tally != nullptr) {
    count_divergence(*warp.tally, op->prefix);
  }
}

void note_warp_sync(Warp& warp) {
  if (warp.strict != nullptr) {
    strict_lanes_met(*warp.strict, warp.index);
  }
}

void add_fragment(Warp& warp, const Op* at, std::uint32_t mask, std::uint32_t frame, Fragment::State state) {
  const std::uint64_t now = warp.block->clock;
  for (std::uint32_t i = 0; i < warp.fragment_count; ++i) {
    Fragment& other = warp.fragments[i];
    if (other.at == at && other.frame == frame && other.state == state && state != Fragment::State::barrier) {
      other.mask |= mask;
      other.stamp = std::max(other.stamp, now);
      return;
    }
  }
  Fragment& fresh = warp.fragments[warp.fragment_count++];
  fresh = {at, mask, frame, state, 0, now};
}

bool in_warpgroup(const Warp& warp) {
  const std::size_t first = std::size_t{warp.index / group_warps} * group_warps;
  return first + group_warps <= warp.block->warps.size();
}

const Op* exit_lanes(Warp& warp, const Op* op, std::uint32_t mask) {
  Block& block = *warp.block;
  count_through(warp, op);
  leave_cluster(warp, mask);
  warp.live &= ~mask;
  block.live_threads -= static_cast<std::uint32_t>(std::popcount(mask));
  warp.active &= ~mask;
  // Lanes that wait for the exited ones look again.
  for (std::uint32_t i = 0; i < warp.fragment_count; ++i) {
    if (warp.fragments[i].state == Fragment::State::parked) {
      warp.fragments[i].state = Fragment::State::ready;
    }
  }
  settle_barriers(block);
  settle_cluster(*block.cluster);
  warp.resume = op + 1;
  warp.event = Event::reschedule;
  return nullptr;
}

std::uint32_t gather_members(Warp& warp, const Op* op, std::uint32_t mask, const std::uint32_t* members) {
  std::uint32_t here = mask;
  for (std::uint32_t i = 0; i < warp.fragment_count;) {
    const Fragment& other = warp.fragments[i];
    if (other.at == op && other.frame == warp.frame && other.state == Fragment::State::parked) {
      here |= other.mask;
      warp.fragments[i] = warp.fragments[--warp.fragment_count];
    } else {
      ++i;
    }
  }
  std::uint32_t ready = 0;
  for (std::uint32_t rest = here; rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<std::uint32_t>(std::countr_zero(rest));
    if ((members[lane] >> lane & 1U) == 0) {
      raise_illegal(warp, op, lane, "is not in the member mask it passes");
      return 0;
    }
    if ((members[lane] & warp.live & ~here) == 0) {
      ready |= 1U << lane;
    }
  }
  const std::uint32_t waiting = here & ~ready;
  const std::uint32_t passed_by = warp.active & ~mask;
  if (waiting != 0) {
    add_fragment(warp, op, waiting, warp.frame, Fragment::State::parked);
  }
  if (ready == 0) {
    count_until(warp, op->prefix);
    warp.active = passed_by;
    warp.resume = op + 1;
    warp.event = Event::reschedule;
    return 0;
  }
  // Counts the lanes that take part, with those whose guard does not hold.
  count_until(warp, op->prefix);
  warp.active = ready | passed_by;
  return ready;
}

const Op* after_members(Warp& warp, const Op* op, std::uint32_t went) {
  (void)went;
  const bool alone = warp.fragment_count == 0;
  if (alone) {
    warp.limit = end_of_ops(warp);
    return op + 1;
  }
  count_through(warp, op);
  warp.resume = op + 1;
  warp.event = Event::reschedule;
  return nullptr;
}

void end_run(Warp& warp) {
  if (warp.slice > 1) {
    --warp.slice;
    warp.event = Event::reschedule;
  } else {
    warp.event = Event::slice;
  }
}

const Op* branch_table(Warp& warp, const Op* op, std::uint32_t mask, const std::uint32_t* index) {
  const Program& module = *warp.block->launch->module;
  count_through(warp, op);
  warp.active &= ~mask;
  warp.resume = op + 1;
  for (std::uint32_t rest = mask; rest != 0;) {
    const auto lane = static_cast<std::uint32_t>(std::countr_zero(rest));
    if (index[lane] >= op->d2) {
      return raise_illegal(warp, op, lane, "branches beyond the end of its target table");
    }
    std::uint32_t same = 0;
    for (std::uint32_t left = rest; left != 0; left &= left - 1) {
      const auto other = static_cast<std::uint32_t>(std::countr_zero(left));
      same |= index[other] == index[lane] ? 1U << other : 0U;
    }
    rest &= ~same;
    const std::uint32_t target = module.targets[static_cast<std::size_t>(op->imm) + index[lane]];
    add_fragment(warp, module.ops.data() + target, same, warp.frame, Fragment::State::ready);
  }
  end_run(warp);
  return nullptr;
}

Block::Block(LaunchState& state)
    : launch(&state),
      warps(state.warps),
      registers(std::size_t{state.warps} * ((state.function->stack_bytes + std::size_t{63}) / 64 * 64)),
      shared(state.shared_granules),
      local(std::size_t{state.warps} * lane_count * state.function->stack_local_bytes) {
  if (state.launch->checks) {
    strict.reset(make_strict(state.shared_granules, state.shared_bytes, state.warps));
  }
}

Block::~Block() = default;

void Block::start(std::uint64_t index, Range* ranges, Tally* tally, Cluster* group, std::uint32_t rank) {
  if (group == nullptr) {
    alone.arrived = 0;
    alone.blocks.assign(1, this);
    alone.memory.shared[0] = shared.data();
  }
  cluster = group == nullptr ? &alone : group;
  const LaunchState& state = *launch;
  const Launch& request = *state.launch;
  linear = index;
  position = {static_cast<std::uint32_t>(index % request.grid[0]),
              static_cast<std::uint32_t>(index / request.grid[0] % request.grid[1]),
              static_cast<std::uint32_t>(index / request.grid[0] / request.grid[1])};
  barriers.fill(Barrier{});
  if (strict != nullptr) {
    strict_start(*strict);
  }
  live_threads = state.threads;
  clock = 0;
  triggered = sits = waits = has_waited = settled = false;
  const std::uint32_t stack = (state.function->stack_bytes + 63) / 64 * 64;
  const Op* entry = state.module->ops.data() + state.function->first_op;
  for (std::uint32_t i = 0; i < state.warps; ++i) {
    Warp& warp = warps[i];
    const std::uint32_t left = state.threads - i * lane_count;
    warp.stack = registers.data() + std::size_t{i} * stack;
    warp.stack_bytes = stack;
    warp.base[0] = warp.stack;
    warp.base[1] = state.module->constants.data();
    warp.live = left >= lane_count ? all_lanes : (1U << left) - 1;
    warp.active = 0;
    warp.event = Event::none;
    warp.frame = 0;
    warp.ranges = ranges;
    warp.shared = shared.data();
    warp.shared_bytes = state.shared_granules;
    warp.cluster = &cluster->memory;
    warp.rank = rank;
    warp.cluster_arrived = 0;
    warp.local_bytes = state.function->stack_local_bytes;
    warp.local = local.data() + std::size_t{i} * lane_count * warp.local_bytes;
    warp.parameters = request.parameters.data();
    warp.parameter_bytes = request.parameters.size();
    warp.lists = state.module->lists.data();
    warp.index = i;
    warp.block = this;
    warp.tally = tally;
    warp.strict = strict.get();
    warp.watched = tally != nullptr || strict != nullptr;
    warp.cautious = false;
    warp.slept = 0;
    warp.fragment_count = 1;
    warp.fragments[0] = {entry, warp.live, 0, Fragment::State::ready, 0, 0};
    warp.slices_apart = 0;
    warp.waits_at = nullptr;
    warp.waits_failed = 0;
    warp.rotate = false;
    const std::uint32_t always = all_lanes;
    std::memset(warp.stack, 0, frame_header::size);
    std::memcpy(warp.stack + frame_header::true_predicate, &always, sizeof(always));
  }
}

BlockStatus run_block(Block& block, std::uint32_t turns) {
  LaunchState& state = *block.launch;
  const std::uint64_t most = state.launch->most_warp_instructions;
  std::uint32_t until_check = turns_between_checks;
  if (block.waits && state.launch->link->ready()) {
    end_grid_wait(block);
  }
  for (std::uint32_t turn = 0; turn < turns; ++turn) {
    bool progress = false;
    const Warp* idle = nullptr;
    std::uint32_t tries = std::numeric_limits<std::uint32_t>::max();
    for (Warp& warp : block.warps) {
      if (!has_ready(warp)) {
        continue;
      }
      progress = true;
      if (!run_warp(block, warp)) {
        return BlockStatus::failed;
      }
      if (warp.live != 0) {
        const bool waits = warp.warp_instructions == warp.waits_since;
        tries = std::min(tries, waits ? warp.waits_failed : 0U);
        idle = &warp;
      }
      if (block.sits) {
        return BlockStatus::asleep;
      }
      if (most != 0 && warp.warp_instructions > most && warp.live != 0) {
        raise_running(warp, fmt::format("after {} instructions of its warp", most));
        return BlockStatus::failed;
      }
    }
    if (block.live_threads == 0) {
      return BlockStatus::done;
    }
    if (idle != nullptr && tries >= most_tries && block.strict != nullptr && block.cluster == &block.alone) {
      raise(block.warps.front(), FaultKind::deadlock, describe_idle(*idle));
      return BlockStatus::failed;
    }
    if (!progress && block.waits) {
      return BlockStatus::asleep;
    }
    if (!progress && waits_for_cluster(block)) {
      // Its earlier turns may have let other blocks go on.
      return turn == 0 ? BlockStatus::stuck : BlockStatus::unfinished;
    }
    if (!progress) {
      raise(block.warps.front(), FaultKind::deadlock, describe_deadlock(block));
      return BlockStatus::failed;
    }
    if (--until_check == 0) {
      until_check = turns_between_checks;
      if (state.stop.load(std::memory_order_relaxed)) {
        return BlockStatus::failed;
      }
      if (state.has_deadline &&
          std::chrono::steady_clock::now() > state.deadline.load(std::memory_order_relaxed)) {
        Warp& warp =
            *std::find_if(block.warps.begin(), block.warps.end(), [](const Warp& w) { return w.live != 0; });
        raise_running(warp, "when KERNCAST_SIM_TIMEOUT ran out");
        return BlockStatus::failed;
      }
    }
  }
  return BlockStatus::unfinished;
}

}  // namespace kerncast::simulator
