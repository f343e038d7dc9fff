#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstddef>

#include "runtime/simulator/machine/scheduler.hpp"
#include "runtime/simulator/watch/strict.hpp"

namespace kerncast::simulator {

namespace {

void join(StrictBlock::Clock& into, const StrictBlock::Clock& other) {
  for (std::size_t i = 0; i < into.size(); ++i) {
    into[i] = std::max(into[i], other[i]);
  }
}

/// Byte `index` of the value that `lane` is about to store; null if the instruction does not take it from a
/// register.
const std::byte* stored_byte(const Warp& warp, const Op* op, const WarpAccess& touch, std::uint32_t lane,
                             std::uint32_t index) {
  if (op->code != Code::st || op->count == 0) {
    return nullptr;
  }
  const std::uint32_t element = touch.bytes / op->count;
  const std::uint32_t part = index / element;
  const std::uint32_t at = op->count == 1 ? op->b : warp.lists[op->d2 + part];
  return warp.base[at & 1U] + (at & ~63U) + std::size_t{lane} * op->width + index % element;
}

}  // namespace

StrictBlock::StrictBlock(std::uint64_t shared_bytes) : cells_(shared_bytes) {}

void StrictBlock::start() {
  // Stamps continue, so that the cells of the block before need no clearing.
  started_ = ++now_;
  meetings_.clear();
  for (Clock& clock : synced_) {
    clock.fill(0);
  }
  for (Clock& clock : barriers_) {
    clock.fill(0);
  }
}

void StrictBlock::arrive(std::uint32_t warp, std::uint32_t id) {
  join(barriers_[id], synced_[warp]);
  barriers_[id][warp] = now_ + 1;
}

void StrictBlock::leave(std::uint32_t waiting, std::uint32_t id) {
  ++now_;
  for (std::uint32_t rest = waiting; rest != 0; rest &= rest - 1) {
    const auto warp = static_cast<std::uint32_t>(std::countr_zero(rest));
    join(synced_[warp], barriers_[id]);
    ++lane_sync_[warp];
  }
  barriers_[id].fill(0);
}

void StrictBlock::meet(std::uint64_t offset, std::uint32_t warp) {
  Clock& meeting = meetings_.try_emplace(offset, Clock{}).first->second;
  join(synced_[warp], meeting);
  join(meeting, synced_[warp]);
  meeting[warp] = ++now_;
}

bool StrictBlock::ordered_after_write(const Cell& cell, std::uint32_t warp, std::uint32_t thread) const {
  if (cell.writer == thread) {
    return true;
  }
  const std::uint32_t other = cell.writer / lane_count;
  return other == warp ? cell.write_sync != lane_sync_[warp] : cell.write_stamp < synced_[warp][other];
}

bool StrictBlock::ordered_after_reads(const Cell& cell, std::uint32_t warp, std::uint32_t thread) const {
  if (cell.read_stamp < started_) {
    return true;
  }
  if (cell.read_warp == warp && cell.read_sync == lane_sync_[warp] &&
      (cell.read_lanes & ~(1U << thread % lane_count)) != 0) {
    return false;
  }
  for (std::uint32_t rest = cell.read_warps & ~(1U << warp); rest != 0; rest &= rest - 1) {
    if (cell.read_stamp >= synced_[warp][static_cast<std::size_t>(std::countr_zero(rest))]) {
      return false;
    }
  }
  return true;
}

void StrictBlock::note_read(Cell& cell, std::uint32_t warp, std::uint32_t lane, std::uint32_t op) const {
  if (cell.read_stamp != now_) {
    cell.read_stamp = now_;
    cell.read_warps = 0;
    cell.read_lanes = 0;
  }
  if (cell.read_warp != warp || cell.read_sync != lane_sync_[warp]) {
    cell.read_warp = static_cast<std::uint8_t>(warp);
    cell.read_sync = lane_sync_[warp];
    cell.read_lanes = 0;
  }
  cell.read_warps |= 1U << warp;
  cell.read_lanes |= 1U << lane;
  cell.read_op = op;
}

bool StrictBlock::shared_access(Warp& warp, const Op* op, const WarpAccess& touch, std::uint32_t lane,
                                bool strong) {
  const std::uint64_t offset = touch.at(lane) - reinterpret_cast<std::uint64_t>(warp.shared);
  const std::uint32_t thread = warp.index * lane_count + lane;
  const auto number = static_cast<std::uint32_t>(op - warp.block->launch->module->ops.data());
  if (strong) {
    meet(offset, warp.index);
  }
  for (std::uint32_t i = 0; i < touch.bytes; ++i) {
    Cell& cell = cells_[offset + i];
    const bool written = cell.write_stamp >= started_;
    if (touch.kind != WarpAccess::Kind::write && !written) {
      raise_hazard(warp, op, touch, lane, offset + i, Hazard::unwritten);
      return false;
    }
    if (written && !(strong && cell.strong) && !ordered_after_write(cell, warp.index, thread)) {
      // Threads that write the same value do no harm, whoever comes last.
      const std::byte* value =
          touch.kind == WarpAccess::Kind::write ? stored_byte(warp, op, touch, lane, i) : nullptr;
      const std::byte* other = &warp.shared[offset + i];
      if (value != nullptr && cell.write_serial == serial_) {
        const std::uint32_t first = cell.writer % lane_count;
        other = stored_byte(warp, op, touch, first,
                            static_cast<std::uint32_t>(touch.at(lane) + i - touch.at(first)));
      }
      if (value == nullptr || *value != *other) {
        raise_hazard(warp, op, touch, lane, offset + i, Hazard::write);
        return false;
      }
    }
    if (touch.kind == WarpAccess::Kind::read) {
      if (!strong) {
        note_read(cell, warp.index, lane, number);
      }
      continue;
    }
    if (!ordered_after_reads(cell, warp.index, thread)) {
      raise_hazard(warp, op, touch, lane, offset + i, Hazard::read);
      return false;
    }
    cell.write_stamp = now_;
    cell.write_serial = serial_;
    cell.write_op = number;
    cell.read_stamp = 0;
    cell.read_lanes = 0;
    cell.writer = static_cast<std::uint16_t>(thread);
    cell.write_sync = lane_sync_[warp.index];
    cell.strong = strong;
  }
  return true;
}

bool StrictBlock::access(Warp& warp, const Op* op, const WarpAccess& touch) {
  const auto shared = reinterpret_cast<std::uint64_t>(warp.shared);
  const bool strong = touch.kind == WarpAccess::Kind::atomic || (op->flags & flag::strong) != 0;
  ++serial_;
  for (std::uint32_t rest = touch.mask; rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<std::uint32_t>(std::countr_zero(rest));
    if (touch.at(lane) - shared < warp.shared_bytes && !shared_access(warp, op, touch, lane, strong)) {
      return false;
    }
  }
  return true;
}

const Op* StrictBlock::raise_hazard(Warp& warp, const Op* op, const WarpAccess& touch, std::uint32_t lane,
                                    std::uint64_t offset, Hazard hazard) const {
  const Program& module = *warp.block->launch->module;
  const Cell& cell = cells_[offset];
  const char* verb = touch.kind == WarpAccess::Kind::read    ? "reads"
                     : touch.kind == WarpAccess::Kind::write ? "writes"
                                                             : "atomically updates";
  const std::string head =
      fmt::format("{} {} {} bytes of shared memory at offset {}", describe_thread(warp, op, lane), verb,
                  touch.bytes, touch.at(lane) - reinterpret_cast<std::uint64_t>(warp.shared));
  if (hazard == Hazard::unwritten) {
    return raise(
        warp, FaultKind::violation,
        fmt::format("{}, of which offset {} was never written{}", head, offset, describe_op(warp, op)));
  }
  const bool by_write = hazard == Hazard::write;
  const std::uint32_t other =
      by_write ? cell.writer
               : (cell.read_warp == warp.index && (cell.read_lanes & ~(1U << lane)) != 0
                      ? warp.index * lane_count +
                            static_cast<std::uint32_t>(std::countr_zero(cell.read_lanes & ~(1U << lane)))
                      : static_cast<std::uint32_t>(std::countr_zero(cell.read_warps & ~(1U << warp.index))) *
                            lane_count);
  const std::array<std::uint32_t, 3>& size = warp.block->launch->launch->block;
  const bool same_warp = other / lane_count == warp.index;
  const std::string who = by_write || same_warp
                              ? fmt::format("thread ({},{},{})", other % size[0], other / size[0] % size[1],
                                            other / size[0] / size[1])
                              : fmt::format("warp {}", other / lane_count);
  return raise(warp, FaultKind::violation,
               fmt::format("{} in a race: {} {} offset {} and no {} orders the two{}; the other access is{}",
                           head, who, by_write ? "wrote" : "read", offset,
                           same_warp ? "__syncwarp or barrier" : "barrier", describe_op(warp, op),
                           describe_op(warp, module.ops.data() + (by_write ? cell.write_op : cell.read_op))));
}

}  // namespace kerncast::simulator
