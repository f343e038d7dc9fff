#include <bit>

#include "runtime/simulator/machine/grid_link.hpp"
#include "runtime/simulator/machine/scheduler.hpp"
#include "runtime/simulator/machine/written_map.hpp"
#include "runtime/simulator/watch/grid_accesses.hpp"
#include "runtime/simulator/watch/strict.hpp"

namespace kerncast::simulator {

namespace {

/// The part of the launch's memory that holds `address`; null if it is not global memory.
const Range* range_of(Warp& warp, std::uint64_t address) {
  const auto holds = [address](const Range& range) { return address >= range.base && address < range.end; };
  for (std::uint32_t i = 0; i < range_count; ++i) {
    if (holds(warp.ranges[i])) {
      return &warp.ranges[i];
    }
  }
  const auto in = [address](const std::byte* base, std::uint64_t size) {
    return address - reinterpret_cast<std::uint64_t>(base) < size;
  };
  if (in(warp.shared, warp.shared_bytes) || in(warp.local, warp.local_bytes * lane_count) ||
      in(warp.parameters, warp.parameter_bytes)) {
    return nullptr;
  }
  return find_range(warp, address) ? &warp.ranges[0] : nullptr;
}

/// The bytes that a warp-wide access finds unwritten. Lanes in different allocations are noted one after the
/// other.
struct Findings {
  UnwrittenRead missing;
  std::uint64_t base = 0;
  std::uint64_t end = 0;

  /// Notes what is there. False after raising a fault.
  bool flush(Warp& warp, const Op* op, const WarpAccess& touch) {
    return missing.lanes == 0 ||
           warp.strict->undefined(warp).note_global(warp, op, touch, missing, base, end);
  }

  /// Adds what nobody wrote of the access of `lane`. False after raising a fault.
  bool add(Warp& warp, const Op* op, const WarpAccess& touch, std::uint32_t lane, const Range& range) {
    if (range.base != base && !flush(warp, op, touch)) {
      return false;
    }
    base = range.base;
    end = range.end;
    const std::uint64_t offset = touch.at(lane) - base;
    for (std::uint64_t from = offset; from < offset + touch.bytes;) {
      const std::size_t at = range.written->first_unwritten(from, offset + touch.bytes - from);
      if (at == WrittenMap::npos) {
        break;
      }
      missing.add(lane, at - offset, 1);
      from = at - offset < 32 ? at + 1 : offset + touch.bytes;
    }
    return true;
  }
};

/// Checks `bytes` bytes at `address`, where `lanes` access theirs. False after raising a fault.
bool check(Warp& warp, const Op* op, const WarpAccess& touch, std::uint32_t lanes, std::uint64_t address,
           std::uint64_t bytes, Findings& findings) {
  const Range* range = range_of(warp, address);
  if (range == nullptr) {
    return true;
  }
  // Volatile accesses and those with a memory order may be how launches that overlap talk to each other.
  const bool talks = touch.kind != WarpAccess::Kind::atomic && (op->flags & flag::strong) != 0;
  const GridLink* const link = warp.block->launch->launch->link;
  if (link != nullptr && link->accesses != nullptr && !talks) {
    link->accesses->add(warp, op, touch, lanes, address, bytes);
  }
  if (range->written == nullptr) {
    return true;
  }
  const std::uint64_t offset = address - range->base;
  if (touch.kind == WarpAccess::Kind::write) {
    range->written->mark(offset, bytes);
    return true;
  }
  if (range->written->first_unwritten(offset, bytes) == WrittenMap::npos) {
    return true;
  }
  const Range held = *range;
  for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
    if (!findings.add(warp, op, touch, static_cast<std::uint32_t>(std::countr_zero(rest)), held)) {
      return false;
    }
  }
  return true;
}

}  // namespace

bool strict_global_access(Warp& warp, const Op* op, const WarpAccess& touch) {
  Findings findings;
  if (touch.host == nullptr) {
    const std::uint64_t bytes = touch.stride == 0 ? touch.bytes : touch.stride * lane_count;
    return check(warp, op, touch, touch.mask, touch.first, bytes, findings) &&
           findings.flush(warp, op, touch);
  }
  for (std::uint32_t rest = touch.mask; rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<std::uint32_t>(std::countr_zero(rest));
    if (!check(warp, op, touch, 1U << lane, touch.host[lane], touch.bytes, findings)) {
      return false;
    }
  }
  return findings.flush(warp, op, touch);
}

}  // namespace kerncast::simulator
