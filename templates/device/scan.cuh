#pragma once

/// Prefix sums.
namespace kerncast {

/// Sum over the lanes up to this one.
__device__ __forceinline__ int warp_prefix_sum(int value, int lane) {
#pragma unroll 1
  for (int distance = 1; distance < 32; distance *= 2) {
    const int other = __shfl_up_sync(0xffffffffu, value, distance);
    value += lane >= distance ? other : 0;
  }
  return value;
}

/// Replaces `Count` (up to 1024) values in shared memory by the sums of those before them, by one warp;
/// values[Count] becomes the sum of all.
template <int Count>
__device__ __forceinline__ void prefix_sums(int* values, int lane) {
  if constexpr (Count == 1) {
    // All lanes may read ahead what one of them overwrites.
    const int all = values[0];
    __syncwarp();
    if (lane == 0) {
      values[0] = 0;
      values[1] = all;
    }
    return;
  }
  constexpr int each = (Count + 31) / 32;
  int sum = 0;
#pragma unroll 1
  for (int i = lane * each; i < min(lane * each + each, Count); ++i) {
    sum += values[i];
  }
  int before = warp_prefix_sum(sum, lane) - sum;
#pragma unroll 1
  for (int i = lane * each; i < min(lane * each + each, Count); ++i) {
    const int value = values[i];
    values[i] = before;
    before += value;
  }
  if (lane == 31) {
    values[Count] = before;
  }
}

}  // namespace kerncast
