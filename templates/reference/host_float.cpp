#include "templates/reference/host_float.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace kerncast::reference {
namespace {

/// Parameters of a floating-point format.
struct FloatFormat {
  int mantissa;
  int bias;
  double largest;
  std::uint32_t sign;
  std::uint32_t nan;
  bool saturates;
};

const FloatFormat& format_of(DType type) {
  static constexpr FloatFormat f32{23, 127, 0x1.fffffep127, 0x80000000U, 0x7fffffffU, false};
  static constexpr FloatFormat f16{10, 15, 65504.0, 0x8000U, 0x7fffU, false};
  static constexpr FloatFormat bf16{7, 127, 0x1.fep127, 0x8000U, 0x7fffU, false};
  static constexpr FloatFormat e4m3{3, 7, 448.0, 0x80U, 0x7fU, true};
  static constexpr FloatFormat e5m2{2, 15, 57344.0, 0x80U, 0x7fU, true};
  switch (type) {
    case DType::f16:
      return f16;
    case DType::bf16:
      return bf16;
    case DType::fp8_e4m3:
      return e4m3;
    case DType::fp8_e5m2:
      return e5m2;
    default:
      return f32;
  }
}

bool is_float_format(DType type) {
  return type == DType::f32 || type == DType::f16 || type == DType::bf16 || type == DType::fp8_e4m3 ||
         type == DType::fp8_e5m2;
}

/// Exponent of the last place of `magnitude`.
int last_place(const FloatFormat& format, double magnitude) {
  const int exponent = static_cast<int>(std::bit_cast<std::uint64_t>(magnitude) >> 52U) - 1023;
  return std::max(exponent, 1 - format.bias) - format.mantissa;
}

/// x * 2^exponent. Every exponent of a format of at most 32 bits gives a normal double, so the bits can be
/// set directly; std::ldexp would dominate the time of a reference.
double scaled(double x, int exponent) {
  return x * std::bit_cast<double>(static_cast<std::uint64_t>(exponent + 1023) << 52U);
}

/// The integer nearest to x, ties to even, for 0 <= x < 2^51.
double nearest(double x) {
  return x + 0x1p52 - 0x1p52;
}

double decode_bits(DType type, std::uint32_t bits) {
  const FloatFormat& format = format_of(type);
  const std::uint32_t magnitude = bits & (format.sign - 1);
  const double sign = (bits & format.sign) != 0 ? -1.0 : 1.0;
  if (type == DType::fp8_e4m3) {
    if (magnitude == 0x7fU) {
      return std::numeric_limits<double>::quiet_NaN();
    }
  } else if ((magnitude >> format.mantissa) == (format.sign - 1) >> format.mantissa) {
    const bool infinite = (magnitude & ((1U << format.mantissa) - 1)) == 0;
    return infinite ? sign * std::numeric_limits<double>::infinity()
                    : std::numeric_limits<double>::quiet_NaN();
  }
  const auto exponent = static_cast<int>(magnitude >> format.mantissa);
  const std::uint32_t fraction = magnitude & ((1U << format.mantissa) - 1);
  if (exponent == 0) {
    return sign * scaled(static_cast<double>(fraction), 1 - format.bias - format.mantissa);
  }
  return sign * scaled(static_cast<double>(fraction + (1U << format.mantissa)),
                       exponent - format.bias - format.mantissa);
}

template <class T>
T read(const std::byte* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

}  // namespace

double decode(DType type, const std::byte* bytes) {
  switch (type) {
    case DType::f32:
      return decode_bits(type, read<std::uint32_t>(bytes));
    case DType::f16:
    case DType::bf16:
      return decode_bits(type, read<std::uint16_t>(bytes));
    case DType::fp8_e4m3:
    case DType::fp8_e5m2:
      return decode_bits(type, read<std::uint8_t>(bytes));
    case DType::ue8m0: {
      const auto exponent = read<std::uint8_t>(bytes);
      return exponent == 255 ? std::numeric_limits<double>::quiet_NaN() : scaled(1.0, exponent - 127);
    }
    case DType::i8:
      return read<std::int8_t>(bytes);
    case DType::u8:
      return read<std::uint8_t>(bytes);
    case DType::i32:
      return read<std::int32_t>(bytes);
    case DType::i64:
      return static_cast<double>(read<std::int64_t>(bytes));
    case DType::f64:
      return read<double>(bytes);
  }
  return std::numeric_limits<double>::quiet_NaN();
}

std::uint32_t encode(DType type, double value) {
  if (type == DType::i8) {
    const double clamped = std::isnan(value) ? 0.0 : std::clamp(std::nearbyint(value), -128.0, 127.0);
    return static_cast<std::uint32_t>(static_cast<int>(clamped)) & 0xffU;
  }
  const FloatFormat& format = format_of(type);
  if (std::isnan(value)) {
    return format.nan;
  }
  const std::uint32_t sign = std::signbit(value) ? format.sign : 0U;
  const double magnitude = std::fabs(value);
  const std::uint32_t largest_bits = format.saturates && type == DType::fp8_e4m3 ? 0x7eU : 0x7bU;
  if (std::isinf(magnitude) && format.saturates) {
    return sign | largest_bits;
  }
  const std::uint32_t infinity = (format.sign - 1) >> format.mantissa << format.mantissa;
  if (std::isinf(magnitude)) {
    return sign | infinity;
  }
  const int place = last_place(format, magnitude);
  const double steps = nearest(scaled(magnitude, -place));
  if (scaled(steps, place) > format.largest) {
    return sign | (format.saturates ? largest_bits : infinity);
  }
  const auto binade = static_cast<std::uint32_t>(place - (1 - format.bias - format.mantissa));
  return sign | ((binade << format.mantissa) + static_cast<std::uint32_t>(steps));
}

double rounded(DType type, double value) {
  const std::uint32_t bits = encode(type, value);
  return type == DType::i8 ? static_cast<std::int8_t>(bits) : decode_bits(type, bits);
}

std::int64_t ordinal(DType type, double value) {
  if (!is_float_format(type)) {
    return static_cast<std::int64_t>(value);
  }
  const std::uint32_t bits = encode(type, value);
  const std::uint32_t sign = format_of(type).sign;
  const auto magnitude = static_cast<std::int64_t>(bits & (sign - 1));
  return (bits & sign) != 0 ? -magnitude : magnitude;
}

double unit(DType type, double value) {
  return is_float_format(type) ? scaled(1.0, last_place(format_of(type), std::fabs(value))) : 1.0;
}

}  // namespace kerncast::reference
