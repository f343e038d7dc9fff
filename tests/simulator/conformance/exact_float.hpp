#pragma once

#include <bit>
#include <cstdint>

/// Exact arithmetic on numbers of any binary format, rounded once at the end. It shares nothing with the
/// virtual GPU and uses no floating point of the host.
namespace kerncast::conformance {

__extension__ typedef unsigned __int128 u128;
__extension__ typedef __int128 s128;
using u64 = std::uint64_t;
using s64 = std::int64_t;
using u32 = std::uint32_t;
using s32 = std::int32_t;
using u16 = std::uint16_t;
using s16 = std::int16_t;
using u8 = std::uint8_t;
using s8 = std::int8_t;

enum class Mode : u8 { rn, rz, rm, rp, rna };

/// The meaning of the encodings with the largest exponent.
enum class Specials : u8 {
  ieee,     ///< infinity, and NaNs
  one_nan,  ///< numbers, but for all ones
  numbers,  ///< numbers
};

struct Format {
  int exponent;
  int mantissa;
  Specials specials = Specials::ieee;

  [[nodiscard]] constexpr int bias() const { return (1 << (exponent - 1)) - 1; }
  [[nodiscard]] constexpr u64 magnitude_mask() const { return (u64{1} << (exponent + mantissa)) - 1; }
  [[nodiscard]] constexpr u64 sign() const { return u64{1} << (exponent + mantissa); }
  [[nodiscard]] constexpr u64 infinity() const { return ((u64{1} << exponent) - 1) << mantissa; }
  [[nodiscard]] constexpr u64 least_normal() const { return u64{1} << mantissa; }
  [[nodiscard]] constexpr u64 largest() const {
    return specials == Specials::ieee      ? infinity() - 1
           : specials == Specials::one_nan ? magnitude_mask() - 1
                                           : magnitude_mask();
  }
  /// The NaN that instructions generate; formats without one give their largest number.
  [[nodiscard]] constexpr u64 nan() const { return magnitude_mask(); }
  [[nodiscard]] constexpr bool is_nan(u64 bits) const {
    const u64 magnitude = bits & magnitude_mask();
    return specials == Specials::ieee ? magnitude > infinity()
                                      : specials == Specials::one_nan && magnitude == magnitude_mask();
  }
  [[nodiscard]] constexpr bool is_subnormal(u64 bits) const {
    const u64 magnitude = bits & magnitude_mask();
    return magnitude != 0 && magnitude < least_normal();
  }
  [[nodiscard]] constexpr u64 flush(u64 bits) const { return is_subnormal(bits) ? bits & sign() : bits; }
};

inline constexpr Format f64_format{11, 52};
inline constexpr Format f32_format{8, 23};
inline constexpr Format tf32_format{8, 10};
inline constexpr Format f16_format{5, 10};
inline constexpr Format bf16_format{8, 7};
inline constexpr Format e5m2_format{5, 2};
inline constexpr Format e4m3_format{4, 3, Specials::one_nan};
inline constexpr Format e3m2_format{3, 2, Specials::numbers};
inline constexpr Format e2m3_format{2, 3, Specials::numbers};
inline constexpr Format e2m1_format{2, 1, Specials::numbers};

/// A finite number is magnitude * 2^exponent. After an inexact operation the lowest bit stands for all that
/// lies below it, far under any place where a format rounds.
struct Number {
  enum class Kind : u8 { zero, finite, infinite, nan };
  Kind kind = Kind::zero;
  bool negative = false;
  u128 magnitude = 0;
  int exponent = 0;

  [[nodiscard]] bool is_nan() const { return kind == Kind::nan; }
  [[nodiscard]] bool is_zero() const { return kind == Kind::zero; }
  [[nodiscard]] bool is_infinite() const { return kind == Kind::infinite; }
};

inline Number nan_number() {
  return {Number::Kind::nan, false, 0, 0};
}
inline Number infinite_number(bool negative) {
  return {Number::Kind::infinite, negative, 0, 0};
}
inline Number zero_number(bool negative) {
  return {Number::Kind::zero, negative, 0, 0};
}

inline int bit_length(u128 x) {
  const auto high = static_cast<u64>(x >> 64);
  return high != 0 ? 128 - std::countl_zero(high) : 64 - std::countl_zero(static_cast<u64>(x));
}

inline Number integer_number(u64 magnitude, bool negative) {
  if (magnitude == 0) {
    return zero_number(false);
  }
  return {Number::Kind::finite, negative, magnitude, 0};
}

inline Number decode(const Format& format, u64 bits) {
  const bool negative = (bits & format.sign()) != 0;
  const u64 magnitude = bits & format.magnitude_mask();
  if (format.is_nan(bits)) {
    return nan_number();
  }
  if (format.specials == Specials::ieee && magnitude == format.infinity()) {
    return infinite_number(negative);
  }
  if (magnitude == 0) {
    return zero_number(negative);
  }
  const int field = static_cast<int>(magnitude >> format.mantissa);
  const u64 fraction = magnitude & (format.least_normal() - 1);
  return {Number::Kind::finite, negative, field == 0 ? fraction : fraction | format.least_normal(),
          (field == 0 ? 1 : field) - format.bias() - format.mantissa};
}

inline bool rounds_up(Mode mode, bool negative, bool odd, int half) {
  // `half` says how large the part is that is cut off: 0 nothing, 1 below a half, 2 a half, 3 above it.
  switch (mode) {
    case Mode::rz:
      return false;
    case Mode::rm:
      return negative && half != 0;
    case Mode::rp:
      return !negative && half != 0;
    case Mode::rna:
      return half >= 2;
    default:
      return half == 3 || (half == 2 && odd);
  }
}

/// magnitude / 2^drop, rounded.
inline u128 shift_rounded(u128 magnitude, int drop, Mode mode, bool negative) {
  if (drop <= 0) {
    return magnitude << -drop;
  }
  u128 kept = 0;
  int half = 1;
  if (drop <= 127) {
    kept = magnitude >> drop;
    const u128 rest = magnitude & ((u128{1} << drop) - 1);
    const u128 middle = u128{1} << (drop - 1);
    half = rest == 0 ? 0 : rest < middle ? 1 : rest == middle ? 2 : 3;
  }
  return kept + (rounds_up(mode, negative, (kept & 1U) != 0, half) ? 1U : 0U);
}

/// Rounds to the format. With `finite` overflow gives the largest number.
inline u64 encode(const Format& format, const Number& x, Mode mode, bool finite = false) {
  const u64 sign = x.negative ? format.sign() : 0;
  const auto overflow = [&](bool inward) {
    if (finite || inward || format.specials == Specials::numbers) {
      return sign | format.largest();
    }
    return sign | (format.specials == Specials::ieee ? format.infinity() : format.nan());
  };
  switch (x.kind) {
    case Number::Kind::nan:
      return format.nan();
    case Number::Kind::infinite:
      return overflow(false);
    case Number::Kind::zero:
      return sign;
    default:
      break;
  }
  const int top = x.exponent + bit_length(x.magnitude) - 1;
  const int least = 1 - format.bias();
  const int quantum = (top > least ? top : least) - format.mantissa;
  const auto kept = static_cast<u64>(shift_rounded(x.magnitude, quantum - x.exponent, mode, x.negative));
  if (top > 2 * format.bias() + 2) {
    return overflow(mode == Mode::rz || (mode == Mode::rm && !x.negative) ||
                    (mode == Mode::rp && x.negative));
  }
  // A carry out of the mantissa moves on to the next exponent by itself.
  const u64 field = top < least ? 0 : static_cast<u64>(top + format.bias() - 1) << format.mantissa;
  const u64 bits = field + kept;
  if (bits > format.largest()) {
    return overflow(mode == Mode::rz || (mode == Mode::rm && !x.negative) ||
                    (mode == Mode::rp && x.negative));
  }
  return sign | bits;
}

/// Encodes with .ftz: a value becomes zero if it is below the least normal number when rounded to the
/// format's mantissa with an unbounded exponent.
inline u64 encode_flushed(const Format& format, const Number& x, Mode mode) {
  const Format unbounded{15, format.mantissa};
  const u64 least = encode(unbounded, decode(format, format.least_normal()), Mode::rn);
  const bool small = (encode(unbounded, x, mode) & unbounded.magnitude_mask()) < least;
  return small ? (x.negative ? format.sign() : 0) : encode(format, x, mode);
}

inline Number negated(Number x) {
  x.negative = !x.negative;
  return x;
}

/// The product of decoded numbers, whose magnitudes have at most 64 bits.
inline Number product(const Number& a, const Number& b) {
  const bool negative = a.negative != b.negative;
  if (a.is_nan() || b.is_nan() || (a.is_infinite() && b.is_zero()) || (a.is_zero() && b.is_infinite())) {
    return nan_number();
  }
  if (a.is_infinite() || b.is_infinite()) {
    return infinite_number(negative);
  }
  if (a.is_zero() || b.is_zero()) {
    return zero_number(negative);
  }
  return {Number::Kind::finite, negative, a.magnitude * b.magnitude, a.exponent + b.exponent};
}

/// A magnitude of 256 bits.
struct Wide {
  u128 high = 0;
  u128 low = 0;
};

inline Wide shifted_left(u128 x, int by) {
  if (by == 0) {
    return {0, x};
  }
  if (by >= 128) {
    return {x << (by - 128), 0};
  }
  return {x >> (128 - by), x << by};
}

/// The exact sum, where an exact zero of opposite signs takes its sign from the rounding.
inline Number sum(const Number& a, const Number& b, Mode mode) {
  if (a.is_nan() || b.is_nan() || (a.is_infinite() && b.is_infinite() && a.negative != b.negative)) {
    return nan_number();
  }
  if (a.is_infinite() || b.is_infinite()) {
    return a.is_infinite() ? a : b;
  }
  if (a.is_zero() && b.is_zero()) {
    return zero_number(a.negative == b.negative ? a.negative : mode == Mode::rm);
  }
  if (a.is_zero() || b.is_zero()) {
    return a.is_zero() ? b : a;
  }
  const int a_top = a.exponent + bit_length(a.magnitude);
  const int b_top = b.exponent + bit_length(b.magnitude);
  Number large = a_top >= b_top ? a : b;
  Number small = a_top >= b_top ? b : a;
  const int room = 110 - bit_length(large.magnitude);
  large.magnitude <<= room;
  large.exponent -= room;
  if (small.exponent + bit_length(small.magnitude) < large.exponent - 2) {
    small.magnitude = 1;
    small.exponent = large.exponent - 4;
  }
  const int exponent = large.exponent < small.exponent ? large.exponent : small.exponent;
  Wide x = shifted_left(large.magnitude, large.exponent - exponent);
  const Wide y = shifted_left(small.magnitude, small.exponent - exponent);
  bool negative = large.negative;
  if (large.negative == small.negative) {
    x.low += y.low;
    x.high += y.high + (x.low < y.low ? 1U : 0U);
  } else {
    const bool swap = x.high < y.high || (x.high == y.high && x.low < y.low);
    const Wide& more = swap ? y : x;
    const Wide& less = swap ? x : y;
    negative = swap ? small.negative : large.negative;
    const Wide difference{more.high - less.high - (more.low < less.low ? 1U : 0U), more.low - less.low};
    x = difference;
  }
  if (x.high == 0 && x.low == 0) {
    return zero_number(mode == Mode::rm);
  }
  Number result{Number::Kind::finite, negative, x.low, exponent};
  if (x.high != 0) {
    const int drop = bit_length(x.high);
    const bool sticky = (x.low & ((u128{1} << drop) - 1)) != 0;
    result.magnitude =
        (drop == 128 ? x.high : (x.high << (128 - drop)) | (x.low >> drop)) | (sticky ? 1U : 0U);
    result.exponent += drop;
  }
  // Leaves room for what shifts later, and for the next sum.
  if (const int excess = bit_length(result.magnitude) - 108; excess > 0) {
    const bool sticky = (result.magnitude & ((u128{1} << excess) - 1)) != 0;
    result.magnitude = (result.magnitude >> excess) | (sticky ? 1U : 0U);
    result.exponent += excess;
  }
  while ((result.magnitude & 1U) == 0) {
    result.magnitude >>= 1U;
    ++result.exponent;
  }
  return result;
}

inline Number quotient(const Number& a, const Number& b) {
  const bool negative = a.negative != b.negative;
  if (a.is_nan() || b.is_nan() || (a.is_infinite() && b.is_infinite()) || (a.is_zero() && b.is_zero())) {
    return nan_number();
  }
  if (a.is_infinite() || b.is_zero()) {
    return infinite_number(negative);
  }
  if (a.is_zero() || b.is_infinite()) {
    return zero_number(negative);
  }
  const int up = 125 - bit_length(a.magnitude);
  const u128 dividend = a.magnitude << up;
  const u128 whole = dividend / b.magnitude;
  const bool sticky = whole * b.magnitude != dividend;
  return {Number::Kind::finite, negative, (whole << 1U) | (sticky ? 1U : 0U),
          a.exponent - up - b.exponent - 1};
}

inline Number square_root(const Number& a) {
  if (a.is_nan() || a.is_zero()) {
    return a;
  }
  if (a.negative) {
    return nan_number();
  }
  if (a.is_infinite()) {
    return a;
  }
  int up = 124 - bit_length(a.magnitude);
  up += (a.exponent - up) % 2 != 0 ? 1 : 0;
  const u128 radicand = a.magnitude << up;
  u128 root = 0;
  for (int bit = 63; bit >= 0; --bit) {
    const u128 next = root | u128{1} << bit;
    root = next * next <= radicand ? next : root;
  }
  const bool sticky = root * root != radicand;
  return {Number::Kind::finite, false, (root << 1U) | (sticky ? 1U : 0U), (a.exponent - up) / 2 - 1};
}

/// The next integer by `mode`; zeros keep the sign.
inline Number to_integral(const Number& x, Mode mode) {
  if (x.kind != Number::Kind::finite || x.exponent >= 0) {
    return x;
  }
  const u128 whole = shift_rounded(x.magnitude, -x.exponent, mode, x.negative);
  return whole == 0 ? zero_number(x.negative) : Number{Number::Kind::finite, x.negative, whole, 0};
}

/// -1, 0, 1, or 2 where one is NaN.
inline int compare(const Number& a, const Number& b) {
  if (a.is_nan() || b.is_nan()) {
    return 2;
  }
  const auto direction = [](const Number& x) { return x.is_zero() ? 0 : x.negative ? -1 : 1; };
  if (direction(a) != direction(b)) {
    return direction(a) < direction(b) ? -1 : 1;
  }
  if (a.is_zero() || (a.is_infinite() && b.is_infinite())) {
    return 0;
  }
  const Number difference = a.is_infinite() ? a : b.is_infinite() ? negated(b) : sum(a, negated(b), Mode::rn);
  return direction(difference);
}

}  // namespace kerncast::conformance
