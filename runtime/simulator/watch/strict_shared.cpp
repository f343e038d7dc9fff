#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstddef>

#include "runtime/simulator/machine/scheduler.hpp"
#include "runtime/simulator/watch/strict.hpp"

namespace kerncast::simulator {

namespace {

/// The instruction that wrote a cell, if another block of the cluster did.
constexpr std::uint32_t outside_op = ~std::uint32_t{0};

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

StrictBlock::StrictBlock(std::uint64_t shared_bytes, std::uint64_t asked, std::uint32_t warps)
    : cells_(shared_bytes), asked_(asked), all_warps_(warps >= lane_count ? all_lanes : (1U << warps) - 1) {}

void StrictBlock::start() {
  // Stamps continue, so that the cells of the block before need no clearing.
  settled_ = started_ = ++now_;
  meetings_.clear();
  waited_warps_ = 0;
  for (Clock& clock : synced_) {
    clock.fill(0);
  }
  for (Clock& clock : barriers_) {
    clock.fill(0);
  }
  proxy_fences_.fill(0);
  cluster_arrivals_.fill(0);
  cluster_meeting_.fill(0);
  for (Undefined& registers : undefined_) {
    registers.clear();
  }
  for (GroupOrder& order : group_orders_) {
    order.clear();
  }
  for (GroupLog& log : group_logs_) {
    log.clear();
  }
}

void StrictBlock::arrive(std::uint32_t warp, std::uint32_t id) {
  simulator::join(barriers_[id], synced_[warp]);
  barriers_[id][warp] = now_ + 1;
}

void StrictBlock::leave(std::uint32_t waiting, std::uint32_t id) {
  ++now_;
  for (std::uint32_t rest = waiting; rest != 0; rest &= rest - 1) {
    const auto warp = static_cast<std::uint32_t>(std::countr_zero(rest));
    simulator::join(synced_[warp], barriers_[id]);
    ++lane_sync_[warp];
  }
  if (waiting == all_warps_) {
    const auto warps = static_cast<std::size_t>(std::popcount(all_warps_));
    settled_ = std::max(
        settled_,
        *std::min_element(barriers_[id].begin(), barriers_[id].begin() + static_cast<std::ptrdiff_t>(warps)));
  }
  barriers_[id].fill(0);
}

void StrictBlock::proxy_fence(std::uint32_t warp) {
  proxy_fences_[warp] = ++now_;
}

bool StrictBlock::check_proxy(const Touch& touch, std::uint64_t offset) {
  const Program& module = *touch.warp.block->launch->module;
  for (std::uint64_t word = offset / 4; word < (offset + touch.access.bytes + 3) / 4; ++word) {
    const std::uint32_t stamp = cells_.write_stamp[word];
    const std::uint32_t writer = cells_.write_op[word];
    if (cells_.is_split(word) || stamp < started_ || writer == outside_op) {
      continue;
    }
    const Op* const op = module.ops.data() + writer;
    const std::uint32_t warp = (cells_.write_info[word] & 0xffffU) / lane_count;
    const bool fenced = stamp < std::max(proxy_fences_[warp], proxy_fences_[touch.warp.index]);
    if (fenced || op->code == Code::cp_tensor || op->code == Code::cp_bulk) {
      continue;
    }
    return violation(touch.warp, touch.op, [&] {
      return fmt::format(
          "{} reads shared memory at offset {} by the async proxy, and no fence.proxy.async comes after the "
          "write of it{}; the write is{}",
          describe_thread(touch.warp, touch.op, touch.lane), word * 4, describe_op(touch.warp, touch.op),
          describe_op(touch.warp, op));
    });
  }
  return true;
}

void StrictBlock::cluster_arrived(std::uint32_t warp) {
  simulator::join(cluster_arrivals_, synced_[warp]);
  cluster_arrivals_[warp] = now_ + 1;
}

void StrictBlock::cluster_met() {
  ++now_;
  cluster_meeting_ = cluster_arrivals_;
  cluster_arrivals_.fill(0);
}

void StrictBlock::cluster_passed(std::uint32_t warp) {
  simulator::join(synced_[warp], cluster_meeting_);
  ++lane_sync_[warp];
}

void StrictBlock::access_from_outside(std::uint64_t offset, std::uint32_t bytes, WarpAccess::Kind kind) {
  if (kind == WarpAccess::Kind::read) {
    return;
  }
  SharedCell cell;
  cell.write_stamp = started_;
  cell.write_op = outside_op;
  for (std::uint64_t at = offset; at < offset + bytes;) {
    if (at % 4 == 0 && at + 4 <= offset + bytes && !cells_.is_split(at / 4)) {
      cells_.store(at / 4, cell);
      at += 4;
    } else {
      cells_.byte(at) = cell;
      ++at;
    }
  }
}

void StrictBlock::grid_waited(std::uint32_t warp) {
  if ((waited_warps_ >> warp & 1U) == 0) {
    waited_warps_ |= 1U << warp;
    grid_waits_[warp] = now_++;
  }
}

bool StrictBlock::after_grid_wait(std::uint32_t warp) {
  for (std::uint32_t rest = waited_warps_; rest != 0; rest &= rest - 1) {
    const auto other = static_cast<std::uint32_t>(std::countr_zero(rest));
    if (other == warp || grid_waits_[other] < synced_[warp][other]) {
      grid_waited(warp);
      return true;
    }
  }
  return false;
}

void StrictBlock::meet(std::uint64_t offset, std::uint32_t warp) {
  Clock& meeting = meetings_.try_emplace(offset, Clock{}).first->second;
  simulator::join(synced_[warp], meeting);
  simulator::join(meeting, synced_[warp]);
  meeting[warp] = ++now_;
}

std::uint32_t StrictBlock::shared_lanes(const Warp& warp, const WarpAccess& touch) {
  const auto shared = reinterpret_cast<std::uint64_t>(warp.shared);
  if (touch.host == nullptr) {
    return touch.first - shared < warp.shared_bytes ? touch.mask : 0;
  }
  std::uint32_t lanes = 0;
  for (std::uint32_t rest = touch.mask; rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<std::uint32_t>(std::countr_zero(rest));
    lanes |= touch.host[lane] - shared < warp.shared_bytes ? 1U << lane : 0U;
  }
  return lanes;
}

bool StrictBlock::ordered_after_write(const SharedCell& cell, const Touch& touch) const {
  const std::uint32_t warp = touch.warp.index;
  const std::uint32_t mine = 1U << touch.lane;
  const std::uint32_t other = cell.writer() / lane_count;
  // A thread that wrote the value too may read it back, but a new value would race with the other writers.
  const bool alone = cell.writers == mine && cell.writer_warps == 1U << warp;
  const bool wrote_it = other == warp ? (cell.writers & mine) != 0 : (cell.writer_warps >> warp & 1U) != 0;
  if (touch.access.kind == WarpAccess::Kind::read ? wrote_it : other == warp && alone) {
    return true;
  }
  return other == warp ? cell.write_info >> 16 != lane_sync_[warp] : cell.write_stamp < synced_[warp][other];
}

bool StrictBlock::ordered_after_reads(const SharedCell& cell, const Touch& touch) const {
  const std::uint32_t warp = touch.warp.index;
  if (cell.read_stamp < started_) {
    return true;
  }
  if (cell.read_info == read_info(warp) && (cell.read_lanes & ~(1U << touch.lane)) != 0) {
    return false;
  }
  for (std::uint32_t rest = cell.read_warps & ~(1U << warp); rest != 0; rest &= rest - 1) {
    if (cell.read_stamp >= synced_[warp][static_cast<std::size_t>(std::countr_zero(rest))]) {
      return false;
    }
  }
  return true;
}

void StrictBlock::note_read(SharedCell& cell, const Touch& touch) const {
  const std::uint32_t info = read_info(touch.warp.index);
  const bool same_time = cell.read_stamp == now_;
  cell.read_lanes = (same_time && cell.read_info == info ? cell.read_lanes : 0) | 1U << touch.lane;
  cell.read_warps = (same_time ? cell.read_warps : 0) | 1U << touch.warp.index;
  cell.read_stamp = now_;
  cell.read_info = info;
  cell.read_op = touch.number;
}

/// `joins`: the write adds to others of the same value that it is not ordered after.
void StrictBlock::note_write(SharedCell& cell, const Touch& touch, bool joins) const {
  const std::uint32_t warp = touch.warp.index;
  const bool same_warp = joins && cell.writer() / lane_count == warp;
  cell.writers = (same_warp ? cell.writers : 0) | 1U << touch.lane;
  cell.writer_warps = (joins ? cell.writer_warps : 0) | 1U << warp;
  cell.write_stamp = now_;
  cell.write_serial = serial_;
  cell.write_op = touch.number;
  cell.write_info = (warp * lane_count + touch.lane) | std::uint32_t{lane_sync_[warp]} << 16;
  cell.strong = touch.strong ? 1 : 0;
  cell.read_stamp = 0;
  cell.read_lanes = 0;
}

bool StrictBlock::same_value(const Touch& touch, std::uint64_t offset, std::uint32_t bytes,
                             const SharedCell& cell) const {
  if (touch.access.kind != WarpAccess::Kind::write) {
    return false;
  }
  const std::uint64_t host = reinterpret_cast<std::uint64_t>(touch.warp.shared) + offset;
  const std::uint32_t first = cell.writer() % lane_count;
  for (std::uint32_t i = 0; i < bytes; ++i) {
    const auto index = static_cast<std::uint32_t>(host + i - touch.access.at(touch.lane));
    const std::byte* value = stored_byte(touch.warp, touch.op, touch.access, touch.lane, index);
    const std::byte* other = &touch.warp.shared[offset + i];
    if (value != nullptr && cell.write_serial == serial_) {
      other = stored_byte(touch.warp, touch.op, touch.access, first,
                          static_cast<std::uint32_t>(host + i - touch.access.at(first)));
    }
    if (value == nullptr || *value != *other) {
      return false;
    }
  }
  return true;
}

bool StrictBlock::check_cell(const Touch& touch, std::uint64_t offset, std::uint32_t bytes,
                             SharedCell& cell) {
  const WarpAccess::Kind kind = touch.access.kind;
  const bool written = cell.write_stamp >= started_;
  if (kind != WarpAccess::Kind::write && !written) {
    const std::uint64_t begin =
        touch.access.at(touch.lane) - reinterpret_cast<std::uint64_t>(touch.warp.shared);
    missing_.add(touch.lane, static_cast<std::uint32_t>(offset - begin), bytes);
    return true;
  }
  bool joins = false;
  if (written && cell.write_op != outside_op && !(touch.strong && cell.strong != 0) &&
      !ordered_after_write(cell, touch)) {
    // Threads that write the same value do no harm, whoever comes last.
    joins = same_value(touch, offset, bytes, cell);
    if (!joins && !report(touch, offset, cell, Hazard::write)) {
      return false;
    }
  }
  if (kind == WarpAccess::Kind::read) {
    if (!touch.strong) {
      note_read(cell, touch);
    }
    return true;
  }
  if (!joins && !ordered_after_reads(cell, touch) && !report(touch, offset, cell, Hazard::read)) {
    return false;
  }
  note_write(cell, touch, joins);
  return true;
}

bool StrictBlock::check_byte(const Touch& touch, std::uint64_t offset) {
  return check_cell(touch, offset, 1, cells_.byte(offset));
}

bool StrictBlock::check_word(const Touch& touch, std::uint64_t offset) {
  const std::uint64_t word = offset / 4;
  if (cells_.is_split(word)) {
    cells_.join(word, started_, settled_);
  }
  if (cells_.is_split(word)) {
    for (std::uint32_t i = 0; i < 4; ++i) {
      if (!check_byte(touch, offset + i)) {
        return false;
      }
    }
    return true;
  }
  SharedCell cell = cells_.load(word);
  const bool fine = check_cell(touch, offset, 4, cell);
  cells_.store(word, cell);
  return fine;
}

bool StrictBlock::check_lane(const Touch& touch, std::uint64_t offset) {
  const std::uint32_t bytes = touch.access.bytes;
  if (bytes % 4 != 0 || offset % 4 != 0) {
    for (std::uint32_t i = 0; i < bytes; ++i) {
      if (!check_byte(touch, offset + i)) {
        return false;
      }
    }
    return true;
  }
  for (std::uint32_t i = 0; i < bytes; i += 4) {
    const bool quick = touch.access.kind == WarpAccess::Kind::read
                           ? read_one(offset + i, 1U << touch.lane, touch)
                           : touch.access.kind == WarpAccess::Kind::write && write_one(offset + i, touch);
    if (!quick && !check_word(touch, offset + i)) {
      return false;
    }
  }
  return true;
}

bool StrictBlock::read_one(std::uint64_t offset, std::uint32_t lanes, const Touch& common) {
  const std::uint64_t word = offset / 4;
  if (common.strong || cells_.write_stamp[word] - started_ >= settled_ - started_) {
    return false;
  }
  const std::uint32_t info = read_info(common.warp.index);
  const bool same_time = cells_.read_stamp[word] == now_;
  cells_.read_lanes[word] =
      (same_time && cells_.read_info[word] == info ? cells_.read_lanes[word] : 0) | lanes;
  cells_.read_warps[word] = (same_time ? cells_.read_warps[word] : 0) | 1U << common.warp.index;
  cells_.read_stamp[word] = now_;
  cells_.read_info[word] = info;
  cells_.read_op[word] = common.number;
  return true;
}

bool StrictBlock::write_one(std::uint64_t offset, const Touch& touch) {
  const std::uint64_t word = offset / 4;
  if (touch.strong || cells_.write_stamp[word] >= settled_ || cells_.read_stamp[word] >= settled_) {
    return false;
  }
  SharedCell cell;
  note_write(cell, touch, false);
  cells_.store(word, cell);
  return true;
}

bool StrictBlock::read_row(const WarpAccess& touch, std::uint64_t offset, const Touch& common) {
  const std::uint32_t per_lane = touch.bytes / 4;
  const std::uint32_t count = per_lane * lane_count;
  const std::uint64_t word = offset / 4;
  const std::uint32_t started = started_;
  const std::uint32_t settled = settled_ - started_;
  const std::uint32_t* const write_stamp = &cells_.write_stamp[word];
  std::uint32_t bad = 0;
  for (std::uint32_t k = 0; k < count; ++k) {
    bad |= write_stamp[k] - started >= settled ? 1U : 0U;
  }
  if (bad != 0) {
    return false;
  }
  const std::uint32_t info = read_info(common.warp.index);
  const std::uint32_t own = 1U << common.warp.index;
  const std::uint32_t now = now_;
  std::uint32_t* const stamps = &cells_.read_stamp[word];
  std::uint32_t* const infos = &cells_.read_info[word];
  std::uint32_t* const warps = &cells_.read_warps[word];
  std::uint32_t* const lanes = &cells_.read_lanes[word];
  const auto width = static_cast<std::uint32_t>(std::countr_zero(per_lane));
  for (std::uint32_t k = 0; k < count; ++k) {
    const std::uint32_t same_time = stamps[k] == now ? all_lanes : 0U;
    const std::uint32_t same = infos[k] == info ? same_time : 0U;
    lanes[k] = (lanes[k] & same) | 1U << (k >> width);
    warps[k] = (warps[k] & same_time) | own;
    stamps[k] = now;
    infos[k] = info;
  }
  std::fill_n(&cells_.read_op[word], count, common.number);
  return true;
}

bool StrictBlock::write_row(const WarpAccess& touch, std::uint64_t offset, const Touch& common) {
  const std::uint32_t per_lane = touch.bytes / 4;
  const std::uint32_t count = per_lane * lane_count;
  const std::uint64_t word = offset / 4;
  const std::uint32_t settled = settled_;
  const std::uint32_t* const write_stamp = &cells_.write_stamp[word];
  const std::uint32_t* const read_stamp = &cells_.read_stamp[word];
  std::uint32_t bad = 0;
  for (std::uint32_t k = 0; k < count; ++k) {
    bad |= write_stamp[k] >= settled || read_stamp[k] >= settled ? 1U : 0U;
  }
  if (bad != 0) {
    return false;
  }
  const std::uint32_t warp = common.warp.index;
  const std::uint32_t info = warp * lane_count | std::uint32_t{lane_sync_[warp]} << 16;
  const auto width = static_cast<std::uint32_t>(std::countr_zero(per_lane));
  std::uint32_t* const infos = &cells_.write_info[word];
  std::uint32_t* const writers = &cells_.writers[word];
  for (std::uint32_t k = 0; k < count; ++k) {
    infos[k] = info + (k >> width);
    writers[k] = 1U << (k >> width);
  }
  std::fill_n(&cells_.write_stamp[word], count, now_);
  std::fill_n(&cells_.write_serial[word], count, serial_);
  std::fill_n(&cells_.write_op[word], count, common.number);
  std::fill_n(&cells_.writer_warps[word], count, 1U << warp);
  std::fill_n(&cells_.strong[word], count, 0U);
  std::fill_n(&cells_.read_stamp[word], count, 0U);
  std::fill_n(&cells_.read_lanes[word], count, 0U);
  return true;
}

bool StrictBlock::access(Warp& warp, const Op* op, const WarpAccess& touch) {
  const auto shared = reinterpret_cast<std::uint64_t>(warp.shared);
  const bool strong = touch.kind == WarpAccess::Kind::atomic || (op->flags & flag::strong) != 0;
  const auto number = static_cast<std::uint32_t>(op - warp.block->launch->module->ops.data());
  ++serial_;
  Touch part{warp, op, touch, 0, number, strong};
  const bool reads = touch.kind == WarpAccess::Kind::read;
  const bool by_proxy = reads && (op->code == Code::wgmma || op->code == Code::cp_tensor);
  if (!strong && touch.host == nullptr && touch.bytes % 4 == 0) {
    const std::uint64_t offset = touch.first - shared;
    const std::uint64_t end = offset + (touch.stride == 0 ? touch.bytes : touch.stride * lane_count);
    if (touch.stride != 0 && end <= asked_ && std::has_single_bit(touch.bytes) &&
        (reads ? read_row(touch, offset, part) : write_row(touch, offset, part))) {
      return true;
    }
    if (touch.stride == 0 && reads && touch.bytes == 4 && read_one(offset, touch.mask, part)) {
      return true;
    }
  }
  for (std::uint32_t rest = touch.mask; rest != 0; rest &= rest - 1) {
    part.lane = static_cast<std::uint32_t>(std::countr_zero(rest));
    const std::uint64_t offset = touch.at(part.lane) - shared;
    if (!reads && offset + touch.bytes > asked_) {
      raise_access(warp, op, {offset, part.lane, touch.bytes, Space::shared, false, "write"});
      return false;
    }
    if (strong) {
      meet(offset, warp.index);
    }
    if (by_proxy && !check_proxy(part, offset)) {
      return false;
    }
    if (!check_lane(part, offset)) {
      return false;
    }
  }
  return missing_.lanes == 0 || undefined(warp).note_shared(warp, op, touch, missing_);
}

void StrictBlock::note_tile(const Warp& warp, const Op* op, std::uint32_t span) {
  tile_spans_[static_cast<std::uint32_t>(op - warp.block->launch->module->ops.data())] |= span;
}

bool StrictBlock::check_tile(Warp& warp, const Op* op, const std::uint64_t* at, std::uint32_t mask,
                             std::uint32_t span) {
  for (std::uint32_t rest = tile_spans_.empty() ? 0 : mask; rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<std::uint32_t>(std::countr_zero(rest));
    const std::uint64_t offset = at[lane] - reinterpret_cast<std::uint64_t>(warp.shared);
    const std::uint64_t word = offset / 4;
    if (cells_.is_split(word) || cells_.write_stamp[word] < started_) {
      continue;
    }
    const std::uint32_t writer = cells_.write_op[word];
    const auto spans = tile_spans_.find(writer);
    if (spans == tile_spans_.end() || (spans->second & span) != 0) {
      continue;
    }
    return violation(warp, op, [&] {
      const auto name = [](std::uint32_t chunks) {
        return chunks == 1 ? std::string("no swizzle") : fmt::format("a swizzle of {} bytes", chunks * 16);
      };
      return fmt::format(
          "{} reads shared memory at offset {} by a descriptor with {}, but it was written with {}{}; "
          "the other instruction is{}",
          describe_thread(warp, op, lane), offset, name(span), name(spans->second), describe_op(warp, op),
          describe_op(warp, warp.block->launch->module->ops.data() + writer));
    });
  }
  return true;
}

bool StrictBlock::report(const Touch& touch, std::uint64_t offset, const SharedCell& cell,
                         Hazard hazard) const {
  return violation(touch.warp, touch.op, [&] { return describe(touch, offset, cell, hazard); });
}

std::string StrictBlock::describe(const Touch& touch, std::uint64_t offset, const SharedCell& cell,
                                  Hazard hazard) const {
  const Warp& warp = touch.warp;
  const Op* op = touch.op;
  const Program& module = *warp.block->launch->module;
  const WarpAccess& access = touch.access;
  const char* verb = access.kind == WarpAccess::Kind::read    ? "reads"
                     : access.kind == WarpAccess::Kind::write ? "writes"
                                                              : "atomically updates";
  const std::string head =
      fmt::format("{} {} {} bytes of shared memory at offset {}", describe_thread(warp, op, touch.lane), verb,
                  access.bytes, access.at(touch.lane) - reinterpret_cast<std::uint64_t>(warp.shared));
  const bool by_write = hazard == Hazard::write;
  const std::uint32_t others = cell.read_lanes & ~(1U << touch.lane);
  const std::uint32_t other =
      by_write ? cell.writer()
      : (cell.read_info & 0xffffU) == warp.index && others != 0
          ? warp.index * lane_count + static_cast<std::uint32_t>(std::countr_zero(others))
          : static_cast<std::uint32_t>(std::countr_zero(cell.read_warps & ~(1U << warp.index))) * lane_count;
  const std::array<std::uint32_t, 3>& size = warp.block->launch->launch->block;
  const bool same_warp = other / lane_count == warp.index;
  const std::string who = by_write || same_warp
                              ? fmt::format("thread ({},{},{})", other % size[0], other / size[0] % size[1],
                                            other / size[0] / size[1])
                              : fmt::format("warp {}", other / lane_count);
  return fmt::format("{} in a race: {} {} offset {} and no {} orders the two{}; the other access is{}", head,
                     who, by_write ? "wrote" : "read", offset,
                     same_warp ? "__syncwarp or barrier" : "barrier", describe_op(warp, op),
                     describe_op(warp, module.ops.data() + (by_write ? cell.write_op : cell.read_op)));
}

}  // namespace kerncast::simulator
