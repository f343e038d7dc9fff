#pragma once

#include "runtime/simulator/exec/lanes.hpp"

/// The way of comparison results to predicates and registers.
namespace kerncast::simulator::KERNCAST_SIM_LEVEL {

namespace {

KC_INLINE u32 with_predicate(Warp& w, const Op* op, u32 result) {
  if ((op->flags & (flag::bool_and | flag::bool_or | flag::bool_xor)) == 0) {
    return result;
  }
  const u32 other = pred(w, op->c) ^ ((op->flags & flag::neg_c) != 0 ? ~0U : 0U);
  return (op->flags & flag::bool_and) != 0  ? result & other
         : (op->flags & flag::bool_or) != 0 ? result | other
                                            : result ^ other;
}

/// Writes p = cmp op c and q = !cmp op c.
KC_INLINE const Op* finish_setp(Warp& w, const Op* op, u32 mask, u32 compared) {
  const u32 result = (op->flags & flag::invert) != 0 ? ~compared : compared;
  const u32 p = with_predicate(w, op, result);
  const u32 q = with_predicate(w, op, ~result);
  set_pred(w, op->d2, mask, q);
  set_pred(w, op->d, mask, p);
  return op + 1;
}

/// Writes all ones or zeros; for float results 1.0 or 0.0.
KC_INLINE const Op* finish_set(Warp& w, const Op* op, u32 mask, u32 compared) {
  const u32 result = with_predicate(w, op, (op->flags & flag::invert) != 0 ? ~compared : compared);
  switch (op->source) {
    case Type::f16:
    case Type::bf16:
    case Type::u16:
    case Type::s16:
    case Type::b16: {
      const u16 yes = op->source == Type::f16 ? 0x3c00U : op->source == Type::bf16 ? 0x3f80U : 0xffffU;
      each(dst<u16>(w, op->d), mask,
           [&](unsigned i) { return static_cast<u16>((result >> i & 1U) != 0 ? yes : 0U); });
      break;
    }
    default: {
      const u32 yes = op->source == Type::f32 ? 0x3f800000U : ~0U;
      lanes(dst<u32>(w, op->d), mask, [&](unsigned i) { return (result & (1U << i)) != 0 ? yes : 0U; });
      break;
    }
  }
  return op + 1;
}

}  // namespace

}  // namespace kerncast::simulator::KERNCAST_SIM_LEVEL
