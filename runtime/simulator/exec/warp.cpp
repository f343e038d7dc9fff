#include "runtime/simulator/exec/executor.hpp"
#include "runtime/simulator/exec/lanes.hpp"
#include "runtime/simulator/exec/members.hpp"

namespace kerncast::simulator::KERNCAST_SIM_LEVEL {

namespace {

const Op* shuffle(Warp& w, const Op* op, u32 mask) {
  return with_members(w, op, mask, w.lists[op->imm], [&](u32 group) {
    const u32* a = src<u32>(w, op->a);
    const u32* b = src<u32>(w, op->b);
    const u32* c = src<u32>(w, op->c);
    alignas(64) u32 fresh[lane_count];
    u32 in_range = 0;
    if (op->sub == 2 && is_constant(op->b) && is_constant(op->c) && c[0] == 31 &&
        (group == all_lanes || w.strict == nullptr)) {
      const u32 by = b[0] & 31U;
      for (unsigned i = 0; i < lane_count; ++i) {
        fresh[i] = a[i ^ by];
      }
      in_range = all_lanes;
    } else {
      for (unsigned i = 0; i < lane_count; ++i) {
        const s32 offset = static_cast<s32>(b[i] & 31U);
        const s32 clamp = static_cast<s32>(c[i] & 31U);
        const s32 segment = static_cast<s32>(c[i] >> 8 & 31U);
        const s32 lane = static_cast<s32>(i);
        const s32 least = lane & segment;
        const s32 most = least | (clamp & ~segment);
        s32 from = lane;
        bool valid = false;
        switch (op->sub) {
          case 0:
            from = lane - offset;
            valid = from >= most;
            break;
          case 1:
            from = lane + offset;
            valid = from <= most;
            break;
          case 2:
            from = lane ^ offset;
            valid = from <= most;
            break;
          default:
            from = least | (offset & ~segment);
            valid = from <= most;
            break;
        }
        from = valid ? from : lane;
        if (w.strict != nullptr && (group >> i & 1U) != 0 && (group >> (from & 31) & 1U) == 0 &&
            raise_shuffle(w, op, i, static_cast<u32>(from & 31)) == nullptr) {
          return;
        }
        fresh[i] = a[from & 31];
        in_range |= valid ? 1U << i : 0U;
      }
    }
    lanes(dst<u32>(w, op->d), group, [&](unsigned i) { return fresh[i]; });
    set_pred(w, op->d2, group, in_range);
  });
}

const Op* vote(Warp& w, const Op* op, u32 mask) {
  return with_members(w, op, mask, w.lists[op->imm], [&](u32 group) {
    const u32 holds = (pred(w, op->a) ^ ((op->flags & flag::neg_a) != 0 ? ~0U : 0U)) & group;
    switch (op->sub) {
      case 0:
        set_pred(w, op->d, group, holds == group ? ~0U : 0U);
        break;
      case 1:
        set_pred(w, op->d, group, holds != 0 ? ~0U : 0U);
        break;
      case 2:
        set_pred(w, op->d, group, holds == group || holds == 0 ? ~0U : 0U);
        break;
      default:
        lanes(dst<u32>(w, op->d), group, [&](unsigned) { return holds; });
        break;
    }
  });
}

template <class T>
const Op* match(Warp& w, const Op* op, u32 mask) {
  return with_members(w, op, mask, w.lists[op->imm], [&](u32 group) {
    const T* a = src<T>(w, op->a);
    alignas(64) u32 fresh[lane_count];
    for (unsigned i = 0; i < lane_count; ++i) {
      u32 same = 0;
      for (u32 rest = group; rest != 0; rest &= rest - 1) {
        const auto j = static_cast<unsigned>(__builtin_ctz(rest));
        same |= a[j] == a[i] ? 1U << j : 0U;
      }
      fresh[i] = op->sub == 0 || same == group ? same : 0U;
    }
    if (op->sub != 0) {
      set_pred(w, op->d2, group, fresh[__builtin_ctz(group)] != 0 ? ~0U : 0U);
    }
    each(dst<u32>(w, op->d), group, [&](unsigned i) { return fresh[i]; });
  });
}

KC_INLINE u32 reduce_float(const Op* op, const u32* a, u32 group) {
  bool any_nan = false;
  bool all_nan = true;
  float best = 0;
  for (u32 rest = group; rest != 0; rest &= rest - 1) {
    u32 bits = a[__builtin_ctz(rest)];
    bits = (op->flags & flag::xor_sign) != 0 ? bits & 0x7fffffffU : bits;
    const float x = bits_as<float>(bits);
    if (x != x) {
      any_nan = true;
      continue;
    }
    const bool negative_zero = x == 0.0F && (bits >> 31) != 0;
    const bool best_negative_zero = best == 0.0F && bits_as<u32>(best) >> 31 != 0;
    const bool better = op->sub == 1 ? x < best || (best == 0.0F && negative_zero)
                                     : x > best || (x == 0.0F && !negative_zero && best_negative_zero);
    best = all_nan || better ? x : best;
    all_nan = false;
  }
  return all_nan || (any_nan && (op->flags & flag::nan) != 0) ? 0x7fffffffU : bits_as<u32>(best);
}

const Op* reduce(Warp& w, const Op* op, u32 mask) {
  return with_members(w, op, mask, w.lists[op->imm], [&](u32 group) {
    const u32* a = src<u32>(w, op->a);
    u32 result = a[__builtin_ctz(group)];
    if (op->type == Type::f32) {
      result = reduce_float(op, a, group);
    } else {
      const bool is_signed = op->type == Type::s32;
      for (u32 rest = group & (group - 1); rest != 0; rest &= rest - 1) {
        const u32 x = a[__builtin_ctz(rest)];
        const bool less = is_signed ? static_cast<s32>(x) < static_cast<s32>(result) : x < result;
        switch (op->sub) {
          case 0:
            result += x;
            break;
          case 1:
            result = less ? x : result;
            break;
          case 2:
            result = less ? result : x;
            break;
          case 3:
            result &= x;
            break;
          case 4:
            result |= x;
            break;
          default:
            result ^= x;
            break;
        }
      }
    }
    lanes(dst<u32>(w, op->d), group, [&](unsigned) { return result; });
  });
}

const Op* elect(Warp& w, const Op* op, u32 mask) {
  return with_members(w, op, mask, w.lists[op->imm], [&](u32 group) {
    const auto leader = static_cast<u32>(__builtin_ctz(group));
    lanes(dst<u32>(w, op->d), group, [&](unsigned) { return leader; });
    set_pred(w, op->d2, group, 1U << leader);
  });
}

const Op* warp_sync(Warp& w, const Op* op, u32 mask) {
  return with_members(w, op, mask, op->a, [&](u32) { note_warp_sync(w); });
}

const Op* active_mask(Warp& w, const Op* op, u32 mask) {
  lanes(dst<u32>(w, op->d), mask, [&](unsigned) { return mask; });
  return op + 1;
}

}  // namespace

Handler select_warp(const Op& op) {
  switch (op.code) {
    case Code::shfl:
      return shuffle;
    case Code::vote:
      return vote;
    case Code::match:
      return op.type == Type::b32 ? match<u32> : match<u64>;
    case Code::redux:
      return reduce;
    case Code::elect:
      return elect;
    case Code::warp_sync:
      return warp_sync;
    case Code::activemask:
      return active_mask;
    default:
      return nullptr;
  }
}

}  // namespace kerncast::simulator::KERNCAST_SIM_LEVEL
