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
  // exp(-|x|) = 2^n * (1 + r + r^2 * series), r = -|x| - n ln 2 in two parts, the first exact.
  const float magnitude = fminf(fabsf(x), 500.0f);
  const float n = rintf(magnitude * -1.44269504f);
  const float r = n * -0.693145752f - magnitude;
  float series = 2.48015873e-5f;
  series = series * r + 1.98412698e-4f;
  series = series * r + 1.38888889e-3f;
  series = series * r + 8.33333333e-3f;
  series = series * r + 4.16666667e-2f;
  series = series * r + 0.166666667f;
  series = series * r + 0.5f;
  const float rest = n * -1.42860677e-6f;
  const double power = (1.0 + r + (series * r * r + (rest * r + rest))) *
                       __hiloint2double((1023 + static_cast<int>(n)) << 20, 0);
  const double sigmoid = (x < 0.0f ? power : 1.0) * close_reciprocal(1.0 + power);
  return x == x ? sigmoid : x;
}

}  // namespace kerncast
