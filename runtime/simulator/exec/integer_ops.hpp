#pragma once

#include "runtime/simulator/exec/lanes.hpp"

/// Wrapping arithmetic and the elementwise operations on integers.
namespace kerncast::simulator::KERNCAST_SIM_LEVEL {

namespace {

template <class T>
struct Unsigned;
template <>
struct Unsigned<u16> {
  using type = u16;
};
template <>
struct Unsigned<s16> {
  using type = u16;
};
template <>
struct Unsigned<u32> {
  using type = u32;
};
template <>
struct Unsigned<s32> {
  using type = u32;
};
template <>
struct Unsigned<u64> {
  using type = u64;
};
template <>
struct Unsigned<s64> {
  using type = u64;
};
template <class T>
using U = Unsigned<T>::type;

__extension__ using s128 = __int128;
__extension__ using u128 = unsigned __int128;

template <class T>
struct Double;
template <>
struct Double<u16> {
  using type = u32;
};
template <>
struct Double<s16> {
  using type = s32;
};
template <>
struct Double<u32> {
  using type = u64;
};
template <>
struct Double<s32> {
  using type = s64;
};
template <>
struct Double<u64> {
  using type = u128;
};
template <>
struct Double<s64> {
  using type = s128;
};
template <class T>
using D = Double<T>::type;

template <class T>
inline constexpr bool signed_type = static_cast<T>(-1) < static_cast<T>(0);
template <class T>
inline constexpr unsigned bit_count = sizeof(T) * 8;
// The cast undoes the promotion of a 16-bit type, and is redundant for the others.
template <class T>  // NOLINTNEXTLINE(readability-redundant-casting)
inline constexpr T lowest = signed_type<T> ? static_cast<T>(T{1} << (bit_count<T> - 1)) : T{0};

// Elementwise operations, one struct each, applied lane by lane. Sums and products are computed on unsigned
// values so that they wrap; 16-bit ones go through 32 bits because C++ would promote them to int.

template <class T>
KC_INLINE T wrap_add(T a, T b) {
  return static_cast<T>(static_cast<U<T>>(static_cast<U<T>>(a) + static_cast<U<T>>(b)));
}
template <class T>
KC_INLINE T wrap_sub(T a, T b) {
  return static_cast<T>(static_cast<U<T>>(static_cast<U<T>>(a) - static_cast<U<T>>(b)));
}
template <class T>
KC_INLINE T wrap_mul(T a, T b) {
  if constexpr (sizeof(T) == 2) {
    return static_cast<T>(static_cast<u32>(static_cast<u16>(a)) * static_cast<u32>(static_cast<u16>(b)));
  } else {
    return static_cast<T>(static_cast<U<T>>(a) * static_cast<U<T>>(b));
  }
}
template <class T>
KC_INLINE T high_mul(T a, T b) {
  return static_cast<T>((static_cast<D<T>>(a) * static_cast<D<T>>(b)) >> bit_count<T>);
}

struct Add {
  template <class T>
  static KC_INLINE T f(T a, T b) {
    return wrap_add(a, b);
  }
};
struct Sub {
  template <class T>
  static KC_INLINE T f(T a, T b) {
    return wrap_sub(a, b);
  }
};
struct Mul {
  template <class T>
  static KC_INLINE T f(T a, T b) {
    return wrap_mul(a, b);
  }
};
struct MulHi {
  template <class T>
  static KC_INLINE T f(T a, T b) {
    return high_mul(a, b);
  }
};
struct And {
  template <class T>
  static KC_INLINE T f(T a, T b) {
    return static_cast<T>(a & b);
  }
};
struct Or {
  template <class T>
  static KC_INLINE T f(T a, T b) {
    return static_cast<T>(a | b);
  }
};
struct Xor {
  template <class T>
  static KC_INLINE T f(T a, T b) {
    return static_cast<T>(a ^ b);
  }
};
struct Min {
  template <class T>
  static KC_INLINE T f(T a, T b) {
    return a < b ? a : b;
  }
};
struct Max {
  template <class T>
  static KC_INLINE T f(T a, T b) {
    return a > b ? a : b;
  }
};
struct AddSat {
  template <class T>
  static KC_INLINE T f(T a, T b) {
    const T sum = wrap_add(a, b);
    const T limit = static_cast<T>(a < 0 ? lowest<T> : static_cast<T>(~lowest<T>));
    return ((a ^ sum) & (b ^ sum)) < 0 ? limit : sum;
  }
};
struct SubSat {
  template <class T>
  static KC_INLINE T f(T a, T b) {
    const T difference = wrap_sub(a, b);
    const T limit = static_cast<T>(a < 0 ? lowest<T> : static_cast<T>(~lowest<T>));
    return ((a ^ b) & (a ^ difference)) < 0 ? limit : difference;
  }
};
/// Division by zero gives all ones, its remainder the dividend, as the hardware does.
struct Div {
  template <class T>
  static KC_INLINE T f(T a, T b) {
    if (b == 0) {
      return static_cast<T>(~T{0});
    }
    if (signed_type<T> && static_cast<U<T>>(b) == static_cast<U<T>>(~U<T>{0})) {
      return wrap_sub(T{0}, a);
    }
    return static_cast<T>(a / b);
  }
};
struct Rem {
  template <class T>
  static KC_INLINE T f(T a, T b) {
    if (b == 0) {
      return a;
    }
    if (signed_type<T> && static_cast<U<T>>(b) == static_cast<U<T>>(~U<T>{0})) {
      return T{0};
    }
    return static_cast<T>(a % b);
  }
};
struct Not {
  template <class T>
  static KC_INLINE T f(T a) {
    return static_cast<T>(~a);
  }
};
struct CNot {
  template <class T>
  static KC_INLINE T f(T a) {
    return static_cast<T>(a == 0 ? 1 : 0);
  }
};
struct Neg {
  template <class T>
  static KC_INLINE T f(T a) {
    return wrap_sub(T{0}, a);
  }
};
struct Abs {
  template <class T>
  static KC_INLINE T f(T a) {
    return a < 0 ? wrap_sub(T{0}, a) : a;
  }
};
struct Brev {
  template <class T>
  static KC_INLINE T f(T a) {
    if constexpr (sizeof(T) == 8) {
      return static_cast<u64>(f(static_cast<u32>(a))) << 32 | f(static_cast<u32>(a >> 32));
    } else {
      a = (a >> 1 & 0x55555555U) | (a & 0x55555555U) << 1;
      a = (a >> 2 & 0x33333333U) | (a & 0x33333333U) << 2;
      a = (a >> 4 & 0x0f0f0f0fU) | (a & 0x0f0f0f0fU) << 4;
      return __builtin_bswap32(a);
    }
  }
};
struct Mad {
  template <class T>
  static KC_INLINE T f(T a, T b, T c) {
    return wrap_add(wrap_mul(a, b), c);
  }
};
struct MadHi {
  template <class T>
  static KC_INLINE T f(T a, T b, T c) {
    return wrap_add(high_mul(a, b), c);
  }
};
struct MadHiSat {
  template <class T>
  static KC_INLINE T f(T a, T b, T c) {
    return AddSat::f(high_mul(a, b), c);
  }
};
struct Sad {
  template <class T>
  static KC_INLINE T f(T a, T b, T c) {
    return wrap_add(c, a < b ? wrap_sub(b, a) : wrap_sub(a, b));
  }
};
template <class T>
KC_INLINE D<T> product24(T a, T b) {
  if constexpr (signed_type<T>) {
    return static_cast<s64>(static_cast<s32>(static_cast<u32>(a) << 8) >> 8) *
           static_cast<s64>(static_cast<s32>(static_cast<u32>(b) << 8) >> 8);
  } else {
    return static_cast<u64>(a & 0xffffffU) * static_cast<u64>(b & 0xffffffU);
  }
}
struct Mul24 {
  template <class T>
  static KC_INLINE T f(T a, T b) {
    return static_cast<T>(product24(a, b));
  }
};
struct Mul24Hi {
  template <class T>
  static KC_INLINE T f(T a, T b) {
    return static_cast<T>(product24(a, b) >> 16);
  }
};
struct Mad24 {
  template <class T>
  static KC_INLINE T f(T a, T b, T c) {
    return wrap_add(Mul24::f(a, b), c);
  }
};
struct Mad24Hi {
  template <class T>
  static KC_INLINE T f(T a, T b, T c) {
    return wrap_add(Mul24Hi::f(a, b), c);
  }
};
struct Mad24HiSat {
  template <class T>
  static KC_INLINE T f(T a, T b, T c) {
    return AddSat::f(Mul24Hi::f(a, b), c);
  }
};

}  // namespace

}  // namespace kerncast::simulator::KERNCAST_SIM_LEVEL
