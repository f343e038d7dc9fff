#pragma once

/// Selection by largest key across a warp.
namespace kerncast {

/// Keys order as the floats do; NaN comes below all of them. Key 0 is left for what may not be chosen.
__device__ __forceinline__ unsigned ordered_key(float value) {
  const unsigned bits = __float_as_uint(value);
  const unsigned key = bits ^ (static_cast<unsigned>(static_cast<int>(bits) >> 31) | 0x80000000u);
  return value == value ? key : 1u;
}

__device__ __forceinline__ unsigned warp_max(unsigned value) {
#if __CUDA_ARCH__ >= 800
  return __reduce_max_sync(0xffffffffu, value);
#else
#pragma unroll
  for (int mask = 16; mask > 0; mask /= 2) {
    const unsigned other = __shfl_xor_sync(0xffffffffu, value, mask);
    value = other > value ? other : value;
  }
  return value;
#endif
}

/// Keys of a warp's candidates, lane l holding `Count` of consecutive indices from l * Count.
template <int Count>
struct Candidates {
  unsigned keys[Count];
  unsigned best = 0;
  int place = 0;

  /// Finds the lane's largest key, the first of equals.
  __device__ __forceinline__ void refresh() {
    best = keys[0];
    place = 0;
#pragma unroll
    for (int i = 1; i < Count; ++i) {
      if (keys[i] > best) {
        best = keys[i];
        place = i;
      }
    }
  }

  /// Index of the warp's largest key, the lowest of equals, which is then removed. All lanes get it.
  __device__ __forceinline__ int take() {
    const unsigned largest = warp_max(best);
    const int winner = __ffs(__ballot_sync(0xffffffffu, best == largest)) - 1;
    const int lane = threadIdx.x % 32;
    const int index = __shfl_sync(0xffffffffu, lane * Count + place, winner);
    if (lane == winner) {
#pragma unroll
      for (int i = 0; i < Count; ++i) {
        keys[i] = i == place ? 0u : keys[i];
      }
      refresh();
    }
    return index;
  }
};

}  // namespace kerncast
