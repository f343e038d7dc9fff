#pragma once

#include "device/over_lanes.cuh"

/// Selection of the largest keys by a warp. A key is an integer that stands for a float and has its order.
namespace kerncast {

/// The key of a candidate that may not be chosen.
inline constexpr int no_candidate = -0x7fffffff - 1;
/// The key of NaN, which is chosen after everything else.
inline constexpr int nan_key = no_candidate + 1;

/// The key of a float other than NaN. -0 comes before +0.
__device__ __forceinline__ int ordered(float value) {
  int key;
  asm("{ .reg .b32 s;\n  shr.s32 s, %1, 31;\n  lop3.b32 %0, %1, s, 0x7fffffff, 0x78; }"
      : "=r"(key)
      : "r"(__float_as_int(value)));
  return key;
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

/// The largest of values, for reduce_warps().
struct LargestInt {
  int value = no_candidate;

  __device__ __forceinline__ void merge(const LargestInt& other) { value = max(value, other.value); }
  __device__ __forceinline__ LargestInt from_lane(int mask) const {
    return {__shfl_xor_sync(0xffffffffu, value, mask)};
  }
  template <int Lanes>
  __device__ __forceinline__ void over_lanes() {
    merge_lanes<Lanes>(*this);
  }
};

/// The sum over the warp, modulo 2^32.
__device__ __forceinline__ unsigned warp_sum(unsigned value) {
#if __CUDA_ARCH__ >= 800
  return __reduce_add_sync(0xffffffffu, value);
#else
#pragma unroll
  for (int mask = 16; mask > 0; mask /= 2) {
    value += __shfl_xor_sync(0xffffffffu, value, mask);
  }
  return value;
#endif
}

/// A candidate as one number, in the order of selection. The upper word is its key. The lower word is
/// `last_place` minus its index, so that the lower one of two equal keys comes first.
using Ranked = long long;

inline constexpr int last_place = 0x7fffffff;
/// Stands in a place that no candidate has. It has no index.
inline constexpr Ranked none_ranked = static_cast<Ranked>(no_candidate) * (1ll << 32);

/// The two words of a candidate.
struct Candidate {
  int key = no_candidate;
  int place = 0;  ///< last_place minus the index

  __device__ __forceinline__ static Candidate of(Ranked ranked) {
    Candidate made;
    asm("mov.b64 {%0, %1}, %2;" : "=r"(made.place), "=r"(made.key) : "l"(ranked));
    return made;
  }
  __device__ __forceinline__ Ranked ranked() const {
    Ranked made;
    asm("mov.b64 %0, {%1, %2};" : "=l"(made) : "r"(place), "r"(key));
    return made;
  }
  __device__ __forceinline__ int index() const { return last_place - place; }
};

/// Sorts a lane's 1, 2 or 4 candidates, the largest one first. It is one block of PTX, which shortens the
/// compile.
template <int Count>
__device__ __forceinline__ void sort_largest_first(Ranked (&held)[Count]) {
  static_assert(Count == 1 || Count == 2 || Count == 4, "no network for another number");
  if constexpr (Count == 2) {
    asm("{ .reg .pred p;\n  .reg .b64 t;\n  setp.gt.s64 p, %1, %0;\n  selp.b64 t, %1, %0, p;\n"
        "  selp.b64 %1, %0, %1, p;\n  mov.b64 %0, t; }"
        : "+l"(held[0]), "+l"(held[1]));
  } else if constexpr (Count == 4) {
    asm("{ .reg .pred p, q;\n  .reg .b64 a, b, c, d, e, f;\n  setp.gt.s64 p, %1, %0;\n  setp.gt.s64 q, %3, "
        "%2;\n"
        "  selp.b64 a, %1, %0, p;\n  selp.b64 b, %0, %1, p;\n  selp.b64 c, %3, %2, q;\n  selp.b64 d, %2, %3, "
        "q;\n"
        "  setp.gt.s64 p, c, a;\n  setp.gt.s64 q, d, b;\n"
        "  selp.b64 %0, c, a, p;\n  selp.b64 e, a, c, p;\n  selp.b64 f, d, b, q;\n  selp.b64 %3, b, d, q;\n"
        "  setp.gt.s64 p, e, f;\n  selp.b64 %1, e, f, p;\n  selp.b64 %2, f, e, p; }"
        : "+l"(held[0]), "+l"(held[1]), "+l"(held[2]), "+l"(held[3]));
  }
}

/// Takes the warp's `Slots` largest candidates out, the lower index first if keys are equal. Lane k gets the
/// k-th, others none. Each lane holds its candidates in order.
template <int Slots, int Count>
__device__ __forceinline__ Candidate choose(Ranked (&held)[Count], unsigned lane) {
  Candidate chosen;
#if __CUDA_ARCH__ >= 800
  constexpr bool in_one_block = Count <= 2 || Count == 4;
#else
  constexpr bool in_one_block = false;
#endif
  // The loop is one block of PTX, which shortens the compile. %2 is the lane's largest candidate, and SHIFT
  // moves the others up if it is taken. Long loops take two at a time, since a fourth of the instructions is
  // the loop's own.
#define KERNCAST_TAKE(LANE, SHIFT)                                                            \
  "  mov.b64 {place, key}, %2;\n  redux.sync.max.s32 a, key, -1;\n  setp.eq.s32 p, key, a;\n" \
  "  selp.b32 b, place, 0, p;\n  redux.sync.max.s32 b, b, -1;\n  setp.eq.s32 p, place, b;\n"  \
  "  setp.eq.s32 q, " LANE ", k;\n  selp.b32 %0, a, %0, q;\n  selp.b32 %1, b, %1, q;\n" SHIFT \
  "  add.s32 k, k, 1;\n"
#define KERNCAST_CHOOSE(TAKE, SLOTS, ...)                                                 \
  asm volatile(                                                                           \
      "{ .reg .pred p, q;\n  .reg .b32 k, key, place, a, b;\n  mov.u32 k, 0;\nNEXT:\n"    \
      "  .pragma \"nounroll\";\n" TAKE "  setp.lt.s32 q, k, " SLOTS ";\n  @q bra NEXT; }" \
      : "+r"(chosen.key), "+r"(chosen.place), __VA_ARGS__                                 \
      : "r"(lane), "n"(Slots))
#define KERNCAST_TAKE_1 KERNCAST_TAKE("%3", "  selp.b64 %2, 0x8000000000000000, %2, p;\n")
#define KERNCAST_TAKE_2 \
  KERNCAST_TAKE("%4", "  selp.b64 %2, %3, %2, p;\n  selp.b64 %3, 0x8000000000000000, %3, p;\n")
#define KERNCAST_TAKE_4                                                                             \
  KERNCAST_TAKE("%6",                                                                               \
                "  selp.b64 %2, %3, %2, p;\n  selp.b64 %3, %4, %3, p;\n  selp.b64 %4, %5, %4, p;\n" \
                "  selp.b64 %5, 0x8000000000000000, %5, p;\n")
  constexpr bool twice = Slots > 10 && Slots % 2 == 0;
  if constexpr (in_one_block && Count == 1 && twice) {
    KERNCAST_CHOOSE(KERNCAST_TAKE_1 KERNCAST_TAKE_1, "%4", "+l"(held[0]));
  } else if constexpr (in_one_block && Count == 1) {
    KERNCAST_CHOOSE(KERNCAST_TAKE_1, "%4", "+l"(held[0]));
  } else if constexpr (in_one_block && Count == 2 && twice) {
    KERNCAST_CHOOSE(KERNCAST_TAKE_2 KERNCAST_TAKE_2, "%5", "+l"(held[0]), "+l"(held[1]));
  } else if constexpr (in_one_block && Count == 2) {
    KERNCAST_CHOOSE(KERNCAST_TAKE_2, "%5", "+l"(held[0]), "+l"(held[1]));
  } else if constexpr (in_one_block && twice) {
    KERNCAST_CHOOSE(KERNCAST_TAKE_4 KERNCAST_TAKE_4, "%7", "+l"(held[0]), "+l"(held[1]), "+l"(held[2]),
                    "+l"(held[3]));
  } else if constexpr (in_one_block) {
    KERNCAST_CHOOSE(KERNCAST_TAKE_4, "%7", "+l"(held[0]), "+l"(held[1]), "+l"(held[2]), "+l"(held[3]));
  } else {
#pragma unroll 1
    for (unsigned k = 0; k < Slots; ++k) {
      const Candidate mine = Candidate::of(held[0]);
      Candidate largest;
      largest.key = warp_max(mine.key);
      largest.place = warp_max(mine.key == largest.key ? mine.place : 0);
      chosen = lane == k ? largest : chosen;
      // A place belongs to one candidate.
      const bool taken = mine.place == largest.place;
#pragma unroll
      for (int i = 0; i + 1 < Count; ++i) {
        held[i] = taken ? held[i + 1] : held[i];
      }
      held[Count - 1] = taken ? none_ranked : held[Count - 1];
    }
  }
#undef KERNCAST_TAKE_4
#undef KERNCAST_TAKE_2
#undef KERNCAST_TAKE_1
#undef KERNCAST_CHOOSE
#undef KERNCAST_TAKE
  return chosen;
}

}  // namespace kerncast
