#pragma once

#include "runtime/simulator/exec/lanes.hpp"

/// Single operations with the PTX ISA's treatment of subnormals, NaN and rounding.
namespace kerncast::simulator::KERNCAST_SIM_LEVEL {

namespace {

/// The value that PTX returns for any NaN result of a 32-bit operation.
inline constexpr u32 canonical_nan = 0x7fffffffU;

KC_INLINE float flush(float x) {
  const u32 bits = bits_as<u32>(x);
  return bits_as<float>((bits & 0x7f800000U) == 0 ? bits & 0x80000000U : bits);
}
KC_INLINE double flush(double x) {
  return x;
}

template <bool Ftz, class T>
KC_INLINE T flushed(T x) {
  if constexpr (Ftz) {
    return flush(x);
  } else {
    return x;
  }
}

/// Flushes a subnormal result as .ftz does. A result is flushed if it is below the least normal number when
/// rounded with an unbounded exponent, even if rounding to a subnormal would reach that number. `scaled` is
/// the result from operands 2^32 times as large, and decides such cases. Hopper does so in products,
/// quotients and fused sums.
KC_INLINE float flush_result(float x, float scaled) {
  const u32 bits = bits_as<u32>(x);
  const bool small =
      (bits & 0x7fffffffU) <= 0x00800000U && (bits_as<u32>(scaled) & 0x7fffffffU) < 0x10800000U;
  return bits_as<float>(small ? bits & 0x80000000U : bits);
}

KC_INLINE float canonical(float x) {
  return x == x ? x : bits_as<float>(canonical_nan);
}
KC_INLINE double canonical(double x) {
  return x;
}

/// Clamps to [0, 1]; a NaN gives +0.
KC_INLINE float saturate(float x) {
  return x > 0.0F ? (x < 1.0F ? x : 1.0F) : 0.0F;
}
KC_INLINE double saturate(double x) {
  return x > 0.0 ? (x < 1.0 ? x : 1.0) : 0.0;
}

/// Sets the host's rounding mode for its lifetime.
class HostRounding {
 public:
  KC_INLINE explicit HostRounding(Rounding rounding) : saved_(__builtin_ia32_stmxcsr()) {
    const u32 mode = rounding == Rounding::rz   ? 3U
                     : rounding == Rounding::rm ? 1U
                     : rounding == Rounding::rp ? 2U
                                                : 0U;
    __builtin_ia32_ldmxcsr((saved_ & ~0x6000U) | mode << 13);
    __asm__ volatile("" ::: "memory");
  }
  KC_INLINE ~HostRounding() {
    __asm__ volatile("" ::: "memory");
    __builtin_ia32_ldmxcsr(saved_);
  }
  HostRounding(const HostRounding&) = delete;
  HostRounding& operator=(const HostRounding&) = delete;

 private:
  u32 saved_;
};

/// p + c rounded to odd: rounding the result again to fewer bits then gives what one rounding would have
/// given.
KC_INLINE double add_to_odd(double p, double c) {
  const double sum = p + c;
  const double back = sum - p;
  const double error = (p - (sum - back)) + (c - back);
  u64 bits = bits_as<u64>(sum);
  const bool finite = (bits & 0x7ff0000000000000ULL) != 0x7ff0000000000000ULL;
  const bool even = (bits & 1U) == 0;
  // An inexact even result moves one step towards the true value, which makes it odd.
  const bool away = (error > 0.0) == (sum > 0.0);
  const u64 step = away ? 1U : ~u64{0};
  bits += finite && error != 0.0 && even ? step : u64{0};
  return bits_as<double>(bits);
}

KC_INLINE float fused(float a, float b, float c) {
#if defined(__FMA__)
  return __builtin_fmaf(a, b, c);
#else
  return static_cast<float>(
      add_to_odd(static_cast<double>(a) * static_cast<double>(b), static_cast<double>(c)));
#endif
}
KC_INLINE double fused(double a, double b, double c) {
  return __builtin_fma(a, b, c);
}

}  // namespace

}  // namespace kerncast::simulator::KERNCAST_SIM_LEVEL
