#pragma once

/// Unevaluated pairs of floats, good to about 44 bits: where a result in f32 must be right to its last place.
namespace kerncast {

struct Pair {
  float value;
  float rest;
};

/// 1 / x within a unit in the last place.
__device__ __forceinline__ float fast_reciprocal(float x) {
  float reciprocal;
  asm("rcp.approx.f32 %0, %1;" : "=f"(reciprocal) : "f"(x));
  return reciprocal;
}

/// a + b without loss.
__device__ __forceinline__ Pair exact_sum(float a, float b) {
  const float sum = a + b;
  const float shadow = sum - a;
  return {sum, (a - (sum - shadow)) + (b - shadow)};
}

/// a * b + rest with one rounding in effect. An infinite product stays itself.
__device__ __forceinline__ float multiply_add_exact(float a, float b, float rest) {
  const float product = a * b;
  const float corrected = product + (fmaf(a, b, -product) + rest);
  return fabsf(product) < __uint_as_float(0x7f800000u) ? corrected : product;
}

/// a / b; b.value and its reciprocal are normal numbers.
__device__ __forceinline__ Pair divide(const Pair& a, const Pair& b) {
  const float reciprocal = fast_reciprocal(b.value);
  const float quotient = a.value * reciprocal;
  const float remainder = fmaf(-quotient, b.value, a.value) + (a.rest - quotient * b.rest);
  return {quotient, remainder * reciprocal};
}

}  // namespace kerncast
