#pragma once

#include <array>
#include <string>

#include "tests/simulator/conformance/exact_float.hpp"

namespace kerncast::conformance {

/// An integer type of PTX, and its values as 128-bit ones so that nothing overflows on the way.
struct Integer {
  const char* name;
  unsigned bits;
  bool is_signed;

  [[nodiscard]] s128 value(u64 raw) const {
    const unsigned unused = 64 - bits;
    return is_signed ? s128{static_cast<s64>(raw << unused) >> unused}
                     : static_cast<s128>(raw << unused >> unused);
  }
  [[nodiscard]] s128 least() const { return is_signed ? -(s128{1} << (bits - 1)) : s128{0}; }
  [[nodiscard]] s128 most() const { return (s128{1} << (is_signed ? bits - 1 : bits)) - 1; }
  [[nodiscard]] u64 clamped(s128 x) const {
    return static_cast<u64>(x < least() ? least() : x > most() ? most() : x);
  }
};

inline constexpr Integer u8_integer{"u8", 8, false};
inline constexpr Integer s8_integer{"s8", 8, true};
inline constexpr Integer u16_integer{"u16", 16, false};
inline constexpr Integer s16_integer{"s16", 16, true};
inline constexpr Integer u32_integer{"u32", 32, false};
inline constexpr Integer s32_integer{"s32", 32, true};
inline constexpr Integer u64_integer{"u64", 64, false};
inline constexpr Integer s64_integer{"s64", 64, true};
inline constexpr std::array<Integer, 6> integers{u16_integer, s16_integer, u32_integer,
                                                 s32_integer, u64_integer, s64_integer};
inline constexpr std::array<Integer, 8> all_integers{u8_integer,  s8_integer,  u16_integer, s16_integer,
                                                     u32_integer, s32_integer, u64_integer, s64_integer};

}  // namespace kerncast::conformance
