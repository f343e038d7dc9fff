#include "runtime/simulator/watch/group_order.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <functional>
#include <span>

#include "runtime/simulator/machine/scheduler.hpp"
#include "runtime/simulator/watch/strict.hpp"

namespace kerncast::simulator {

namespace {

constexpr std::uint32_t place_bytes = 64;
constexpr std::uint8_t guard_use = 5;

bool same_shape(const Op& x, const Op& y) {
  return x.count == y.count && x.type == y.type && x.source == y.source && x.sub == y.sub;
}

/// Reports what `text` says of the first lane of `mask`; `other` is the wgmma in question.
bool report_order(Warp& warp, const Op* op, std::uint32_t mask, const char* what, const Op* other) {
  return violation(warp, op, [&] {
    const auto lane = static_cast<std::uint32_t>(std::countr_zero(mask));
    std::string text = fmt::format("{} {}{}", describe_thread(warp, op, lane), what, describe_op(warp, op));
    return other == nullptr ? text : text + "; the other instruction is" + describe_op(warp, other);
  });
}

}  // namespace

void GroupOrder::clear() {
  if (fence_ != 0 || open_ != 1 || !reads_.empty()) {
    places_.clear();
    reads_.clear();
  }
  open_ = 1;
  completed_ = 0;
  fence_ = 0;
}

GroupOrder::Place& GroupOrder::place(const Warp& warp, const OperandUse& use) {
  const std::size_t index = (warp.frame + use.place) / place_bytes;
  if (index >= places_.size()) {
    places_.resize(std::max<std::size_t>(warp.stack_bytes / place_bytes, index) + 1);
  }
  return places_[index];
}

bool GroupOrder::issue(Warp& warp, const Op* op) {
  if (fence_ == 0) {
    return report_order(warp, op, all_lanes, "issues a wgmma before the first wgmma.fence of its warp",
                        nullptr);
  }
  const std::size_t accumulators = std::size_t{op->count} * (static_cast<Type>(op->sub) == Type::f16 ? 2 : 4);
  const std::size_t inputs = (op->flags & flag::a_in_registers) != 0 ? 4 : 0;
  for (const OperandUse& use : warp.block->launch->module->uses_of(op)) {
    if (!use.in_list || use.bytes == 0) {
      continue;
    }
    Place& here = place(warp, use);
    const std::size_t index = use.list - op->d2;
    const bool input = index >= accumulators && index < accumulators + inputs;
    const bool flies = in_flight(here);
    const char* wrong = nullptr;
    if (flies && here.input != input) {
      wrong = input ? "takes A from registers that a wgmma it has not waited for accumulates in"
                    : "accumulates in registers that a wgmma it has not waited for takes A from";
    } else if (flies && !input && here.op != op && !same_shape(*here.op, *op)) {
      wrong = "accumulates in registers of a wgmma of another shape that it has not waited for";
    } else if (!flies && here.touched == fence_) {
      wrong = input ? "takes A from registers that it accessed since its last wgmma.fence"
                    : "accumulates in registers that it accessed since its last wgmma.fence";
    }
    if (wrong != nullptr) {
      const Op* other = flies ? here.op : nullptr;
      here.touched = 0;
      return report_order(warp, op, all_lanes, wrong, other);
    }
  }
  for (const OperandUse& use : warp.block->launch->module->uses_of(op)) {
    if (use.in_list && use.bytes != 0) {
      const std::size_t index = use.list - op->d2;
      const bool input = index >= accumulators && index < accumulators + inputs;
      place(warp, use) = {open_, 0, op, input};
    }
  }
  return true;
}

void GroupOrder::note_read(const Op* op, const WarpAccess& touch) {
  Read& read = reads_.emplace_back();
  read.op = op;
  read.group = open_;
  read.mask = touch.mask;
  for (std::uint32_t lane = 0; lane < lane_count; ++lane) {
    read.at[lane] = (touch.mask >> lane & 1U) != 0 ? touch.at(lane) : 0;
  }
}

bool GroupOrder::complete(Warp& warp, std::uint32_t group) {
  completed_ = std::max(completed_, group);
  while (!reads_.empty() && reads_.front().group <= completed_) {
    const Read read = reads_.front();
    reads_.pop_front();
    WarpAccess touch;
    touch.kind = WarpAccess::Kind::read;
    touch.mask = read.mask;
    touch.bytes = 16;
    touch.host = read.at.data();
    if (!warp.strict->access(warp, read.op, touch)) {
      return false;
    }
  }
  return true;
}

bool GroupOrder::order(Warp& warp, const Op* op) {
  switch (op->code) {
    case Code::wgmma_fence:
      ++fence_;
      warp.cautious = true;
      warp.limit = std::min(warp.limit, op + 1, std::less<>());
      return true;
    case Code::wgmma_commit:
      ++open_;
      return true;
    default: {
      const std::uint32_t closed = open_ - 1;
      return closed <= op->count || complete(warp, closed - op->count);
    }
  }
}

/// A move of a register of a wgmma renames it: compilers do so where control flow joins.
bool GroupOrder::copy(Warp& warp, const Op* op) {
  const OperandUse* from = nullptr;
  const OperandUse* to = nullptr;
  for (const OperandUse& use : warp.block->launch->module->uses_of(op)) {
    if (use.field != guard_use) {
      (use.defines ? to : from) = &use;
    }
  }
  if (to == nullptr || to->bytes == 0) {
    return true;
  }
  const Place source = from == nullptr || from->bytes == 0 ? Place{} : place(warp, *from);
  Place& target = place(warp, *to);
  if (in_flight(target) && !in_flight(source)) {
    return report_order(warp, op, warp.active, "writes a register of a wgmma that it has not waited for",
                        target.op);
  }
  target = source;
  return true;
}

bool GroupOrder::before(Warp& warp, const Op* op, std::uint32_t mask) {
  switch (op->code) {
    case Code::wgmma:
    case Code::wgmma_fence:
    case Code::wgmma_commit:
    case Code::wgmma_wait:
    case Code::bra:
    case Code::nop:
      return true;
    case Code::mov:
      return mask == 0 || copy(warp, op);
    default:
      break;
  }
  if (mask == 0) {
    return true;
  }
  const auto touch = [&](const OperandUse& use) {
    Place& here = place(warp, use);
    const Op* const other = here.op;
    // Reading a part of A changes nothing.
    const bool wrong = in_flight(here) && (use.defines || !here.input);
    if (wrong) {
      here.group = 0;
    }
    here.touched = fence_;
    return !wrong || report_order(warp, op, mask,
                                  use.defines ? "writes a register of a wgmma that it has not waited for"
                                              : "reads a register of a wgmma that it has not waited for",
                                  other);
  };
  const std::span<const OperandUse> uses = warp.block->launch->module->uses_of(op);
  for (const bool defines : {false, true}) {
    for (const OperandUse& use : uses) {
      if (use.bytes != 0 && use.defines == defines && !touch(use)) {
        return false;
      }
    }
  }
  return true;
}

void GroupLog::clear() {
  entries_.clear();
  first_ = 0;
  next_.fill(0);
}

bool GroupLog::issue(Warp& warp, const Op* op, std::uint64_t a, std::uint64_t b, bool adds) {
  const std::uint32_t own = warp.index % group_warps;
  const std::uint64_t number = next_[own]++;
  if (number - first_ == entries_.size()) {
    entries_.push_back({op, a, b, adds, warp.index});
  } else {
    const Entry& entry = entries_[number - first_];
    if (entry.op != op || entry.a != a || entry.b != b || entry.adds != adds) {
      const char* what = entry.op != op       ? "executes another wgmma than"
                         : entry.adds != adds ? "passes another scale-d than"
                                              : "passes another matrix descriptor than";
      return violation(warp, op, [&] {
        return fmt::format("{} {} warp {} of its warpgroup{}; the other instruction is{}",
                           describe_thread(warp, op, 0), what, entry.warp, describe_op(warp, op),
                           describe_op(warp, entry.op));
      });
    }
  }
  while (!entries_.empty() && *std::min_element(next_.begin(), next_.end()) > first_) {
    entries_.pop_front();
    ++first_;
  }
  return true;
}

bool strict_group_product(Warp& warp, const Op* op, std::uint64_t a, std::uint64_t b, bool adds) {
  StrictBlock& strict = *warp.strict;
  return strict.group_log(warp).issue(warp, op, a, b, adds) && strict.group_order(warp).issue(warp, op);
}

bool strict_group_order(Warp& warp, const Op* op) {
  return warp.strict->group_order(warp).order(warp, op);
}

}  // namespace kerncast::simulator
