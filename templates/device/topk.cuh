#pragma once

/// Selection of the largest keys by a warp. A key is an integer that stands for a float and has its order.
namespace kerncast {

/// The key of a candidate that may not be chosen.
inline constexpr int no_candidate = -0x7fffffff - 1;
/// The key of NaN, which is chosen after everything else.
inline constexpr int nan_key = no_candidate + 1;

/// The key of a float other than NaN. -0 comes before +0.
__device__ __forceinline__ int ordered(float value) {
  const int bits = __float_as_int(value);
  return bits ^ (bits >> 31 & 0x7fffffff);
}

/// The float of a key; nan_key gives NaN.
__device__ __forceinline__ float unordered(int key) {
  return __int_as_float(key ^ (key >> 31 & 0x7fffffff));
}

/// The key of any float. Both zeros have the same key.
__device__ __forceinline__ int key_of(float value) {
  return value == value ? ordered(value + 0.0f) : nan_key;
}

/// The largest value over the warp.
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

/// The lowest lane whose value is `wanted`; at least one lane has it. It is one block of PTX, which shortens
/// the compile.
__device__ __forceinline__ int first_lane_with(int value, int wanted) {
  int lane;
  asm volatile(
      "{ .reg .pred equal;\n  .reg .b32 lanes;\n  setp.eq.s32 equal, %1, %2;\n"
      "  vote.sync.ballot.b32 lanes, equal, -1;\n  brev.b32 lanes, lanes;\n  bfind.shiftamt.u32 %0, lanes; }"
      : "=r"(lane)
      : "r"(value), "r"(wanted));
  return lane;
}

/// Position in shared memory of candidate `index` of 32 * `Count`. Neighbours lie in different banks, and so
/// do candidates that are `Count` apart.
template <int Count>
__device__ __forceinline__ int key_place(unsigned index) {
  return static_cast<int>(index ^ (index / 32 & ((Count & -Count) - 1)));
}

/// A candidate's index and key.
struct Candidate {
  int index;
  int key;
};

/// Takes the warp's largest candidate out, the lowest one if several are equal, and returns it to all lanes.
/// Lane l holds the `Count` (up to 32) candidates from l * Count on, and `best` is the largest key among
/// them. The keys lie in shared memory at key_place(), followed by one no_candidate.
template <int Count>
__device__ __forceinline__ Candidate take_largest(int* keys, int& best, int lane) {
  const int largest = warp_max(best);
  const int winner = first_lane_with(best, largest);
  // The warp searches the winner's candidates together. A candidate is always read and struck out by the same
  // lane.
  int* own = keys + (Count == 32 || lane < Count ? key_place<Count>(winner * Count + lane) : 32 * Count);
  const int key = *own;
  const int offset = first_lane_with(key, largest);
  const bool taken = lane == offset;
  if (taken) {
    *own = no_candidate;
  }
  const int next = warp_max(taken ? no_candidate : key);
  best = lane == winner ? next : best;
  return {winner * Count + offset, largest};
}

/// The largest key of this lane's candidates.
template <int Count>
__device__ __forceinline__ int largest_key(const int* keys, int lane) {
  int best = no_candidate;
#pragma unroll 1
  for (int i = 0; i < Count; ++i) {
    best = max(best, keys[key_place<Count>(lane * Count + i)]);
  }
  return best;
}

/// Takes the `slots` largest candidates in order, as take_largest does. Lane k calls keep(candidate) for the
/// k-th.
template <int Count, class Keep>
__device__ __forceinline__ void choose(int* keys, int best, int slots, int lane, const Keep& keep) {
#pragma unroll 1
  for (int k = 0; k < slots; ++k) {
    const Candidate taken = take_largest<Count>(keys, best, lane);
    if (lane == k) {
      keep(taken);
    }
  }
}

}  // namespace kerncast
