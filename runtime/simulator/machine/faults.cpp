#include <fmt/format.h>
#include <sys/mman.h>

#include <bit>
#include <utility>

#include "runtime/simulator/machine/grid_link.hpp"
#include "runtime/simulator/machine/scheduler.hpp"
#include "runtime/simulator/machine/source_map.hpp"

namespace kerncast::simulator {

void LaunchState::report(std::uint64_t block, Fault found) {
  {
    const std::lock_guard lock(mutex);
    if (fault.kind == FaultKind::none || block < fault_block) {
      fault = std::move(found);
      fault_block = block;
    }
    stop.store(true, std::memory_order_relaxed);
  }
  if (launch->link != nullptr) {
    GridLink::wake();
  }
}

std::array<std::uint32_t, 3> thread_position(const Warp& warp, std::uint32_t lane) {
  const std::array<std::uint32_t, 3>& size = warp.block->launch->launch->block;
  const std::uint32_t thread = warp.index * lane_count + lane;
  return {thread % size[0], thread / size[0] % size[1], thread / size[0] / size[1]};
}

std::string describe_thread(const Warp& warp, const Op* op, std::uint32_t lane) {
  const Block& block = *warp.block;
  const auto thread = thread_position(warp, lane);
  std::string text =
      fmt::format("kernel '{}', block ({},{},{}), thread ({},{},{})", block.launch->function->name,
                  block.position[0], block.position[1], block.position[2], thread[0], thread[1], thread[2]);
  const std::string_view inside = block.launch->module->function_of(op);
  if (inside != block.launch->function->name) {
    text += fmt::format(", in function '{}'", inside);
  }
  return text;
}

std::string describe_op(const Warp& warp, const Op* op) {
  return describe_op(*warp.block->launch->module, op);
}

std::string describe_op(const Program& module, const Op* op) {
  const int line = module.line_of(op);
  const SourceMap sources(module.text);
  const SourcePlace place = sources.at(line);
  const std::string source =
      place.line != 0 ? fmt::format("; {} line {}", place.file, place.line) : std::string();
  return fmt::format(" (PTX line {}: {}{})", line, module.line_text(line), source);
}

const Op* raise(Warp& warp, FaultKind kind, std::string message) {
  warp.block->launch->report(warp.block->linear, {kind, std::move(message)});
  warp.event = Event::fault;
  return nullptr;
}

bool violation(Warp& warp, const Op* op, const std::function<std::string()>& text) {
  LaunchState& state = *warp.block->launch;
  if (state.launch->findings == nullptr) {
    raise(warp, FaultKind::violation, text());
    return false;
  }
  const std::lock_guard lock(state.mutex);
  if (state.found_at.insert(op).second) {
    state.launch->findings->push_back(text());
  }
  return true;
}

const Op* raise_illegal(Warp& warp, const Op* op, std::uint32_t lane, const char* why) {
  return raise(warp, FaultKind::illegal_instruction,
               fmt::format("{} {}{}", describe_thread(warp, op, lane), why, describe_op(warp, op)));
}

const Op* raise_shuffle(Warp& warp, const Op* op, std::uint32_t lane, std::uint32_t from) {
  const char* why = (warp.live >> from & 1U) == 0 ? "has exited" : "does not take part";
  const bool goes_on = violation(warp, op, [&] {
    return fmt::format("{} shuffles from lane {}, which {}: the value is undefined{}",
                       describe_thread(warp, op, lane), from, why, describe_op(warp, op));
  });
  return goes_on ? op : nullptr;
}

const Op* raise_trap(Warp& warp, const Op* op, std::uint32_t mask) {
  const auto lane = static_cast<std::uint32_t>(std::countr_zero(mask));
  return raise(warp, FaultKind::trap,
               fmt::format("{} executed a trap{}", describe_thread(warp, op, lane), describe_op(warp, op)));
}

namespace {

std::string_view name_of_space(Space space) {
  switch (space) {
    case Space::global:
      return "global";
    case Space::shared:
      return "shared";
    case Space::local:
      return "local";
    case Space::param:
      return "parameter";
    case Space::constant:
      return "constant";
    default:
      return "generic";
  }
}

/// True if the process has memory at `address`.
bool is_host_memory(std::uint64_t address) {
  unsigned char resident = 0;
  return mincore(reinterpret_cast<void*>(address & ~std::uint64_t{4095}), 1, &resident) == 0;
}

/// True if kernels of the launch's device may touch an allocation: their own, the host's, and a peer's if
/// access to it was enabled.
bool is_reachable(const Warp& warp, const Allocation& allocation) {
  const Launch& launch = *warp.block->launch->launch;
  if (allocation.device == launch.device || allocation.kind == MemoryKind::pinned_host) {
    return true;
  }
  const bool by_context = !allocation.pooled && (launch.reachable >> allocation.device & 1) != 0;
  return by_context || (allocation.peers >> launch.device & 1) != 0;
}

/// Says where the address lies relative to the memory that the thread may touch.
std::string describe_place(const Warp& warp, std::uint64_t address, Space space) {
  const auto bounded = [&](std::string_view what, std::uint64_t offset, std::uint64_t size) {
    return fmt::format("offset {} of the {} bytes of {} memory", offset, size, what);
  };
  if (space == Space::generic) {
    const std::uint64_t window = address & window_mask;
    space = window == shared_window  ? Space::shared
            : window == local_window ? Space::local
            : window == param_window ? Space::param
                                     : Space::global;
    if (space != Space::global) {
      address &= ~window_mask;
    }
  }
  switch (space) {
    case Space::shared:
      return bounded("shared", address, warp.block->launch->shared_bytes);
    case Space::local:
      return bounded("local", address, warp.local_bytes);
    case Space::param:
      return bounded("parameter", address, warp.parameter_bytes);
    default:
      break;
  }
  if (address < 4096) {
    return "a null pointer";
  }
  const Memory& memory = *warp.block->launch->memory;
  const auto below = memory.nearest_below(reinterpret_cast<const void*>(address));
  const bool inside = below && address - reinterpret_cast<std::uint64_t>(below->base) < below->size;
  if (const auto freed = memory.find_freed(reinterpret_cast<const void*>(address)); freed && !inside) {
    std::string text = fmt::format("offset {} of a {}-byte allocation at {:#x} that was freed before",
                                   address - reinterpret_cast<std::uint64_t>(freed->base), freed->size,
                                   reinterpret_cast<std::uint64_t>(freed->base));
    if (below) {
      text += fmt::format("; {} bytes past the end of the {}-byte allocation at {:#x}",
                          address - reinterpret_cast<std::uint64_t>(below->base) - below->size, below->size,
                          reinterpret_cast<std::uint64_t>(below->base));
    }
    return text;
  }
  // Far from every allocation it is more likely a wrong pointer than an offset out of range.
  constexpr std::uint64_t astray = std::uint64_t{1} << 20;
  if (!inside && (!below || address - reinterpret_cast<std::uint64_t>(below->base) - below->size > astray) &&
      is_host_memory(address)) {
    return "a host pointer: memory of the process that no driver call allocated";
  }
  if (!below) {
    return "below every allocation";
  }
  const auto base = reinterpret_cast<std::uint64_t>(below->base);
  const std::uint64_t offset = address - base;
  if (offset < below->size && !is_reachable(warp, *below)) {
    return fmt::format("in an allocation of device {}, which device {} has no access to", below->device,
                       warp.block->launch->launch->device);
  }
  if (offset < below->size) {
    return fmt::format("offset {} of the {}-byte allocation at {:#x}, of which {} bytes remain", offset,
                       below->size, base, below->size - offset);
  }
  return fmt::format("{} bytes past the end of the {}-byte allocation at {:#x}", offset - below->size,
                     below->size, base);
}

}  // namespace

const Op* raise_access(Warp& warp, const Op* op, const AccessFault& fault) {
  const std::string place = describe_place(warp, fault.address, fault.space);
  const std::string head =
      fmt::format("{}: {} of {} bytes at {} address {:#x}", describe_thread(warp, op, fault.lane), fault.what,
                  fault.bytes, name_of_space(fault.space), fault.address);
  if (fault.misaligned) {
    return raise(warp, FaultKind::misaligned_address,
                 fmt::format("{} is misaligned: it must be a multiple of {}{}", head, fault.bytes,
                             describe_op(warp, op)));
  }
  return raise(warp, FaultKind::illegal_address, fmt::format("{}, {}{}", head, place, describe_op(warp, op)));
}

bool find_range(Warp& warp, std::uint64_t address) {
  const auto found = warp.block->launch->memory->find(reinterpret_cast<const void*>(address));
  if (!found || !is_reachable(warp, *found)) {
    return false;
  }
  for (std::uint32_t i = range_count - 1; i > 0; --i) {
    warp.ranges[i] = warp.ranges[i - 1];
  }
  const auto base = reinterpret_cast<std::uint64_t>(found->base);
  warp.ranges[0] = {base, base + found->size, found->written};
  return true;
}

}  // namespace kerncast::simulator
