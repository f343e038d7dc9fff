#pragma once

#include "runtime/simulator/exec/float_lanes.hpp"

/// Encodings of the narrow floats.
namespace kerncast::simulator::KERNCAST_SIM_LEVEL {

namespace {

/// A float format. Without `infinity` the largest encodings are numbers, except for `nan`.
struct FloatFormat {
  int exponent_bits;
  int mantissa_bits;
  u32 nan;
  u32 max;  ///< encoding of the largest finite value
  bool infinity;
};

inline constexpr FloatFormat f16_format{5, 10, 0x7fffU, 0x7bffU, true};
inline constexpr FloatFormat bf16_format{8, 7, 0x7fffU, 0x7f7fU, true};
inline constexpr FloatFormat f32_format{8, 23, 0x7fffffffU, 0x7f7fffffU, true};
inline constexpr FloatFormat e4m3_format{4, 3, 0x7fU, 0x7eU, false};
inline constexpr FloatFormat e5m2_format{5, 2, 0x7fU, 0x7bU, true};
inline constexpr FloatFormat e2m3_format{2, 3, 0x1fU, 0x1fU, false};
inline constexpr FloatFormat e3m2_format{3, 2, 0x1fU, 0x1fU, false};
inline constexpr FloatFormat e2m1_format{2, 1, 0x7U, 0x7U, false};

/// Rounds `value`, any double or one already rounded to odd, to the format. Overflow gives infinity, or the
/// largest number if the rounding points inward or `finite` asks for it.
inline u32 encode(double value, const FloatFormat& format, Rounding rounding, bool finite) {
  const u64 bits = bits_as<u64>(value);
  const u32 sign = static_cast<u32>(bits >> 63) << (format.exponent_bits + format.mantissa_bits);
  const u64 magnitude = bits & 0x7fffffffffffffffULL;
  if (magnitude > 0x7ff0000000000000ULL) {
    return format.nan;
  }
  const bool negative = sign != 0;
  const int bias = (1 << (format.exponent_bits - 1)) - 1;
  u32 result = 0;
  bool overflows = magnitude == 0x7ff0000000000000ULL;
  const bool infinite = overflows;
  if (!overflows && magnitude != 0) {
    int exponent = static_cast<int>(magnitude >> 52) - 1023;
    u64 mantissa = magnitude & 0xfffffffffffffULL;
    if (magnitude >> 52 == 0) {
      exponent = -1022;
    } else {
      mantissa |= 0x10000000000000ULL;
    }
    const int least = 1 - bias;
    int drop = 52 - format.mantissa_bits + (exponent < least ? least - exponent : 0);
    drop = drop > 62 ? 62 : drop;
    const u64 kept = mantissa >> drop;
    const u64 rest = mantissa & ((u64{1} << drop) - 1);
    const u64 half = u64{1} << (drop - 1);
    bool up = false;
    switch (rounding) {
      case Rounding::rz:
        break;
      case Rounding::rm:
        up = negative && rest != 0;
        break;
      case Rounding::rp:
        up = !negative && rest != 0;
        break;
      case Rounding::rna:
        up = rest >= half;
        break;
      default:
        up = rest > half || (rest == half && (kept & 1U) != 0);
        break;
    }
    const u64 rounded = kept + (up ? 1U : 0U);
    // Normal numbers carry their implicit bit into the exponent field, so that a mantissa overflow moves on
    // to the next exponent by itself.
    const s64 field = exponent < least ? 0 : static_cast<s64>(exponent + bias - 1) << format.mantissa_bits;
    const s64 whole = field + static_cast<s64>(rounded);
    overflows = whole > static_cast<s64>(format.max);
    result = overflows ? 0 : static_cast<u32>(whole);
  }
  if (overflows) {
    const bool inward = !infinite && (rounding == Rounding::rz || (rounding == Rounding::rm && !negative) ||
                                      (rounding == Rounding::rp && negative));
    result = finite || inward ? format.max : format.infinity ? format.max + 1 : format.nan;
  }
  return sign | result;
}

inline double decode(u32 bits, const FloatFormat& format) {
  const int width = format.exponent_bits + format.mantissa_bits;
  const bool negative = (bits >> width & 1U) != 0;
  const u32 magnitude = bits & ((1U << width) - 1);
  const int bias = (1 << (format.exponent_bits - 1)) - 1;
  double value = 0;
  if (format.infinity ? magnitude > format.max + 1 : (magnitude == format.nan && format.nan != format.max)) {
    return __builtin_nan("");
  }
  if (format.infinity && magnitude == format.max + 1) {
    value = __builtin_inf();
  } else {
    const u32 exponent = magnitude >> format.mantissa_bits;
    const u32 fraction = magnitude & ((1U << format.mantissa_bits) - 1);
    const u32 mantissa = exponent == 0 ? fraction : fraction | 1U << format.mantissa_bits;
    const int power = (exponent == 0 ? 1 : static_cast<int>(exponent)) - bias - format.mantissa_bits;
    value = static_cast<double>(mantissa) * bits_as<double>(static_cast<u64>(power + 1023) << 52);
  }
  return negative ? -value : value;
}

KC_INLINE float bf16_to_f32(u16 a) {
  return bits_as<float>(static_cast<u32>(a) << 16);
}

/// Rounds to nearest even; a NaN becomes the canonical one.
KC_INLINE u16 f32_to_bf16(float a) {
  const u32 bits = bits_as<u32>(a);
  const u32 rounded = (bits + 0x7fffU + (bits >> 16 & 1U)) >> 16;
  return static_cast<u16>(a == a ? rounded : 0x7fffU);
}

/// The conversion is exact. Subnormals are converted by a multiplication of their bits, taken as a fraction.
KC_INLINE float f16_to_f32(u16 a) {
  const u32 magnitude = static_cast<u32>(a & 0x7fffU) << 13;
  const float scaled = bits_as<float>(magnitude) * 0x1p112F;
  const u32 special = magnitude + (112U << 23) + (112U << 23);
  const u32 bits = magnitude >= (0x7c00U << 13) ? special : bits_as<u32>(scaled);
  return bits_as<float>(bits | static_cast<u32>(a & 0x8000U) << 16);
}

/// Rounds to nearest even; a NaN becomes the canonical one.
KC_INLINE u16 f32_to_f16(float a) {
  const u32 bits = bits_as<u32>(a);
  const u32 sign = bits >> 16 & 0x8000U;
  const u32 magnitude = bits & 0x7fffffffU;
  const u32 normal = (magnitude + 0xfffU + (magnitude >> 13 & 1U) - (112U << 23)) >> 13;
  const u32 subnormal = bits_as<u32>(bits_as<float>(magnitude) + 0.5F) - 0x3f000000U;
  u32 result = magnitude < (113U << 23) ? subnormal : normal;
  result = magnitude >= 0x477ff000U ? 0x7c00U : result;
  result |= sign;
  return static_cast<u16>(magnitude > 0x7f800000U ? 0x7fffU : result);
}

/// Rounds to nearest even; overflow gives the largest number.
KC_INLINE u32 f32_to_e4m3(float a) {
  const u32 bits = bits_as<u32>(a);
  const u32 sign = bits >> 24 & 0x80U;
  const u32 magnitude = bits & 0x7fffffffU;
  const u32 normal = (magnitude + 0x7ffffU + (magnitude >> 20 & 1U) - (120U << 23)) >> 20;
  const u32 subnormal = bits_as<u32>(bits_as<float>(magnitude) + 0x1p14F) - 0x46800000U;
  u32 result = magnitude < (121U << 23) ? subnormal : normal;
  result = magnitude >= 0x43e00000U ? 0x7eU : result;
  result |= sign;
  return magnitude > 0x7f800000U ? 0x7fU : result;
}

KC_INLINE u32 f32_to_e5m2(float a) {
  const u32 bits = bits_as<u32>(a);
  const u32 sign = bits >> 24 & 0x80U;
  const u32 magnitude = bits & 0x7fffffffU;
  const u32 normal = (magnitude + 0xfffffU + (magnitude >> 21 & 1U) - (112U << 23)) >> 21;
  const u32 subnormal = bits_as<u32>(bits_as<float>(magnitude) + 0x1p7F) - 0x43000000U;
  u32 result = magnitude < (113U << 23) ? subnormal : normal;
  result = magnitude >= 0x47600000U ? 0x7bU : result;
  result |= sign;
  return magnitude > 0x7f800000U ? 0x7fU : result;
}

}  // namespace

}  // namespace kerncast::simulator::KERNCAST_SIM_LEVEL
