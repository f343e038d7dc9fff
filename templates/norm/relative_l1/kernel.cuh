#pragma once

#include "device/index.cuh"
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

  /// Calls add(sums of the place, a, b) for all vectors, those of a place in the order of the chunks.
  /// `Vectors` of each tensor are in flight together.
  template <int Vectors, class Add>
  __device__ __forceinline__ void each(DistanceSums* sums, const Add& add) const {
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
  DistanceSums sums[Pairs::places];
  pairs.template each<Config::vectors>(
      sums, [](DistanceSums& sum, const auto& a, const auto& b) { sum.merge(Pairs::sums_of(a, b, 1.0f)); });
  bool all_finite = true;
#pragma unroll
  for (const DistanceSums& sum : sums) {
    all_finite = all_finite && finite(sum);
  }
  // A vector's sums overflow f32 in few tensors. A thread that has met one adds all of its vectors again, so
  // that what it gets for the others does not depend on the launch.
  if (!all_finite) {
#pragma unroll
    for (DistanceSums& sum : sums) {
      sum = {};
    }
    pairs.template each<1>(sums, [](DistanceSums& sum, const auto& a, const auto& b) {
      DistanceSums own = Pairs::sums_of(a, b, 1.0f);
      if (!finite(own)) {
        own = Pairs::sums_of(a, b, 0x1p-5f);
        own = {own.distance * 0x1p5, own.magnitude * 0x1p5};
      }
      sum.merge(own);
    });
  }
  using Order = WarpSum<Config::threads, relative_l1_chunk, true>;
  const DistanceSums total = reduce_warps<Config::threads, Config::threads>(
      Order::template of<DistanceSums>([&sums](int place) { return sums[place]; }));
  if (threadIdx.x == 0) {
    args.workspace[2 * blockIdx.x] = total.distance;
    args.workspace[2 * blockIdx.x + 1] = total.magnitude;
  }
}

/// Second of two, by one block.
template <class Config>
__global__ void __launch_bounds__(Config::threads) relative_l1_ratio_kernel(const RelativeL1KernelArgs args) {
  const long long chunks = total_chunks<Config>(args);
  const int partials = static_cast<int>(chunks < relative_l1_partials ? chunks : relative_l1_partials);
  using Order = WarpSum<Config::threads, relative_l1_partials, true>;
  const auto partial_of = [&args, partials](int i) -> DistanceSums {
    const int place = i * Config::threads + static_cast<int>(threadIdx.x);
    if (place >= partials) {
      return {};
    }
    const double2 partial = reinterpret_cast<const double2*>(args.workspace)[place];
    return {partial.x, partial.y};
  };
  DistanceSums total;
  // Most tensors leave most warps without a partial sum, and no thread with more than half of its places. The
  // sums of places that are left out are zeros, which change no bit.
  if (static_cast<int>(threadIdx.x & ~31u) < partials) {
    constexpr int few = relative_l1_partials / 2;
    if (partials <= few) {
      total = WarpSum<Config::threads, few, true>::template of<DistanceSums>(partial_of);
    } else {
      total = Order::template of<DistanceSums>(partial_of);
    }
  }
  total = reduce_warps<Config::threads, Config::threads, 1>(total);
  if (threadIdx.x == 0) {
    *args.d = total.distance == 0.0 ? 0.0f : static_cast<float>(total.distance / total.magnitude);
  }
}

}  // namespace kerncast::norm
