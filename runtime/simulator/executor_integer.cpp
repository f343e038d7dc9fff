#include "runtime/simulator/executor.hpp"

namespace kerncast::simulator::KERNCAST_SIM_LEVEL {

namespace {

#include "runtime/simulator/executor_lanes.inc"

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
using U = typename Unsigned<T>::type;

__extension__ typedef __int128 s128;
__extension__ typedef unsigned __int128 u128;

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
using D = typename Double<T>::type;

template <class T>
inline constexpr bool kSignedType = static_cast<T>(-1) < static_cast<T>(0);
template <class T>
inline constexpr unsigned kBits = sizeof(T) * 8;
template <class T>
inline constexpr T kLow = kSignedType<T> ? static_cast<T>(T{1} << (kBits<T> - 1)) : T{0};

// ---- Elementwise operations: one struct each, applied lane by lane. Sums and products are made of unsigned
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
  return static_cast<T>((static_cast<D<T>>(a) * static_cast<D<T>>(b)) >> kBits<T>);
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
    const T limit = static_cast<T>(a < 0 ? kLow<T> : static_cast<T>(~kLow<T>));
    return ((a ^ sum) & (b ^ sum)) < 0 ? limit : sum;
  }
};
struct SubSat {
  template <class T>
  static KC_INLINE T f(T a, T b) {
    const T difference = wrap_sub(a, b);
    const T limit = static_cast<T>(a < 0 ? kLow<T> : static_cast<T>(~kLow<T>));
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
    if (kSignedType<T> && static_cast<U<T>>(b) == static_cast<U<T>>(~U<T>{0})) {
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
    if (kSignedType<T> && static_cast<U<T>>(b) == static_cast<U<T>>(~U<T>{0})) {
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
  if constexpr (kSignedType<T>) {
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

template <class T, class F>
const Op* unary(Warp& w, const Op* op, u32 mask) {
  const T* a = src<T>(w, op->a);
  lanes(dst<T>(w, op->d), mask, [&](unsigned i) { return F::template f<T>(a[i]); });
  return op + 1;
}

template <class T, class F>
const Op* binary(Warp& w, const Op* op, u32 mask) {
  const T* a = src<T>(w, op->a);
  const T* b = src<T>(w, op->b);
  lanes(dst<T>(w, op->d), mask, [&](unsigned i) { return F::template f<T>(a[i], b[i]); });
  return op + 1;
}

template <class T, class F>
const Op* ternary(Warp& w, const Op* op, u32 mask) {
  const T* a = src<T>(w, op->a);
  const T* b = src<T>(w, op->b);
  const T* c = src<T>(w, op->c);
  lanes(dst<T>(w, op->d), mask, [&](unsigned i) { return F::template f<T>(a[i], b[i], c[i]); });
  return op + 1;
}

template <class T, bool Accumulate>
const Op* wide(Warp& w, const Op* op, u32 mask) {
  using W = D<T>;
  const T* a = src<T>(w, op->a);
  const T* b = src<T>(w, op->b);
  W* d = dst<W>(w, op->d);
  if constexpr (Accumulate) {
    const W* c = src<W>(w, op->c);
    lanes(d, mask, [&](unsigned i) {
      return wrap_add(static_cast<W>(static_cast<W>(a[i]) * static_cast<W>(b[i])), c[i]);
    });
  } else {
    lanes(d, mask, [&](unsigned i) { return static_cast<W>(static_cast<W>(a[i]) * static_cast<W>(b[i])); });
  }
  return op + 1;
}

/// Shift amounts beyond the width shift everything out; 16-bit values are shifted in 32 bits.
template <class T, bool Left>
const Op* shift(Warp& w, const Op* op, u32 mask) {
  const T* a = src<T>(w, op->a);
  const u32* b = src<u32>(w, op->b);
  constexpr u32 kMost = kBits<T> - 1;
  using V = U<T>;
  if (is_constant(op->b)) {
    const u32 by = b[0];
    if (Left) {
      lanes(dst<T>(w, op->d), mask,
            [&](unsigned i) { return by > kMost ? T{0} : static_cast<T>(static_cast<V>(a[i]) << by); });
    } else {
      const u32 amount = by > kMost ? kMost : by;
      const bool zero = by > kMost && !kSignedType<T>;
      lanes(dst<T>(w, op->d), mask, [&](unsigned i) { return zero ? T{0} : static_cast<T>(a[i] >> amount); });
    }
    return op + 1;
  }
  lanes(dst<T>(w, op->d), mask, [&](unsigned i) {
    const u32 amount = b[i] > kMost ? kMost : b[i];
    if (Left) {
      return b[i] > kMost ? T{0} : static_cast<T>(static_cast<V>(a[i]) << amount);
    }
    return b[i] > kMost && !kSignedType<T> ? T{0} : static_cast<T>(a[i] >> amount);
  });
  return op + 1;
}

template <bool Left>
const Op* funnel(Warp& w, const Op* op, u32 mask) {
  const u32* a = src<u32>(w, op->a);
  const u32* b = src<u32>(w, op->b);
  const u32* c = src<u32>(w, op->c);
  const bool wraps = (op->flags & kWrap) != 0;
  lanes(dst<u32>(w, op->d), mask, [&](unsigned i) {
    const u32 by = wraps ? c[i] & 31U : (c[i] > 32U ? 32U : c[i]);
    const u64 both = static_cast<u64>(b[i]) << 32 | a[i];
    return static_cast<u32>(Left ? (both << by) >> 32 : both >> by);
  });
  return op + 1;
}

template <class T>
const Op* bit_field_extract(Warp& w, const Op* op, u32 mask) {
  const T* a = src<T>(w, op->a);
  const u32* b = src<u32>(w, op->b);
  const u32* c = src<u32>(w, op->c);
  each(dst<T>(w, op->d), mask, [&](unsigned i) {
    const u32 position = b[i] & 0xffU;
    const u32 length = c[i] & 0xffU;
    if (length == 0) {
      return T{0};
    }
    const T shifted =
        static_cast<T>(position >= kBits<T> ? (kSignedType<T> && a[i] < 0 ? static_cast<T>(~T{0}) : T{0})
                                            : static_cast<T>(a[i] >> position));
    if (length >= kBits<T>) {
      return shifted;
    }
    const unsigned up = kBits<T> - length;
    // Beyond the top the field's missing bits are copies of the sign, which the arithmetic shift above
    // supplied.
    return static_cast<T>(static_cast<T>(static_cast<U<T>>(shifted) << up) >> up);
  });
  return op + 1;
}

template <class T>
const Op* bit_field_insert(Warp& w, const Op* op, u32 mask) {
  const T* a = src<T>(w, op->a);
  const T* b = src<T>(w, op->b);
  const u32* c = src<u32>(w, op->c);
  const u32* n = src<u32>(w, w.lists[op->imm]);
  each(dst<T>(w, op->d), mask, [&](unsigned i) {
    const u32 position = c[i] & 0xffU;
    const u32 length = n[i] & 0xffU;
    if (position >= kBits<T> || length == 0) {
      return b[i];
    }
    const T ones = length >= kBits<T> ? static_cast<T>(~T{0}) : static_cast<T>((T{1} << length) - 1);
    const T field = static_cast<T>(ones << position);
    return static_cast<T>((b[i] & ~field) | ((a[i] << position) & field));
  });
  return op + 1;
}

const Op* bit_mask(Warp& w, const Op* op, u32 mask) {
  const u32* a = src<u32>(w, op->a);
  const u32* b = src<u32>(w, op->b);
  const bool wraps = (op->flags & kWrap) != 0;
  each(dst<u32>(w, op->d), mask, [&](unsigned i) -> u32 {
    const u32 position = wraps ? a[i] & 31U : a[i];
    const u32 length = wraps ? b[i] & 31U : b[i];
    if (position > 31U || length == 0) {
      return 0U;
    }
    return (length > 31U ? ~0U : (1U << length) - 1) << position;
  });
  return op + 1;
}

template <class T>
const Op* sign_extend(Warp& w, const Op* op, u32 mask) {
  const T* a = src<T>(w, op->a);
  const u32* b = src<u32>(w, op->b);
  const bool wraps = (op->flags & kWrap) != 0;
  each(dst<T>(w, op->d), mask, [&](unsigned i) -> T {
    const u32 length = wraps ? b[i] & 31U : b[i];
    if (length == 0) {
      return T{0};
    }
    if (length > 31U) {
      return a[i];
    }
    const u32 up = 32U - length;
    return static_cast<T>(static_cast<T>(static_cast<u32>(a[i]) << up) >> up);
  });
  return op + 1;
}

/// Chooses bit by bit with three levels of selection, so that any table costs the same.
const Op* lop3(Warp& w, const Op* op, u32 mask) {
  const u32* a = src<u32>(w, op->a);
  const u32* b = src<u32>(w, op->b);
  const u32* c = src<u32>(w, op->c);
  u32 row[8];
  for (unsigned k = 0; k < 8; ++k) {
    row[k] = (static_cast<u32>(op->imm) >> k & 1U) != 0 ? ~0U : 0U;
  }
  lanes(dst<u32>(w, op->d), mask, [&](unsigned i) {
    const u32 c0 = row[0] ^ ((row[0] ^ row[1]) & c[i]);
    const u32 c1 = row[2] ^ ((row[2] ^ row[3]) & c[i]);
    const u32 c2 = row[4] ^ ((row[4] ^ row[5]) & c[i]);
    const u32 c3 = row[6] ^ ((row[6] ^ row[7]) & c[i]);
    const u32 b0 = c0 ^ ((c0 ^ c1) & b[i]);
    const u32 b1 = c2 ^ ((c2 ^ c3) & b[i]);
    return b0 ^ ((b0 ^ b1) & a[i]);
  });
  return op + 1;
}

KC_INLINE u32 permute_selectors(u32 mode, u32 c) {
  const u32 k = c & 3U;
  switch (mode) {
    case 1:
      return 0x3210U + 0x1111U * k;  // f4e
    case 2:
      return (0x5670U + 0x1111U * k) & 0x7777U;  // b4e
    case 3:
      return 0x1111U * k;  // rc8
    case 4:
      return (3U << 12) | ((k > 2 ? k : 2U) << 8) | ((k > 1 ? k : 1U) << 4) | k;  // ecl
    case 5:
      return ((k < 3 ? k : 3U) << 12) | ((k < 2 ? k : 2U) << 8) | ((k < 1 ? k : 1U) << 4);  // ecr
    default:
      return (k & 1U) != 0 ? 0x3232U : 0x1010U;  // rc16
  }
}

const Op* prmt(Warp& w, const Op* op, u32 mask) {
  const u32* a = src<u32>(w, op->a);
  const u32* b = src<u32>(w, op->b);
  const u32* c = src<u32>(w, op->c);
  if (op->sub == 0 && is_constant(op->c) && (c[0] & 0x8888U) == 0) {
    const u32 selectors = c[0];
    const u32 s0 = (selectors & 7U) * 8;
    const u32 s1 = (selectors >> 4 & 7U) * 8;
    const u32 s2 = (selectors >> 8 & 7U) * 8;
    const u32 s3 = (selectors >> 12 & 7U) * 8;
    lanes(dst<u32>(w, op->d), mask, [&](unsigned i) {
      const u64 both = static_cast<u64>(b[i]) << 32 | a[i];
      return static_cast<u32>((both >> s0 & 0xffU) | (both >> s1 & 0xffU) << 8 | (both >> s2 & 0xffU) << 16 |
                              (both >> s3 & 0xffU) << 24);
    });
    return op + 1;
  }
  lanes(dst<u32>(w, op->d), mask, [&](unsigned i) {
    const u32 selectors = op->sub == 0 ? c[i] : permute_selectors(op->sub, c[i]);
    const u64 both = static_cast<u64>(b[i]) << 32 | a[i];
    u32 result = 0;
    for (unsigned byte = 0; byte < 4; ++byte) {
      const u32 selector = selectors >> (4 * byte) & 0xfU;
      u32 value = static_cast<u32>(both >> ((selector & 7U) * 8) & 0xffU);
      if (op->sub == 0 && (selector & 8U) != 0) {
        value = (value & 0x80U) != 0 ? 0xffU : 0U;
      }
      result |= value << (8 * byte);
    }
    return result;
  });
  return op + 1;
}

template <class T>
const Op* count_ones(Warp& w, const Op* op, u32 mask) {
  const T* a = src<T>(w, op->a);
  lanes(dst<u32>(w, op->d), mask, [&](unsigned i) {
    return static_cast<u32>(sizeof(T) == 8 ? __builtin_popcountll(a[i])
                                           : __builtin_popcount(static_cast<u32>(a[i])));
  });
  return op + 1;
}

KC_INLINE u32 leading_zeros(u32 a) {
  return a == 0 ? 32U : static_cast<u32>(__builtin_clz(a));
}
KC_INLINE u32 leading_zeros(u64 a) {
  return a == 0 ? 64U : static_cast<u32>(__builtin_clzll(a));
}

template <class T>
const Op* count_leading(Warp& w, const Op* op, u32 mask) {
  const T* a = src<T>(w, op->a);
  each(dst<u32>(w, op->d), mask, [&](unsigned i) { return leading_zeros(a[i]); });
  return op + 1;
}

template <class T>
const Op* find_bit(Warp& w, const Op* op, u32 mask) {
  const T* a = src<T>(w, op->a);
  const bool amount = (op->flags & kShiftAmount) != 0;
  each(dst<u32>(w, op->d), mask, [&](unsigned i) {
    const U<T> value = static_cast<U<T>>(kSignedType<T> && a[i] < 0 ? ~a[i] : a[i]);
    const u32 zeros = leading_zeros(value);
    return value == 0 ? ~0U : amount ? zeros : kBits<T> - 1 - zeros;
  });
  return op + 1;
}

/// Finds the n-th set bit counting from a base position, upward or downward.
const Op* find_nth(Warp& w, const Op* op, u32 mask) {
  const u32* a = src<u32>(w, op->a);
  const u32* b = src<u32>(w, op->b);
  const s32* c = src<s32>(w, op->c);
  each(dst<u32>(w, op->d), mask, [&](unsigned i) {
    const u32 base = b[i];
    const s32 wanted = c[i];
    if (base > 31U) {
      return ~0U;
    }
    if (wanted == 0) {
      return (a[i] >> base & 1U) != 0 ? base : ~0U;
    }
    s64 left = wanted > 0 ? wanted : -static_cast<s64>(wanted);
    for (s32 at = static_cast<s32>(base); at >= 0 && at < 32; at += wanted > 0 ? 1 : -1) {
      if ((a[i] >> at & 1U) != 0 && --left == 0) {
        return static_cast<u32>(at);
      }
    }
    return ~0U;
  });
  return op + 1;
}

KC_INLINE u32 part(u32 value, unsigned shift_by, unsigned bits, bool is_signed) {
  const u32 up = value << (32U - bits - shift_by);
  return is_signed ? static_cast<u32>(static_cast<s32>(up) >> (32U - bits)) : up >> (32U - bits);
}

const Op* dot_product(Warp& w, const Op* op, u32 mask) {
  const u32* a = src<u32>(w, op->a);
  const u32* b = src<u32>(w, op->b);
  const u32* c = src<u32>(w, op->c);
  const bool sa = (op->flags & kSignedA) != 0;
  const bool sb = (op->flags & kSignedB) != 0;
  const bool two = op->code == Code::dp2a;
  const unsigned upper = (op->flags & kHigh) != 0 ? 16 : 0;
  lanes(dst<u32>(w, op->d), mask, [&](unsigned i) {
    u32 sum = c[i];
    if (two) {
      sum += part(a[i], 0, 16, sa) * part(b[i], upper, 8, sb);
      sum += part(a[i], 16, 16, sa) * part(b[i], upper + 8, 8, sb);
    } else {
      for (unsigned k = 0; k < 4; ++k) {
        sum += part(a[i], 8 * k, 8, sa) * part(b[i], 8 * k, 8, sb);
      }
    }
    return sum;
  });
  return op + 1;
}

template <class T>
const Op* with_carry(Warp& w, const Op* op, u32 mask) {
  using V = U<T>;
  const V* a = src<V>(w, op->a);
  const V* b = src<V>(w, op->b);
  V* d = dst<V>(w, op->d);
  const u32 in = (op->flags & kCarryIn) != 0 ? pred(w, op->d2) : 0U;
  const V* c = op->code == Code::mad_carry || op->code == Code::mad_hi_carry ? src<V>(w, op->c) : nullptr;
  u32 out = 0;
  for (u32 rest = mask; rest != 0; rest &= rest - 1) {
    const auto i = static_cast<unsigned>(__builtin_ctz(rest));
    const V carry = static_cast<V>(in >> i & 1U);
    V x = a[i];
    V y = b[i];
    bool carries = false;
    V result = 0;
    if (op->code == Code::sub_carry) {
      V difference = 0;
      const bool first = __builtin_sub_overflow(x, y, &difference);
      carries = __builtin_sub_overflow(difference, carry, &result) || first;
    } else {
      if (c != nullptr) {
        x = static_cast<V>(op->code == Code::mad_carry
                               ? wrap_mul<V>(x, y)
                               : static_cast<V>(high_mul<T>(static_cast<T>(x), static_cast<T>(y))));
        y = c[i];
      }
      V sum = 0;
      const bool first = __builtin_add_overflow(x, y, &sum);
      carries = __builtin_add_overflow(sum, carry, &result) || first;
    }
    d[i] = result;
    out |= carries ? 1U << i : 0U;
  }
  if ((op->flags & kCarryOut) != 0) {
    set_pred(w, op->d2, mask, out);
  }
  return op + 1;
}

template <class T, Compare C>
u32 compare(const T* a, const T* b) {
  return where([&](unsigned i) {
    return C == Compare::eq ? a[i] == b[i] : C == Compare::lt ? a[i] < b[i] : a[i] <= b[i];
  });
}

template <class T>
u32 compare_any(const Op* op, const T* a, const T* b) {
  switch (static_cast<Compare>(op->sub)) {
    case Compare::eq:
      return compare<T, Compare::eq>(a, b);
    case Compare::lt:
      return compare<T, Compare::lt>(a, b);
    default:
      return compare<T, Compare::le>(a, b);
  }
}

#include "runtime/simulator/executor_compare.inc"

template <class T>
const Op* set_predicate(Warp& w, const Op* op, u32 mask) {
  return finish_setp(w, op, mask, compare_any<T>(op, src<T>(w, op->a), src<T>(w, op->b)));
}

template <class T>
const Op* set_value(Warp& w, const Op* op, u32 mask) {
  return finish_set(w, op, mask, compare_any<T>(op, src<T>(w, op->a), src<T>(w, op->b)));
}

template <class T>
const Op* select_value(Warp& w, const Op* op, u32 mask) {
  const T* a = src<T>(w, op->a);
  const T* b = src<T>(w, op->b);
  T* d = dst<T>(w, op->d);
  const u32 chosen = pred(w, op->c) ^ ((op->flags & kNegC) != 0 ? ~0U : 0U);
  alignas(64) T fresh[kLanes];
  KC_LANES {
    fresh[i] = b[i];
  }
  blend(fresh, a, chosen);
  lanes(d, mask, [&](unsigned i) { return fresh[i]; });
  return op + 1;
}

template <class T, class S>
const Op* select_by_sign(Warp& w, const Op* op, u32 mask) {
  const T* a = src<T>(w, op->a);
  const T* b = src<T>(w, op->b);
  const S* c = src<S>(w, op->c);
  // -0 counts as not negative, and so does a NaN; subnormals are flushed to zeros that keep their sign.
  const bool ftz = (op->flags & kFtz) != 0;
  each(dst<T>(w, op->d), mask, [&](unsigned i) {
    bool negative = !(c[i] >= S{0});
    if constexpr (sizeof(S) == sizeof(float) && static_cast<S>(0.5) != S{0}) {
      const u32 magnitude = bits_as<u32>(c[i]) & 0x7fffffffU;
      negative = negative && !(ftz && magnitude < 0x00800000U);
    }
    return negative ? b[i] : a[i];
  });
  return op + 1;
}

template <class T>
const Op* move(Warp& w, const Op* op, u32 mask) {
  const T* a = src<T>(w, op->a);
  lanes(dst<T>(w, op->d), mask, [&](unsigned i) { return a[i]; });
  return op + 1;
}

template <class F>
Handler by_type(Type type, F f) {
  switch (type) {
    case Type::u16:
      return f(u16{});
    case Type::s16:
      return f(s16{});
    case Type::u32:
      return f(u32{});
    case Type::s32:
      return f(s32{});
    case Type::u64:
      return f(u64{});
    case Type::s64:
      return f(s64{});
    default:
      return nullptr;
  }
}

template <class F>
Handler by_width(Type type, F f) {
  switch (type) {
    case Type::b16:
    case Type::u16:
    case Type::s16:
    case Type::f16:
    case Type::bf16:
      return f(u16{});
    case Type::b32:
    case Type::u32:
    case Type::s32:
    case Type::f32:
    case Type::f16x2:
    case Type::bf16x2:
      return f(u32{});
    case Type::b64:
    case Type::u64:
    case Type::s64:
    case Type::f64:
      return f(u64{});
    default:
      return nullptr;
  }
}

/// Wrapping arithmetic is the same for signed and unsigned values, so only one of them is built.
Type sign_free(Type type) {
  return type == Type::s16 ? Type::u16 : type == Type::s32 ? Type::u32 : type == Type::s64 ? Type::u64 : type;
}

}  // namespace

#define KC_UNARY(F) by_type(op.type, [](auto t) -> Handler { return unary<decltype(t), F>; })
#define KC_BINARY(F) by_type(op.type, [](auto t) -> Handler { return binary<decltype(t), F>; })
#define KC_BINARY_FREE(F) \
  by_type(sign_free(op.type), [](auto t) -> Handler { return binary<decltype(t), F>; })
#define KC_TERNARY(F) by_type(op.type, [](auto t) -> Handler { return ternary<decltype(t), F>; })
#define KC_32(F) (op.type == Type::s32 ? F<s32> : F<u32>)
#define KC_BY_4_8(F) \
  (op.type == Type::u32 ? F<u32> : op.type == Type::s32 ? F<s32> : op.type == Type::u64 ? F<u64> : F<s64>)

Handler select_integer(const Op& op) {
  const bool sat = (op.flags & kSat) != 0;
  const bool is_s32 = op.type == Type::s32;
  switch (op.code) {
    case Code::mov:
      return by_width(op.type, [](auto t) -> Handler { return move<decltype(t)>; });
    case Code::add:
      return sat && is_s32 ? binary<s32, AddSat> : KC_BINARY_FREE(Add);
    case Code::sub:
      return sat && is_s32 ? binary<s32, SubSat> : KC_BINARY_FREE(Sub);
    case Code::mul:
      return KC_BINARY_FREE(Mul);
    case Code::mul_hi:
      return KC_BINARY(MulHi);
    case Code::mul_wide:
      return op.type == Type::u16   ? wide<u16, false>
             : op.type == Type::s16 ? wide<s16, false>
             : op.type == Type::u32 ? wide<u32, false>
                                    : wide<s32, false>;
    case Code::mad_wide:
      return op.type == Type::u16   ? wide<u16, true>
             : op.type == Type::s16 ? wide<s16, true>
             : op.type == Type::u32 ? wide<u32, true>
                                    : wide<s32, true>;
    case Code::mad:
      return by_type(sign_free(op.type), [](auto t) -> Handler { return ternary<decltype(t), Mad>; });
    case Code::mad_hi:
      return sat ? ternary<s32, MadHiSat> : KC_TERNARY(MadHi);
    case Code::mul24:
      return is_s32 ? binary<s32, Mul24> : binary<u32, Mul24>;
    case Code::mul24_hi:
      return is_s32 ? binary<s32, Mul24Hi> : binary<u32, Mul24Hi>;
    case Code::mad24:
      return is_s32 ? ternary<s32, Mad24> : ternary<u32, Mad24>;
    case Code::mad24_hi:
      return sat ? ternary<s32, Mad24HiSat> : is_s32 ? ternary<s32, Mad24Hi> : ternary<u32, Mad24Hi>;
    case Code::sad:
      return KC_TERNARY(Sad);
    case Code::div:
      return KC_BINARY(Div);
    case Code::rem:
      return KC_BINARY(Rem);
    case Code::min:
      return KC_BINARY(Min);
    case Code::max:
      return KC_BINARY(Max);
    case Code::abs:
      return KC_UNARY(Abs);
    case Code::neg:
      return KC_UNARY(Neg);
    case Code::bit_and:
      return KC_BINARY(And);
    case Code::bit_or:
      return KC_BINARY(Or);
    case Code::bit_xor:
      return KC_BINARY(Xor);
    case Code::bit_not:
      return KC_UNARY(Not);
    case Code::cnot:
      return KC_UNARY(CNot);
    case Code::brev:
      return op.type == Type::u32 ? unary<u32, Brev> : unary<u64, Brev>;
    case Code::shl:
      return by_type(sign_free(op.type), [](auto t) -> Handler { return shift<decltype(t), true>; });
    case Code::shr:
      return by_type(op.type, [](auto t) -> Handler { return shift<decltype(t), false>; });
    case Code::shf_l:
      return funnel<true>;
    case Code::shf_r:
      return funnel<false>;
    case Code::bfe:
      return KC_BY_4_8(bit_field_extract);
    case Code::bfi:
      return op.type == Type::u32 ? bit_field_insert<u32> : bit_field_insert<u64>;
    case Code::bmsk:
      return bit_mask;
    case Code::szext:
      return KC_32(sign_extend);
    case Code::lop3:
      return lop3;
    case Code::prmt:
      return prmt;
    case Code::popc:
      return op.type == Type::u32 ? count_ones<u32> : count_ones<u64>;
    case Code::clz:
      return op.type == Type::u32 ? count_leading<u32> : count_leading<u64>;
    case Code::bfind:
      return KC_BY_4_8(find_bit);
    case Code::fns:
      return find_nth;
    case Code::dp4a:
    case Code::dp2a:
      return dot_product;
    case Code::add_carry:
    case Code::sub_carry:
    case Code::mad_carry:
    case Code::mad_hi_carry:
      return KC_BY_4_8(with_carry);
    case Code::setp:
      return by_type(op.type, [](auto t) -> Handler { return set_predicate<decltype(t)>; });
    case Code::set:
      return by_type(op.type, [](auto t) -> Handler { return set_value<decltype(t)>; });
    case Code::selp:
      return by_width(op.type, [](auto t) -> Handler { return select_value<decltype(t)>; });
    case Code::slct:
      return op.source == Type::f32
                 ? by_width(op.type, [](auto t) -> Handler { return select_by_sign<decltype(t), float>; })
                 : by_width(op.type, [](auto t) -> Handler { return select_by_sign<decltype(t), s32>; });
    default:
      return nullptr;
  }
}

}  // namespace kerncast::simulator::KERNCAST_SIM_LEVEL
