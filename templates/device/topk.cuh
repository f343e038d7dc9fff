#pragma once

/// Selection by largest key across a warp. A key is an integer that orders as its float does.
namespace kerncast {

/// Marks what may not be chosen.
inline constexpr int no_candidate = -0x7fffffff - 1;
/// Of NaN: chosen after everything else.
inline constexpr int nan_key = no_candidate + 1;

/// The key of a float; no NaN. -0 comes before +0.
__device__ __forceinline__ int ordered(float value) {
  const int bits = __float_as_int(value);
  return bits ^ (bits >> 31 & 0x7fffffff);
}

/// The float of a key; NaN of nan_key.
__device__ __forceinline__ float unordered(int key) {
  return __int_as_float(key ^ (key >> 31 & 0x7fffffff));
}

/// The key of any float; zeros are equal.
__device__ __forceinline__ int key_of(float value) {
  return value == value ? ordered(value + 0.0f) : nan_key;
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

/// Where candidate `index` of 32 * `Count` lies in shared memory: neighbours in different banks, and so are
/// those `Count` apart.
template <int Count>
__device__ __forceinline__ int key_place(unsigned index) {
  return static_cast<int>(index ^ (index / 32 & ((Count & -Count) - 1)));
}

/// A candidate's index and key.
struct Candidate {
  int index;
  int key;
};

/// The warp's largest candidate, the lowest of equals, which is then struck out. All lanes get it. Lane l
/// answers for the `Count` (up to 32) candidates from l * Count on, whose keys lie at key_place() in shared
/// memory, which no_candidate follows; `best` is their largest.
template <int Count>
__device__ __forceinline__ Candidate take_largest(int* keys, int& best, int lane) {
  const int largest = warp_max(best);
  const int winner = first_lane_with(best, largest);
  // The warp looks through the winner's candidates together. One is always read and struck out by the same
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

/// The `slots` largest candidates in order, as take_largest; lane k calls keep(candidate) for the k-th.
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
