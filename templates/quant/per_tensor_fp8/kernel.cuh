#pragma once

#include "device/group_grid.cuh"
#include "device/programmatic_launch.cuh"
#include "device/quantisation/quantise.cuh"
#include "quant/per_tensor_fp8/kernel_args.h"

namespace kerncast::quant {

template <class Config>
struct PerTensorShape {
  static constexpr int width = Config::alignment / static_cast<int>(sizeof(typename Config::x_dtype));
  using Grid = GroupGrid<Config::hidden / width, Config::threads, Config::vectors>;
};

template <class Config>
__device__ __forceinline__ const typename Config::x_dtype* x_at(const PerTensorFp8KernelArgs& args,
                                                                const GroupPlace& place) {
  return static_cast<const typename Config::x_dtype*>(args.x) + place.row * args.x_stride +
         place.group * PerTensorShape<Config>::width;
}

/// The vectors that a thread loads of a tile. They stay packed, which takes fewer registers than floats while
/// the loads are in flight.
template <class Config>
struct Tile {
  using X = typename Config::x_dtype;
  using Vector = typename VectorType<Config::alignment>::type;

  GroupPlace places[Config::vectors];
  Vector loaded[Config::vectors];

  /// Reads the last row again in place of rows past it: a branch per load would cost more than it saves.
  __device__ __forceinline__ Tile(const PerTensorFp8KernelArgs& args, unsigned tile) {
#pragma unroll
    for (int i = 0; i < Config::vectors; ++i) {
      places[i] = PerTensorShape<Config>::Grid::place_of(tile, threadIdx.x, i);
      GroupPlace from = places[i];
      from.row = min(from.row, args.rows - 1);
      loaded[i] = __ldca(reinterpret_cast<const Vector*>(x_at<Config>(args, from)));
    }
  }
};

/// First stage of dynamic quantisation: `partials` blocks take tiles in turn, and each writes the largest
/// magnitude that it found.
template <class Config>
__global__ void __launch_bounds__(Config::threads) per_tensor_amax_kernel(const PerTensorFp8KernelArgs args) {
  begin_kernel();
  if constexpr (Config::dynamic) {
    using Grid = typename PerTensorShape<Config>::Grid;
    constexpr int width = PerTensorShape<Config>::width;
    Max amax;
#pragma unroll 1
    for (unsigned tile = blockIdx.x; Grid::place_of(tile, 0, 0).row < args.rows; tile += Config::partials) {
      const Tile<Config> own(args, tile);
#pragma unroll
      for (int i = 0; i < Config::vectors; ++i) {
        float values[width];
        unpack<typename Config::x_dtype>(own.loaded[i], values);
        amax.merge(largest_magnitude<width>(values));
      }
    }
    amax = reduce_threads<Config::threads, Config::threads>(amax);
    if (threadIdx.x == 0) {
      args.partial[blockIdx.x] = amax.value;
    }
  }
}

/// The largest magnitude that any block of the first stage found.
template <class Config>
__device__ __forceinline__ Max largest_partial(const float* partial) {
  Max amax;
#pragma unroll
  for (int i = 0; i < Config::partials; i += Config::threads) {
    if (Config::partials % Config::threads == 0 || i + threadIdx.x < Config::partials) {
      amax.add(partial[i + threadIdx.x]);
    }
  }
  return reduce_threads<Config::threads, Config::threads>(amax);
}

/// Quantises with the given scale or with that of the first stage. Blocks take tiles in turn.
template <class Config>
__global__ void __launch_bounds__(Config::threads) per_tensor_fp8_kernel(const PerTensorFp8KernelArgs args) {
  begin_kernel();
  using Q = typename Config::q_dtype;
  using Grid = typename PerTensorShape<Config>::Grid;
  constexpr int width = PerTensorShape<Config>::width;
  float factor = 0.0f;
  float lift = 1.0f;
  if (Config::dynamic && args.rows == 0 && blockIdx.x == 0 && threadIdx.x == 0) {
    *args.s = __uint_as_float(scale_of<ScaleFormat::f32>(0.0f, max_of<Q>).bits);
  }
#pragma unroll 1
  for (unsigned tile = blockIdx.x; Grid::place_of(tile, 0, 0).row < args.rows; tile += gridDim.x) {
    const Tile<Config> own(args, tile);
    // Compute the scale while the loads of the first tile are in flight.
    if (tile == blockIdx.x) {
      if constexpr (Config::dynamic) {
        const Scale scale =
            scale_of<ScaleFormat::f32>(largest_partial<Config>(args.partial).value, max_of<Q>);
        factor = scale.factor;
        if (tile == 0 && threadIdx.x == 0) {
          *args.s = __uint_as_float(scale.bits);
        }
      } else {
        const StaticScale given = static_scale(broadcast(args.scale));
        lift = given.lift;
        factor = 1.0f / given.divisor;
      }
    }
#pragma unroll
    for (int i = 0; i < Config::vectors; ++i) {
      const GroupPlace place = own.places[i];
      if (place.row < args.rows) {
        float values[width];
        unpack<typename Config::x_dtype>(own.loaded[i], values);
        if constexpr (!Config::dynamic) {
          lift_values<width>(values, lift);
        }
        store_quantised<Q, width, width>(
            static_cast<Q*>(args.q) + place.row * args.q_stride + place.group * width, values, factor);
      }
    }
  }
}

}  // namespace kerncast::quant
