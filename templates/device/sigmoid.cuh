#pragma once

#include "device/pair.cuh"

namespace kerncast {

/// sigmoid(x) for choosing by: relative error below 1e-6 for x above -16, and zero below -88.
__device__ __forceinline__ float fast_sigmoid(float x) {
  float power;
  asm("ex2.approx.f32 %0, %1;" : "=f"(power) : "f"(x * -1.44269504f));
  return fast_reciprocal(1.0f + power);
}

/// 1 / x to 40 bits; x is neither 0 nor infinite.
__device__ __forceinline__ double close_reciprocal(double x) {
  double guess;
  asm("rcp.approx.ftz.f64 %0, %1;" : "=d"(guess) : "d"(x));
  return guess + guess * (1.0 - x * guess);
}

/// sigmoid(x) to 26 bits, so that what follows from it can be right to the last place of a float.
__device__ __forceinline__ double close_sigmoid(float x) {
  // exp(-x) = 2^n * exp(r), |r| <= ln(2) / 2; adding 1.5 * 2^23 rounds to an integer in the low bits.
  const float bounded = fminf(fmaxf(x, -700.0f), 700.0f);
  const float shifted = fmaf(bounded, -1.44269504f, 12582912.0f);
  const double r = fma(static_cast<double>(shifted - 12582912.0f), -0.693147180559945309, -static_cast<double>(bounded));
  const float rounded = static_cast<float>(r);
  // (exp(r) - 1 - r) / r^2, fitted for the least error of exp(r): 5e-9.
  float series = 1.38145336e-3f;
  series = fmaf(series, rounded, 8.36874731e-3f);
  series = fmaf(series, rounded, 4.16683927e-2f);
  series = fmaf(series, rounded, 0.166665196f);
  series = fmaf(series, rounded, 0.49999994f);
  const double power = 1.0 + r + static_cast<double>(series * rounded * rounded);
  const double scaled = __hiloint2double(__double2hiint(power) + (__float_as_int(shifted) << 20), __double2loint(power));
  const double sigmoid = close_reciprocal(1.0 + scaled);
  return x == x ? sigmoid : x;
}

}  // namespace kerncast
