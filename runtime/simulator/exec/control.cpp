#include "runtime/simulator/exec/executor.hpp"
#include "runtime/simulator/exec/lanes.hpp"

namespace kerncast::simulator::KERNCAST_SIM_LEVEL {

namespace {

const Op* nop(Warp&, const Op* op, u32) {
  return op + 1;
}

/// The running fragment jumped back to `target`: it may have passed lanes that it meets from there on.
void meet_from(Warp& w, const Op* target) {
  for (u32 i = 0; i < w.fragment_count; ++i) {
    const Fragment& other = w.fragments[i];
    if (other.state == Fragment::State::ready && other.at >= target && other.at < w.limit) {
      w.limit = other.at;
    }
  }
}

const Op* branch(Warp& w, const Op* op, u32 mask) {
  const Op* target = op + op->imm;
  count_through(w, op);
  if (mask != w.active) {
    if (w.tally != nullptr) {
      note_divergence(w, op);
    }
    // The part that is lower in the code runs first; the other waits where it is.
    const u32 stay = w.active & ~mask;
    const Op* next = op + 1;
    const bool forward = target > op;
    const Op* waits = forward ? target : next;
    add_fragment(w, waits, forward ? mask : stay, w.frame, Fragment::State::ready);
    w.active = forward ? stay : mask;
    if (waits < w.limit) {
      w.limit = waits;
    }
    if (forward) {
      w.run_prefix = next->prefix;
      return next;
    }
  }
  w.run_prefix = target->prefix;
  if (target <= op) {
    if (--w.slice == 0) {
      w.resume = target;
      w.event = Event::slice;
      return nullptr;
    }
    if (w.fragment_count != 0) {
      meet_from(w, target);
    }
  }
  return target;
}

const Op* indexed_branch(Warp& w, const Op* op, u32 mask) {
  return branch_table(w, op, mask, src<u32>(w, op->a));
}

const Op* special(Warp& w, const Op* op, u32 mask) {
  alignas(64) u64 values[lane_count];
  read_special(w, op, values);
  if (op->type == Type::u64) {
    lanes(dst<u64>(w, op->d), mask, [&](unsigned i) { return values[i]; });
  } else {
    lanes(dst<u32>(w, op->d), mask, [&](unsigned i) { return static_cast<u32>(values[i]); });
  }
  return op + 1;
}

const Op* move_predicate(Warp& w, const Op* op, u32 mask) {
  set_pred(w, op->d, mask, pred(w, op->a) ^ ((op->flags & flag::neg_a) != 0 ? ~0U : 0U));
  return op + 1;
}

const Op* not_predicate(Warp& w, const Op* op, u32 mask) {
  set_pred(w, op->d, mask, ~(pred(w, op->a) ^ ((op->flags & flag::neg_a) != 0 ? ~0U : 0U)));
  return op + 1;
}

template <Code C>
const Op* logic_predicate(Warp& w, const Op* op, u32 mask) {
  const u32 a = pred(w, op->a) ^ ((op->flags & flag::neg_a) != 0 ? ~0U : 0U);
  const u32 b = pred(w, op->b) ^ ((op->flags & flag::neg_c) != 0 ? ~0U : 0U);
  set_pred(w, op->d, mask, C == Code::pred_and ? a & b : C == Code::pred_or ? a | b : a ^ b);
  return op + 1;
}

/// Packs narrow elements into one register, first element lowest.
template <class Whole, class Part, unsigned Bits>
const Op* pack(Warp& w, const Op* op, u32 mask) {
  alignas(64) Whole fresh[lane_count];
  KC_LANES {
    fresh[i] = 0;
  }
  for (unsigned k = 0; k < op->count; ++k) {
    const Part* part = src<Part>(w, w.lists[op->d2 + k]);
    const unsigned up = k * Bits;
    constexpr Whole keep = static_cast<Whole>(Bits == 64 ? ~u64{0} : (u64{1} << (Bits & 63U)) - 1);
    KC_LANES {
      fresh[i] |= static_cast<Whole>((static_cast<Whole>(part[i]) & keep) << up);
    }
  }
  lanes(dst<Whole>(w, op->d), mask, [&](unsigned i) { return fresh[i]; });
  return op + 1;
}

template <class Whole, class Part, unsigned Bits>
const Op* unpack(Warp& w, const Op* op, u32 mask) {
  const Whole* a = src<Whole>(w, op->a);
  constexpr Whole keep = static_cast<Whole>(Bits == 64 ? ~u64{0} : (u64{1} << (Bits & 63U)) - 1);
  for (unsigned k = 0; k < op->count; ++k) {
    const unsigned down = k * Bits;
    lanes(dst<Part>(w, w.lists[op->d2 + k]), mask,
          [&](unsigned i) { return static_cast<Part>(a[i] >> down & keep); });
  }
  return op + 1;
}

template <class Whole>
Handler select_parts(const Op& op) {
  const bool packs = op.code == Code::widen_parts;
  switch (op.width) {
    case 1:
      return packs ? pack<Whole, u16, 8> : unpack<Whole, u16, 8>;
    case 2:
      return packs ? pack<Whole, u16, 16> : unpack<Whole, u16, 16>;
    case 4:
      if constexpr (sizeof(Whole) >= 4) {
        return packs ? pack<Whole, u32, 32> : unpack<Whole, u32, 32>;
      }
      return nullptr;
    case 8:
      if constexpr (sizeof(Whole) == 8) {
        return packs ? pack<Whole, u64, 64> : unpack<Whole, u64, 64>;
      }
      return nullptr;
    default:
      return nullptr;
  }
}

/// alloca: d is the address of the next `a` bytes of this call's area; d2 counts the bytes given out.
const Op* reserve(Warp& w, const Op* op, u32 mask) {
  const u64* size = src<u64>(w, op->a);
  const u32* base = src<u32>(w, frame_header::local_base);
  u32* top = dst<u32>(w, op->d2);
  u64* d = dst<u64>(w, op->d);
  const u32 alignment = u32{1} << op->count;
  for (u32 rest = mask; rest != 0; rest &= rest - 1) {
    const auto i = static_cast<unsigned>(__builtin_ctz(rest));
    const u32 start = (top[i] + alignment - 1) & ~(alignment - 1);
    if (start > stack_area_bytes || size[i] > stack_area_bytes - start) {
      return raise_illegal(w, op, i, "takes more than 4096 bytes by alloca in one call");
    }
    top[i] = start + static_cast<u32>(size[i]);
    d[i] = u64{base[i]} + static_cast<u64>(op->imm) + start;
  }
  return op + 1;
}

/// The device's clock advances instead of the host's, by as much as the lane that sleeps longest asks for.
const Op* sleep(Warp& w, const Op* op, u32 mask) {
  const u32* duration = src<u32>(w, op->a);
  u32 longest = 0;
  for (u32 rest = mask; rest != 0; rest &= rest - 1) {
    const u32 asked = duration[static_cast<unsigned>(__builtin_ctz(rest))];
    longest = asked > longest ? asked : longest;
  }
  constexpr u32 most = 1000000;
  w.slept += longest < most ? longest : most;
  return op + 1;
}

}  // namespace

Handler select_control(const Op& op) {
  switch (op.code) {
    case Code::nop:
      return nop;
    case Code::mov_special:
      return special;
    case Code::mov_pred:
      return move_predicate;
    case Code::pred_not:
      return not_predicate;
    case Code::pred_and:
      return logic_predicate<Code::pred_and>;
    case Code::pred_or:
      return logic_predicate<Code::pred_or>;
    case Code::pred_xor:
      return logic_predicate<Code::pred_xor>;
    case Code::widen_parts:
    case Code::narrow_parts:
      return op.type == Type::u64   ? select_parts<u64>(op)
             : op.type == Type::u32 ? select_parts<u32>(op)
                                    : select_parts<u16>(op);
    case Code::bra:
      return branch;
    case Code::brx:
      return indexed_branch;
    case Code::call:
    case Code::call_indirect:
      return call_function;
    case Code::reserve:
      return reserve;
    case Code::nanosleep:
      return sleep;
    case Code::ret:
      return return_function;
    case Code::exit:
      return exit_lanes;
    case Code::trap:
      return raise_trap;
    case Code::host_call:
      return call_host;
    case Code::grid_wait:
      return grid_wait;
    case Code::grid_trigger:
      return grid_trigger;
    case Code::barrier_sync:
    case Code::barrier_arrive:
    case Code::barrier_red:
      return barrier;
    default:
      return nullptr;
  }
}

}  // namespace kerncast::simulator::KERNCAST_SIM_LEVEL
