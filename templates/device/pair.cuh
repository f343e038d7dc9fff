#pragma once

/// Sums of two floats kept as a pair, good to about 44 bits, for results that must be right to the last place
/// of f32.
namespace kerncast {

/// The number value + rest.
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

/// a + b, exactly.
__device__ __forceinline__ Pair exact_sum(float a, float b) {
  const float sum = a + b;
  const float shadow = sum - a;
  return {sum, (a - (sum - shadow)) + (b - shadow)};
}

}  // namespace kerncast
