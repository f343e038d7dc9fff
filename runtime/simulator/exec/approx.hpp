#pragma once

#include "runtime/simulator/exec/float_lanes.hpp"

/// The .approx functions, computed in double far more precisely than the PTX ISA's error bounds and rounded
/// once. They have no branches, so that they vectorise.
namespace kerncast::simulator::KERNCAST_SIM_LEVEL {

namespace {

/// 2^x for |x| up to 1100; the fraction by its Taylor series.
KC_INLINE double exp2_double(double x) {
  const double whole = __builtin_rint(x);
  const double f = (x - whole) * 0.693147180559945309417;
  double p = 1.0 / 39916800.0;
  p = p * f + 1.0 / 3628800.0;
  p = p * f + 1.0 / 362880.0;
  p = p * f + 1.0 / 40320.0;
  p = p * f + 1.0 / 5040.0;
  p = p * f + 1.0 / 720.0;
  p = p * f + 1.0 / 120.0;
  p = p * f + 1.0 / 24.0;
  p = p * f + 1.0 / 6.0;
  p = p * f + 0.5;
  p = p * f + 1.0;
  p = p * f + 1.0;
  // Adding 1.5 * 2^52 leaves the integer in the low mantissa bits, whose shift to the exponent vectorises
  // everywhere.
  const u64 exponent = (bits_as<u64>(whole + 6755399441055744.0) + 1023U) << 52;
  return p * bits_as<double>(exponent);
}

KC_INLINE float exp2_approx(float a) {
  double x = static_cast<double>(a);
  x = x < -200.0 ? -200.0 : x;
  x = x > 200.0 ? 200.0 : x;
  const double result = exp2_double(x);
  return a == a ? static_cast<float>(result) : a;
}

KC_INLINE float log2_approx(float a) {
  // A subnormal float is a normal double.
  const double x = static_cast<double>(a);
  const u64 bits = bits_as<u64>(x);
  const u64 shifted = bits - 0x3fe6a09e667f3bcdULL;
  const s64 up = static_cast<s64>(shifted) >> 52;
  const double m = bits_as<double>(bits - (static_cast<u64>(up) << 52));
  const double e = bits_as<double>(static_cast<u64>(up) + 0x4338000000000000ULL) - 6755399441055744.0;
  const double s = (m - 1.0) / (m + 1.0);
  const double z = s * s;
  double p = 1.0 / 17.0;
  p = p * z + 1.0 / 15.0;
  p = p * z + 1.0 / 13.0;
  p = p * z + 1.0 / 11.0;
  p = p * z + 1.0 / 9.0;
  p = p * z + 1.0 / 7.0;
  p = p * z + 1.0 / 5.0;
  p = p * z + 1.0 / 3.0;
  p = p * z + 1.0;
  float result = static_cast<float>(e + p * s * 2.88539008177792681472);
  const float infinity = __builtin_inff();
  result = a == infinity ? infinity : result;
  result = a == 0.0F ? -infinity : result;
  return a >= 0.0F ? result : __builtin_nanf("");
}

/// The sine, or the cosine with `quarter`. Arguments beyond the range that the ISA specifies lose precision.
KC_INLINE float sin_approx(float a, bool quarter) {
  double x = static_cast<double>(a);
  const double bounded = __builtin_fabs(x) < 1e9 ? x : 0.0;
  const double turns = __builtin_rint(bounded * 0.636619772367581343076);
  const double r = (bounded - turns * 1.57079632679489655800) - turns * 6.12323399573676603587e-17;
  const double z = r * r;
  double s = 1.0 / 6227020800.0;
  s = s * z - 1.0 / 39916800.0;
  s = s * z + 1.0 / 362880.0;
  s = s * z - 1.0 / 5040.0;
  s = s * z + 1.0 / 120.0;
  s = s * z - 1.0 / 6.0;
  s = (s * z + 1.0) * r;
  double c = 1.0 / 479001600.0;
  c = c * z - 1.0 / 3628800.0;
  c = c * z + 1.0 / 40320.0;
  c = c * z - 1.0 / 720.0;
  c = c * z + 1.0 / 24.0;
  c = c * z - 0.5;
  c = c * z + 1.0;
  const u64 quadrant = bits_as<u64>(turns + 6755399441055744.0) + (quarter ? 1U : 0U);
  const double value = (quadrant & 1U) != 0 ? c : s;
  const double signed_value = (quadrant & 2U) != 0 ? -value : value;
  const bool finite = __builtin_fabs(x) <= 0x1.fffffep127;
  // The reduction loses the sign of zero.
  const float rounded = !quarter && x == 0.0 ? a : static_cast<float>(signed_value);
  return finite ? rounded : __builtin_nanf("");
}

KC_INLINE float tanh_approx(float a) {
  const double x = static_cast<double>(a);
  double bounded = x > 20.0 ? 20.0 : x;
  bounded = bounded < -20.0 ? -20.0 : bounded;
  const double e = exp2_double(bounded * 2.88539008177792681472);
  const double result = (e - 1.0) / (e + 1.0);
  // Near zero the difference above cancels; two terms of the series are exact enough there.
  const double series = x - x * x * x * (1.0 / 3.0);
  const float chosen = static_cast<float>(__builtin_fabs(x) < 1e-3 ? series : result);
  return a == a && a != 0.0F ? chosen : a;
}

}  // namespace

}  // namespace kerncast::simulator::KERNCAST_SIM_LEVEL
