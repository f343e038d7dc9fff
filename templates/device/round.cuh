#pragma once

#include "device/vec.cuh"

namespace kerncast {

/// Rounds N elements to T and back, in as few conversions as there are words.
template <class T, int N>
__device__ __forceinline__ void round_values(float* values) {
  if constexpr (sizeof(T) == 2 && N == 1) {
    values[0] = rounded_to<T>(values[0]);
  } else if constexpr (sizeof(T) == 2 && N < 8) {
#pragma unroll
    for (int i = 0; i < N; i += 2) {
      unpack_word<T>(pack_word<T>(values + i), values + i);
    }
  } else if constexpr (sizeof(T) == 2) {
#pragma unroll
    for (int i = 0; i < N; i += 8) {
      unpack<T>(pack_vector<T>(values + i), values + i);
    }
  }
}

}  // namespace kerncast
