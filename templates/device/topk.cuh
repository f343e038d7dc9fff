#pragma once

/// Selection by largest value across a warp.
namespace kerncast {

/// Marks what may not be chosen.
__device__ __forceinline__ float no_candidate() { return __uint_as_float(0xff800000u); }

/// `value` as a candidate: NaN and -infinity count as the least float, which may still be chosen.
__device__ __forceinline__ float candidate(float value) { return fmaxf(value, -3.40282347e38f); }

/// An integer that orders as the float does; no NaN.
__device__ __forceinline__ int ordered(float value) {
  const int bits = __float_as_int(value);
  return bits ^ (bits >> 31 & 0x7fffffff);
}

/// The lowest lane that holds the warp's largest `key`.
__device__ __forceinline__ int lane_of_largest(int key) {
#if __CUDA_ARCH__ >= 800
  const int largest = __reduce_max_sync(0xffffffffu, key);
#else
  int largest = key;
#pragma unroll
  for (int mask = 16; mask > 0; mask /= 2) {
    const int other = __shfl_xor_sync(0xffffffffu, largest, mask);
    largest = other > largest ? other : largest;
  }
#endif
  return __ffs(__ballot_sync(0xffffffffu, key == largest)) - 1;
}

/// Chooses from candidates in shared memory, of which lane l answers for `Count` (up to 32) from l * Count on.
template <int Count>
struct Chooser {
  float* values;
  float best;  ///< the lane's largest candidate
  int place;   ///< where it is, the lowest of equals

  /// Index of the warp's largest candidate, the lowest of equals, which is then struck out. All lanes get it.
  __device__ __forceinline__ int take(int lane) {
    const int winner = lane_of_largest(ordered(best));
    const int taken = __shfl_sync(0xffffffffu, place, winner);
    // The warp finds the winner's next best together. A value is always read and struck out by the same lane.
    const int index = winner * Count + lane;
    if (index == taken) {
      values[index] = no_candidate();
    }
    const float value = lane < Count ? values[index] : no_candidate();
    const int next = lane_of_largest(ordered(value));
    const float next_best = __shfl_sync(0xffffffffu, value, next);
    place = lane == winner ? winner * Count + next : place;
    best = lane == winner ? next_best : best;
    return taken;
  }
};

}  // namespace kerncast
