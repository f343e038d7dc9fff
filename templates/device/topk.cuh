#pragma once

/// Selection by largest value across a warp.
namespace kerncast {

/// Marks what may not be chosen.
__device__ __forceinline__ float no_candidate() {
  return __uint_as_float(0xff800000u);
}

/// `value` as a candidate: NaN and -infinity count as the least float, which may still be chosen.
__device__ __forceinline__ float candidate(float value) {
  return fmaxf(value, -3.40282347e38f);
}

/// An integer that orders as the float does; no NaN.
__device__ __forceinline__ int ordered(float value) {
  const int bits = __float_as_int(value);
  return bits ^ (bits >> 31 & 0x7fffffff);
}

/// Largest over the warp.
__device__ __forceinline__ int warp_max(int value) {
#if __CUDA_ARCH__ >= 800
  return __reduce_max_sync(0xffffffffu, value);
#else
#pragma unroll
  for (int mask = 16; mask > 0; mask /= 2) {
    const int other = __shfl_xor_sync(0xffffffffu, value, mask);
    value = other > value ? other : value;
  }
  return value;
#endif
}

/// The lowest lane whose value is `wanted`; one has it. One block of PTX, which spares the compiler's passes.
__device__ __forceinline__ int first_lane_with(int value, int wanted) {
  int lane;
  asm volatile(
      "{ .reg .pred equal;\n  .reg .b32 lanes;\n  setp.eq.s32 equal, %1, %2;\n"
      "  vote.sync.ballot.b32 lanes, equal, -1;\n  brev.b32 lanes, lanes;\n  bfind.shiftamt.u32 %0, lanes; }"
      : "=r"(lane)
      : "r"(value), "r"(wanted));
  return lane;
}

/// Index of the warp's largest candidate, the lowest of equals, which is then struck out. All lanes get it.
/// Lane l answers for `Count` (up to 32) candidates in shared memory from l * Count on, which no_candidate()
/// follows; `best` is ordered() of their largest.
template <int Count>
__device__ __forceinline__ int take_largest(float* values, int& best, int lane) {
  const int largest = warp_max(best);
  const int winner = first_lane_with(best, largest);
  // The warp looks through the winner's candidates together. One is always read and struck out by the same
  // lane.
  float* own = values + (lane < Count ? winner * Count + lane : 32 * Count);
  const int key = ordered(*own);
  const int offset = first_lane_with(key, largest);
  const bool taken = lane == offset;
  if (taken) {
    *own = no_candidate();
  }
  const int next = warp_max(taken ? ordered(no_candidate()) : key);
  best = lane == winner ? next : best;
  return winner * Count + offset;
}

}  // namespace kerncast
