#pragma once

#include <cstdint>

#include "runtime/simulator/machine/instruction.hpp"
#include "runtime/simulator/machine/state.hpp"

/// The access of handlers to registers, and loops over lanes. Everything in this header and the others of
/// this folder has internal linkage, since the units are compiled for different x86-64 levels.
namespace kerncast::simulator::KERNCAST_SIM_LEVEL {

namespace {

#define KC_INLINE inline __attribute__((always_inline))
#if defined(__clang__)
#define KC_LANES \
  _Pragma("clang loop vectorize(assume_safety) unroll(disable)") for (unsigned i = 0; i < lane_count; ++i)
#else
#define KC_LANES _Pragma("GCC ivdep") for (unsigned i = 0; i < lane_count; ++i)
#endif

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using s8 = std::int8_t;
using s16 = std::int16_t;
using s32 = std::int32_t;
using s64 = std::int64_t;

template <class To, class From>
KC_INLINE To bits_as(From from) {
  static_assert(sizeof(To) == sizeof(From));
  return __builtin_bit_cast(To, from);
}

/// Lane array of a destination register.
template <class T>
KC_INLINE T* dst(Warp& warp, u32 offset) {
  return static_cast<T*>(__builtin_assume_aligned(warp.base[0] + offset, 64));
}

/// Lane array of a source operand: a register or a constant.
template <class T>
KC_INLINE const T* src(const Warp& warp, u32 offset) {
  return static_cast<const T*>(__builtin_assume_aligned(warp.base[offset & 1U] + (offset & ~63U), 64));
}

KC_INLINE bool is_constant(u32 offset) {
  return (offset & 1U) != 0;
}

/// Lane mask of a predicate.
KC_INLINE u32& pred(Warp& warp, u32 offset) {
  return *reinterpret_cast<u32*>(warp.base[0] + offset);
}

KC_INLINE void set_pred(Warp& warp, u32 offset, u32 mask, u32 value) {
  u32& target = pred(warp, offset);
  target = (target & ~mask) | (value & mask);
}

/// Copies the lanes of `mask` from `from` to `to`.
template <class T>
KC_INLINE void blend(T* to, const T* from, u32 mask) {
  if constexpr (sizeof(T) == 8) {
    KC_LANES {
      const s64 keep = -static_cast<s64>((mask >> i) & 1U);
      s64 old = 0;
      s64 fresh = 0;
      __builtin_memcpy(&old, to + i, 8);
      __builtin_memcpy(&fresh, from + i, 8);
      old ^= (old ^ fresh) & keep;
      __builtin_memcpy(to + i, &old, 8);
    }
  } else {
    KC_LANES {
      to[i] = (mask & (1U << i)) != 0 ? from[i] : to[i];
    }
  }
}

/// Sets the lanes of `mask` in `to` to f(lane).
template <class T, class F>
KC_INLINE void lanes(T* to, u32 mask, F f) {
  if (mask == all_lanes) {
    KC_LANES {
      to[i] = f(i);
    }
  } else {
    alignas(64) T fresh[lane_count];
    KC_LANES {
      fresh[i] = f(i);
    }
    blend(to, fresh, mask);
  }
}

/// Sets the lanes of `mask` in `to` to f(lane) for functions that cannot be vectorised: only these lanes are
/// computed.
template <class T, class F>
KC_INLINE void each(T* to, u32 mask, F f) {
  for (u32 rest = mask; rest != 0; rest &= rest - 1) {
    const auto i = static_cast<unsigned>(__builtin_ctz(rest));
    to[i] = f(i);
  }
}

/// Mask of the lanes for which f(lane) holds.
template <class F>
KC_INLINE u32 where(F f) {
  u32 result = 0;
  KC_LANES {
    result |= f(i) ? 1U << i : 0U;
  }
  return result;
}

}  // namespace

}  // namespace kerncast::simulator::KERNCAST_SIM_LEVEL
