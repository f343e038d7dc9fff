#pragma once

#include "device/index.cuh"
#include "device/reduce.cuh"
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
};

template <class Config>
inline constexpr int vector_width = Config::alignment / static_cast<int>(sizeof(typename Config::dtype));
/// Vectors that a block takes at once.
template <class Config>
inline constexpr int block_vectors = Config::threads * Config::vectors;

template <class Config>
__device__ __forceinline__ long long total_vectors(const RelativeL1KernelArgs& args) {
  return args.rows * (Config::hidden / vector_width<Config>);
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

/// A thread's vectors of a and b, which are those of its block's turns.
template <class Config>
struct VectorPairs {
  using X = typename Config::dtype;
  using Vector = typename VectorType<Config::alignment>::type;
  static constexpr int width = vector_width<Config>;

  const RelativeL1KernelArgs& args;

  __device__ __forceinline__ static Vector load(const void* from, long long stride, long long vector) {
    constexpr int row_vectors = Config::hidden / width;
    const long long at =
        Config::contiguous ? vector * width : vector / row_vectors * stride + vector % row_vectors * width;
    return *reinterpret_cast<const Vector*>(static_cast<const X*>(from) + at);
  }

  /// The sums over a vector of each tensor, of elements times `by`.
  __device__ __forceinline__ static DistanceSums sums_of(const Vector& a, const Vector& b, float by) {
    float magnitudes[width];
    float distances[width];
    unpack<X>(a, magnitudes);
    unpack<X>(b, distances);
#pragma unroll
    for (int j = 0; j < width; ++j) {
      magnitudes[j] *= by;
      distances[j] = fabsf(magnitudes[j] - distances[j] * by);
      magnitudes[j] = fabsf(magnitudes[j]);
    }
    return {tree_sum<width>(distances), tree_sum<width>(magnitudes)};
  }

  /// Calls visit(a, b) for `Vectors` vectors at a time, whose loads are in flight together.
  template <int Vectors, class Visit>
  __device__ __forceinline__ void each(const Visit& visit) const {
    const long long total = total_vectors<Config>(args);
#pragma unroll 1
    for (long long base = static_cast<long long>(blockIdx.x) * block_vectors<Config>; base < total;
         base += static_cast<long long>(gridDim.x) * block_vectors<Config>) {
#pragma unroll 1
      for (int first = 0; first < Config::vectors; first += Vectors) {
        Vector a[Vectors];
        Vector b[Vectors];
#pragma unroll
        for (int i = 0; i < Vectors; ++i) {
          const long long vector = base + (first + i) * Config::threads + threadIdx.x;
          a[i] = Vector{};
          b[i] = Vector{};
          if (vector < total) {
            a[i] = load(args.a, args.a_stride, vector);
            b[i] = load(args.b, args.b_stride, vector);
          }
        }
#pragma unroll
        for (int i = 0; i < Vectors; ++i) {
          visit(a[i], b[i]);
        }
      }
    }
  }
};

/// False if a sum is infinite or NaN.
__device__ __forceinline__ bool finite(const DistanceSums& sums) {
  // Neither sum is negative. Integers spare the units for double, which are few.
  const auto high = [](double sum) { return static_cast<unsigned>(__double2hiint(sum)); };
  return max(high(sums.distance), high(sums.magnitude)) < 0x7ff00000u;
}

/// First of two: every block leaves its sums in the workspace.
template <class Config>
__global__ void __launch_bounds__(Config::threads) relative_l1_kernel(const RelativeL1KernelArgs args) {
  using Pairs = VectorPairs<Config>;
  const Pairs pairs{args};
  DistanceSums sums;
  pairs.template each<Config::vectors>(
      [&](const auto& a, const auto& b) { sums.merge(Pairs::sums_of(a, b, 1.0f)); });
  // A vector's sums overflow f32 in few tensors. A thread that has met one adds all of its vectors again, so
  // that what it gets for the others does not depend on the launch.
  if (!finite(sums)) {
    sums = {};
    pairs.template each<1>([&](const auto& a, const auto& b) {
      DistanceSums own = Pairs::sums_of(a, b, 1.0f);
      if (!finite(own)) {
        own = Pairs::sums_of(a, b, 0x1p-5f);
        own = {own.distance * 0x1p5, own.magnitude * 0x1p5};
      }
      sums.merge(own);
    });
  }
  sums = reduce_threads<Config::threads, Config::threads>(sums);
  if (threadIdx.x == 0) {
    args.workspace[2 * blockIdx.x] = sums.distance;
    args.workspace[2 * blockIdx.x + 1] = sums.magnitude;
  }
}

/// Second of two, by one block.
template <class Config>
__global__ void __launch_bounds__(Config::threads) relative_l1_ratio_kernel(const RelativeL1KernelArgs args) {
  const long long blocks = (total_vectors<Config>(args) + block_vectors<Config> - 1) / block_vectors<Config>;
  const int partials = static_cast<int>(blocks < relative_l1_partials ? blocks : relative_l1_partials);
  DistanceSums sums;
#pragma unroll 1
  for (int i = threadIdx.x; i < partials; i += Config::threads) {
    const double2 partial = reinterpret_cast<const double2*>(args.workspace)[i];
    sums.merge({partial.x, partial.y});
  }
  sums = reduce_threads<Config::threads, Config::threads, 1>(sums);
  if (threadIdx.x == 0) {
    *args.d = sums.distance == 0.0 ? 0.0f : static_cast<float>(sums.distance / sums.magnitude);
  }
}

}  // namespace kerncast::norm
