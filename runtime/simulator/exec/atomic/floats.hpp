#pragma once

#include "runtime/simulator/exec/float_lanes.hpp"
#include "runtime/simulator/exec/formats.hpp"

/// Read-modify-write steps on floats.
namespace kerncast::simulator::KERNCAST_SIM_LEVEL {

namespace {

/// atom.add.f32 on global memory flushes subnormals, in registers and in memory alike; on shared memory it
/// does not.
struct Float32 {
  using type = u32;
  static KC_INLINE u32 f(const Op*, u32 old, u32 b, u32) {
    return bits_as<u32>(canonical(flush(flush(bits_as<float>(old)) + flush(bits_as<float>(b)))));
  }
};

/// Chooses as min and max do: -0 is less than +0, a NaN loses against a number, and two NaNs give the
/// canonical one.
KC_INLINE u16 half_choice(u16 x, u16 y, u16 infinity, bool greatest) {
  const bool x_nan = (x & 0x7fffU) > infinity;
  const bool y_nan = (y & 0x7fffU) > infinity;
  if (x_nan || y_nan) {
    return x_nan && y_nan ? u16{0x7fffU} : x_nan ? y : x;
  }
  const s32 xo = (x & 0x8000U) != 0 ? -static_cast<s32>(x & 0x7fffU) - 1 : static_cast<s32>(x);
  const s32 yo = (y & 0x8000U) != 0 ? -static_cast<s32>(y & 0x7fffU) - 1 : static_cast<s32>(y);
  return (greatest ? xo > yo : xo < yo) ? x : y;
}

template <bool Brain>
KC_INLINE u16 half_result(const Op* op, u16 old, u16 b) {
  const auto kind = static_cast<AtomicOp>(op->count);
  if (kind == AtomicOp::min || kind == AtomicOp::max) {
    return half_choice(old, b, Brain ? u16{0x7f80U} : u16{0x7c00U}, kind == AtomicOp::max);
  }
  return Brain ? f32_to_bf16(bf16_to_f32(old) + bf16_to_f32(b)) : f32_to_f16(f16_to_f32(old) + f16_to_f32(b));
}

template <bool Brain>
struct Half {
  using type = u16;
  static KC_INLINE u16 f(const Op* op, u16 old, u16 b, u16) { return half_result<Brain>(op, old, b); }
};
template <bool Brain>
struct HalfPair {
  using type = u32;
  static KC_INLINE u32 f(const Op* op, u32 old, u32 b, u32) {
    const u16 low = half_result<Brain>(op, static_cast<u16>(old), static_cast<u16>(b));
    const u16 high = half_result<Brain>(op, static_cast<u16>(old >> 16), static_cast<u16>(b >> 16));
    return static_cast<u32>(high) << 16 | low;
  }
};

}  // namespace

}  // namespace kerncast::simulator::KERNCAST_SIM_LEVEL
