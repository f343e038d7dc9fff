#include <fmt/format.h>

#include <bit>

#include "runtime/simulator/machine/scheduler.hpp"
#include "runtime/simulator/machine/written_map.hpp"
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

bool check(Warp& warp, const Op* op, const WarpAccess& touch, std::uint32_t lane, std::uint64_t address,
           std::uint64_t bytes) {
  const Range* range = range_of(warp, address);
  if (range == nullptr || range->written == nullptr) {
    return true;
  }
  const std::uint64_t offset = address - range->base;
  if (touch.kind != WarpAccess::Kind::write) {
    const std::size_t missing = range->written->first_unwritten(offset, bytes);
    if (missing != WrittenMap::npos) {
      const std::uint32_t guilty = touch.host == nullptr && touch.stride != 0
                                       ? lane + static_cast<std::uint32_t>((missing - offset) / touch.stride)
                                       : lane;
      raise(warp, FaultKind::violation,
            fmt::format(
                "{} reads {} bytes of global memory at {:#x}, of which byte {} of the {}-byte allocation at "
                "{:#x} was never written{}",
                describe_thread(warp, op, guilty), touch.bytes, touch.at(guilty), missing,
                range->end - range->base, range->base, describe_op(warp, op)));
      return false;
    }
  }
  if (touch.kind == WarpAccess::Kind::write) {
    range->written->mark(offset, bytes);
  }
  return true;
}

}  // namespace

bool strict_global_access(Warp& warp, const Op* op, const WarpAccess& touch) {
  if (touch.host == nullptr) {
    const std::uint64_t bytes = touch.stride == 0 ? touch.bytes : touch.stride * lane_count;
    return check(warp, op, touch, static_cast<std::uint32_t>(std::countr_zero(touch.mask)), touch.first,
                 bytes);
  }
  for (std::uint32_t rest = touch.mask; rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<std::uint32_t>(std::countr_zero(rest));
    if (!check(warp, op, touch, lane, touch.host[lane], touch.bytes)) {
      return false;
    }
  }
  return true;
}

}  // namespace kerncast::simulator
