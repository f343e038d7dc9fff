#pragma once

/// Prefix sums.
namespace kerncast {

/// Sum over the lanes up to this one.
__device__ __forceinline__ int warp_prefix_sum(int value, int lane) {
#pragma unroll
  for (int distance = 1; distance < 32; distance *= 2) {
    const int other = __shfl_up_sync(0xffffffffu, value, distance);
    value += lane >= distance ? other : 0;
  }
  return value;
}

/// Replaces `Count` (up to 1024) values in shared memory by the sums of those before them; values[Count]
/// becomes the sum of all. By a block of `Threads`, a multiple of 32.
template <int Count, int Threads>
__device__ __forceinline__ void prefix_sums(int* values) {
  static_assert(Count <= 1024, "a warp adds up the parts");
  __shared__ int parts[32];
  const int lane = threadIdx.x % 32;
  __syncthreads();
#pragma unroll 1
  for (int first = threadIdx.x - lane; first < Count; first += Threads) {
    const int i = first + lane;
    const int value = i < Count ? values[i] : 0;
    const int sum = warp_prefix_sum(value, lane);
    if (i < Count) {
      values[i] = sum - value;
    }
    if (lane == 31) {
      parts[first / 32] = sum;
    }
  }
  __syncthreads();
  if (threadIdx.x < 32) {
    const int part = lane * 32 < Count ? parts[lane] : 0;
    const int sum = warp_prefix_sum(part, lane);
    __syncwarp();
    parts[lane] = sum - part;
    if (lane == 31) {
      values[Count] = sum;
    }
  }
  __syncthreads();
#pragma unroll 1
  for (int i = threadIdx.x; i < Count; i += Threads) {
    values[i] += parts[i / 32];
  }
  __syncthreads();
}

}  // namespace kerncast
