#pragma once

#include "device/index.cuh"
#include "device/over_lanes.cuh"
#include "device/programmatic_launch.cuh"
#include "device/quantisation/quantise.cuh"
#include "device/row_sum.cuh"
#include "device/vec.cuh"
#include "norm/relative_l1/kernel_args.h"

namespace kerncast::norm {

/// Sums of abs(a - b) and of abs(a).
struct DistanceSums {
  double distance = 0.0;
  double magnitude = 0.0;

  __device__ __forceinline__ void merge(const DistanceSums& other) {
    distance += other.distance;
    magnitude += other.magnitude;
  }
  __device__ __forceinline__ DistanceSums from_lane(int mask) const {
    return {exchange(distance, mask), exchange(magnitude, mask)};
  }
  template <int Lanes>
  __device__ __forceinline__ void over_lanes() {
    merge_lanes<Lanes>(*this);
  }
};

template <class Config>
inline constexpr int vector_width = Config::alignment / static_cast<int>(sizeof(typename Config::dtype));
/// Places of a chunk that a thread sums.
template <class Config>
inline constexpr int own_places = relative_l1_chunk / Config::threads;

template <class Config>
__device__ __forceinline__ long long total_chunks(const RelativeL1KernelArgs& args) {
  const long long vectors = args.rows * (Config::hidden / vector_width<Config>);
  return (vectors + relative_l1_chunk - 1) / relative_l1_chunk;
}

/// Sum of `Count` values, in the order of a tree.
template <int Count>
__device__ __forceinline__ float tree_sum(const float* values) {
  if constexpr (Count == 1) {
    return values[0];
  } else {
    return tree_sum<Count / 2>(values) + tree_sum<Count / 2>(values + Count / 2);
  }
}

/// Every element is multiplied by it, so that no sum of a vector overflows f32; the quotient of the sums does
/// not change. The elements of f32 reach to both ends of its range and have a factor for each vector.
template <class X>
inline constexpr float element_scale = 1.0f;
template <>
inline constexpr float element_scale<bf16> = 0x1p-5f;

/// A thread's vectors of a and b. Chunk c belongs to block c modulo the number of blocks, and place p of a
/// chunk to thread p modulo the number of threads.
template <class Config>
struct VectorPairs {
  using X = typename Config::dtype;
  using Vector = typename VectorType<Config::alignment>::type;
  static constexpr int width = vector_width<Config>;
  static constexpr int places = own_places<Config>;

  const RelativeL1KernelArgs& args;

  __device__ __forceinline__ static Vector load(const void* from, long long stride, long long vector) {
    constexpr int row_vectors = Config::hidden / width;
    const long long at =
        Config::contiguous ? vector * width : vector / row_vectors * stride + vector % row_vectors * width;
    return *reinterpret_cast<const Vector*>(static_cast<const X*>(from) + at);
  }

  /// Adds the sums over a vector of each tensor. A power of two that keeps them in the range of f32 comes
  /// before them. Every such power gives the same bits, since no element that counts becomes subnormal.
  __device__ __forceinline__ static void add(DistanceSums& sums, const Vector& a, const Vector& b) {
    float magnitudes[width];
    float distances[width];
    unpack<X>(a, magnitudes);
    unpack<X>(b, distances);
    float by = element_scale<X>;
    double back = 1.0;
    if constexpr (sizeof(X) == 4) {
      Max largest = largest_magnitude<width>(magnitudes);
      largest.merge(largest_magnitude<width>(distances));
      const bool large = largest.value > 0x1p100f;
      by = large ? 0x1p-5f : 1.0f;
      back = large ? 0x1p5 : 1.0;
    }
#pragma unroll
    for (int j = 0; j < width; ++j) {
      magnitudes[j] *= by;
      distances[j] = fabsf(fmaf(distances[j], -by, magnitudes[j]));
      magnitudes[j] = fabsf(magnitudes[j]);
    }
    sums.distance = fma(static_cast<double>(tree_sum<width>(distances)), back, sums.distance);
    sums.magnitude = fma(static_cast<double>(tree_sum<width>(magnitudes)), back, sums.magnitude);
  }

  /// Adds all vectors, those of a place in the order of the chunks. `Vectors` of each tensor are in flight
  /// together.
  template <int Vectors>
  __device__ __forceinline__ void add_all(DistanceSums* sums) const {
    constexpr int together = Vectors < places ? Vectors : places;
    constexpr int chunks = Vectors / together;
    const long long total = args.rows * (Config::hidden / width);
#pragma unroll 1
    for (long long chunk = blockIdx.x; chunk * relative_l1_chunk < total; chunk += chunks * gridDim.x) {
#pragma unroll
      for (int first = 0; first < places; first += together) {
        Vector a[Vectors];
        Vector b[Vectors];
#pragma unroll
        for (int i = 0; i < Vectors; ++i) {
          const long long vector = (chunk + i / together * gridDim.x) * relative_l1_chunk +
                                   (first + i % together) * Config::threads + threadIdx.x;
          a[i] = Vector{};
          b[i] = Vector{};
          if (vector < total) {
            a[i] = load(args.a, args.a_stride, vector);
            b[i] = load(args.b, args.b_stride, vector);
          }
        }
#pragma unroll
        for (int i = 0; i < Vectors; ++i) {
          add(sums[first + i % together], a[i], b[i]);
        }
      }
    }
  }
};

/// First of two: every block leaves its sums in the workspace.
template <class Config>
__global__ void __launch_bounds__(Config::threads) relative_l1_kernel(const RelativeL1KernelArgs args) {
  begin_kernel();
  using Pairs = VectorPairs<Config>;
  const Pairs pairs{args};
  DistanceSums sums[Pairs::places];
  pairs.template add_all<Config::vectors>(sums);
  using Order = WarpSum<Config::threads, relative_l1_chunk, true>;
  const DistanceSums total = reduce_warps<Config::threads, Config::threads>(
      Order::template of<DistanceSums>([&sums](int place) { return sums[place]; }));
  if (threadIdx.x == 0) {
    args.workspace[2 * blockIdx.x] = total.distance;
    args.workspace[2 * blockIdx.x + 1] = total.magnitude;
  }
}

/// The sum over a warp, of the distances in its lower half and of the magnitudes in its upper half.
__device__ __forceinline__ double half_warp_sum(const DistanceSums& sums) {
  const bool upper = (threadIdx.x & 16) != 0;
  double total = upper ? sums.magnitude : sums.distance;
  total += exchange(upper ? sums.distance : sums.magnitude, 16);
#pragma unroll
  for (int mask = 8; mask > 0; mask /= 2) {
    total += exchange(total, mask);
  }
  return total;
}

/// Second of two, by one block with a thread for each partial sum.
template <class Config>
__global__ void __launch_bounds__(relative_l1_partials)
    relative_l1_ratio_kernel(const RelativeL1KernelArgs args) {
  begin_kernel();
  const long long chunks = total_chunks<Config>(args);
  const int partials = static_cast<int>(chunks < relative_l1_partials ? chunks : relative_l1_partials);
  const int place = static_cast<int>(threadIdx.x);
  // A place beyond the last partial sum counts as zeros, which change no bit.
  const auto sums_at = [](const double* sums, int at, int count) -> DistanceSums {
    return at < count ? DistanceSums{sums[2 * at], sums[2 * at + 1]} : DistanceSums{};
  };
  __shared__ double totals[relative_l1_partials / 16];
  const double of_warp = half_warp_sum(sums_at(args.workspace, place, partials));
  if (place % 16 == 0) {
    totals[place / 16] = of_warp;
  }
  __syncthreads();
  if (place < 32) {
    const double of_block = half_warp_sum(sums_at(totals, place, (partials + 31) / 32));
    const double distance = broadcast(of_block, 0);
    const double magnitude = broadcast(of_block, 16);
    if (place == 0) {
      *args.d = distance == 0.0 ? 0.0f : static_cast<float>(distance / magnitude);
    }
  }
}

}  // namespace kerncast::norm
