#pragma once

#include "device/over_lanes.cuh"
#include "device/pair.cuh"

/// Reductions in a fixed order: the same input gives the same bits on every run, and all lanes get the same
/// bits. Sums over rows have a stronger order, which row_sum.cuh states.
namespace kerncast {

/// The value of the lane whose number differs by the bits of `mask`.
__device__ __forceinline__ float exchange(float value, int mask) {
  float other;
  asm volatile("shfl.sync.bfly.b32 %0, %1, %2, 31, -1;" : "=f"(other) : "f"(value), "r"(mask));
  return other;
}

__device__ __forceinline__ double exchange(double value, int mask) {
  double other;
  asm volatile(
      "{ .reg .b32 low, high;\n  mov.b64 {low, high}, %1;\n  shfl.sync.bfly.b32 low, low, %2, 31, -1;\n"
      "  shfl.sync.bfly.b32 high, high, %2, 31, -1;\n  mov.b64 %0, {low, high}; }"
      : "=d"(other)
      : "d"(value), "r"(mask));
  return other;
}

/// The value of lane `lane`.
__device__ __forceinline__ double broadcast(double value, int lane) {
  double other;
  asm volatile(
      "{ .reg .b32 low, high;\n  mov.b64 {low, high}, %1;\n  shfl.sync.idx.b32 low, low, %2, 31, -1;\n"
      "  shfl.sync.idx.b32 high, high, %2, 31, -1;\n  mov.b64 %0, {low, high}; }"
      : "=d"(other)
      : "d"(value), "r"(lane));
  return other;
}

#define KERNCAST_ADD(MASK) "shfl.sync.bfly.b32 o, %0, " MASK ", 31, -1;\n  add.f32 %0, %0, o;\n  "
#define KERNCAST_MAX(MASK) "shfl.sync.bfly.b32 o, %0, " MASK ", 31, -1;\n  max.f32 %0, %0, o;\n  "
#define KERNCAST_ADD_DOUBLE(MASK)                                                                       \
  "mov.b64 {l, h}, %0;\n  shfl.sync.bfly.b32 l, l, " MASK ", 31, -1;\n  shfl.sync.bfly.b32 h, h, " MASK \
  ", 31, -1;\n  mov.b64 o, {l, h};\n  add.f64 %0, %0, o;\n  "

/// A sum of floats.
struct Sum {
  float value = 0.0f;

  __device__ __forceinline__ void add_square(float x) { value = fmaf(x, x, value); }
  __device__ __forceinline__ void merge(const Sum& other) { value += other.value; }
  __device__ __forceinline__ Sum from_lane(int mask) const { return {exchange(value, mask)}; }
  template <int Lanes>
  __device__ __forceinline__ void over_lanes() {
    KERNCAST_OVER_LANES(".reg .f32 o;\n  ", KERNCAST_ADD, "+f"(value))
  }
};

/// A sum in double, since a float sum of thousands of terms is not right to the last place of f32.
struct DoubleSum {
  double value = 0.0;

  __device__ __forceinline__ void add_square(float x) {
    value = fma(static_cast<double>(x), static_cast<double>(x), value);
  }
  __device__ __forceinline__ void merge(const DoubleSum& other) { value += other.value; }
  __device__ __forceinline__ DoubleSum from_lane(int mask) const { return {exchange(value, mask)}; }
  template <int Lanes>
  __device__ __forceinline__ void over_lanes() {
    KERNCAST_OVER_LANES(".reg .b32 l, h;\n  .reg .f64 o;\n  ", KERNCAST_ADD_DOUBLE, "+d"(value))
  }
};

struct Max {
  float value = 0.0f;

  /// NaN is ignored.
  __device__ __forceinline__ void add(float x) { value = fmaxf(value, x); }
  __device__ __forceinline__ void merge(const Max& other) { add(other.value); }
  __device__ __forceinline__ Max from_lane(int mask) const { return {exchange(value, mask)}; }
  template <int Lanes>
  __device__ __forceinline__ void over_lanes() {
    KERNCAST_OVER_LANES(".reg .f32 o;\n  ", KERNCAST_MAX, "+f"(value))
  }
};

/// Reduces over each aligned run of `Lanes` lanes (a power of two up to 32). All lanes of the warp must take
/// part. A reduction has merge(other), from_lane(mask), and over_lanes<Lanes>(), which merges all these
/// lanes.
template <int Lanes, class Reduction>
__device__ __forceinline__ Reduction reduce_lanes(Reduction mine) {
  mine.template over_lanes<Lanes>();
  return mine;
}

/// The least power of two from `least` on.
constexpr int power_of_two_from(int least) {
  return least <= 1 ? 1 : 2 * power_of_two_from((least + 1) / 2);
}

/// Reduces over each aligned run of `Lanes` threads of a block of `Threads`, where `mine` is the same for all
/// threads of a warp if a run has several. `Lanes` is a power of two or a number of whole warps; if it is no
/// power of two, the reduction must not depend on the order. All threads of the block must take part. A
/// kernel calls it once per `Number`, since the scratch memory of a number is not guarded for a second use.
template <int Lanes, int Threads, int Number = 0, class Reduction>
__device__ __forceinline__ Reduction reduce_warps(Reduction mine) {
  if constexpr (Lanes > 32) {
    constexpr int warps = Lanes / 32;
    __shared__ double scratch[(Threads / 32 * sizeof(Reduction) + 7) / 8];
    Reduction* partial = reinterpret_cast<Reduction*>(scratch);
    const int lane = threadIdx.x % 32;
    if (lane == 0) {
      partial[threadIdx.x / 32] = mine;
    }
    __syncthreads();
    constexpr int places = power_of_two_from(warps);
    if constexpr (places == warps) {
      mine = partial[(Lanes == Threads ? 0 : threadIdx.x / Lanes * warps) + lane % warps];
    } else {
      mine = Reduction{};
      if (lane % places < warps) {
        mine = partial[(Lanes == Threads ? 0 : threadIdx.x / Lanes * warps) + lane % places];
      }
    }
    mine = reduce_lanes<places>(mine);
  }
  return mine;
}

/// Reduces over each aligned run of `Lanes` threads of a block of `Threads`; see reduce_warps().
template <int Lanes, int Threads, int Number = 0, class Reduction>
__device__ __forceinline__ Reduction reduce_threads(Reduction mine) {
  return reduce_warps<Lanes, Threads, Number>(reduce_lanes<(Lanes < 32 ? Lanes : 32)>(mine));
}

/// `*address`, loaded by one thread for the whole block. All its threads must take part; a kernel may call it
/// once.
__device__ __forceinline__ float broadcast(const float* address) {
  __shared__ float value;
  if (threadIdx.x == 0) {
    value = *address;
  }
  __syncthreads();
  return value;
}

}  // namespace kerncast
