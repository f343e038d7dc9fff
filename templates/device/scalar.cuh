#pragma once

#include "device/types.cuh"

/// Loads of single elements, as floats.
namespace kerncast {

__device__ __forceinline__ float load_value(const f32* address) {
  return *address;
}

__device__ __forceinline__ float load_value(const bf16* address) {
  return __uint_as_float(static_cast<unsigned>(address->bits) << 16);
}

__device__ __forceinline__ float load_value(const f16* address) {
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(address->bits));
  return value;
}

}  // namespace kerncast
