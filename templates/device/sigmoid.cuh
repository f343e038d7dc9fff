#pragma once

#include "device/pair.cuh"

namespace kerncast {

/// sigmoid(x) within 4 units in the last place.
__device__ __forceinline__ float fast_sigmoid(float x) {
  const float magnitude = fminf(fabsf(x), 110.0f);
  const float exponent = magnitude * -1.44269504f;
  const float exponent_rest = fmaf(magnitude, -1.44269504f, -exponent) + magnitude * -1.92596299e-8f;
  float power;
  asm("ex2.approx.f32 %0, %1;" : "=f"(power) : "f"(exponent));
  power = fmaf(power, exponent_rest * 0.693147181f, power);
  const float sigmoid = __fdividef(x < 0.0f ? power : 1.0f, 1.0f + power);
  return x == x ? sigmoid : x;
}

/// sigmoid(x) to more than the precision of a float; below 2^-126, to the step of subnormals.
__device__ __forceinline__ Pair exact_sigmoid(float x) {
  // exp(-|x|) = 2^n * (1 + r + r^2 / 2 + ...), r = -|x| - n ln 2 in two parts, the first exact.
  const float magnitude = fminf(fabsf(x), 110.0f);
  const float n = rintf(magnitude * -1.44269504f);
  const float r = fmaf(n, -0.693145752f, -magnitude);
  const float r_rest = n * -1.42860677e-6f;
  float series = 2.48015873e-5f;
  series = fmaf(series, r, 1.98412698e-4f);
  series = fmaf(series, r, 1.38888889e-3f);
  series = fmaf(series, r, 8.33333333e-3f);
  series = fmaf(series, r, 4.16666667e-2f);
  series = fmaf(series, r, 0.166666667f);
  series = fmaf(series, r, 0.5f);
  Pair power = exact_sum(1.0f, r);
  power.rest += fmaf(series, r * r, fmaf(r, r_rest, r_rest));
  // 2^n in two factors: one alone would not be a normal number.
  const int half = static_cast<int>(n) / 2;
  const float first = __uint_as_float(static_cast<unsigned>(127 + half) << 23);
  const float second = __uint_as_float(static_cast<unsigned>(127 + static_cast<int>(n) - half) << 23);
  power = {power.value * first * second, power.rest * first * second};
  Pair sum = exact_sum(1.0f, power.value);
  sum.rest += power.rest;
  return x == x ? divide(x < 0.0f ? power : Pair{1.0f, 0.0f}, sum) : Pair{x, 0.0f};
}

}  // namespace kerncast
