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

}  // namespace kerncast
