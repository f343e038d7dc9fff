#pragma once

#include "device/convert.cuh"
#include "device/index.cuh"
#include "device/pair.cuh"
#include "device/reduce.cuh"
#include "device/vec.cuh"
#include "norm/rms_norm_args.h"

namespace kerncast::norm {

/// rsqrt(mean + eps); the rest is 0 where single precision is enough. The least normal float stands in for a
/// smaller total, so that zeros stay zeros under eps = 0. NaN passes.
template <int Count>
__device__ __forceinline__ Pair inverse_rms(const Sum& squares, float eps) {
  const float total = fmaf(squares.value, 1.0f / Count, eps);
  return {rsqrtf(total < 1.17549435e-38f ? 1.17549435e-38f : total), 0.0f};
}

template <int Count>
__device__ __forceinline__ Pair inverse_rms(const DoubleSum& squares, float eps) {
  const double exact = fma(squares.value, 1.0 / Count, static_cast<double>(eps));
  const double total = exact < 0x1p-126 ? 0x1p-126 : exact;
  const float guess = rsqrtf(static_cast<float>(total));
  // One Newton step, but not from the 0 that a total past the floats gives.
  const double error = 0.5 - 0.5 * total * guess * guess;
  return {guess, fabs(error) < 1e-5 ? guess * static_cast<float>(error) : 0.0f};
}

/// x * scale * (weight + offset). What a product loses goes into the next: the last fmaf() alone rounds.
template <class Config, bool Precise>
__device__ __forceinline__ float normalise(float x, const Pair& scale, float weight, float offset) {
  if constexpr (Config::hf_rounding || !Config::has_weight) {
    float y = Precise ? fmaf(x, scale.value, x * scale.rest) : x * scale.value;
    if constexpr (Config::hf_rounding) {
      y = rounded_to<typename Config::x_dtype>(y);
    }
    if constexpr (Config::has_weight && Precise) {
      const Pair gain = exact_sum(weight, offset);
      return fmaf(y, gain.value, y * gain.rest);
    }
    return Config::has_weight ? y * (weight + offset) : y;
  } else if constexpr (!Precise) {
    return x * scale.value * (weight + offset);
  } else {
    const float y = x * scale.value;
    const float y_rest = fmaf(x, scale.rest, fmaf(x, scale.value, -y));
    const Pair gain = exact_sum(weight, offset);
    return fmaf(y, gain.value, fmaf(y_rest, gain.value, y * gain.rest));
  }
}

template <class X, int Width, class Squares, class Vector>
__device__ __forceinline__ void add_squares(Squares& squares, const Vector& vector) {
  float values[Width];
  unpack<X>(vector, values);
#pragma unroll
  for (int j = 0; j < Width; ++j) {
    squares.add_square(values[j]);
  }
}

/// Normalises and stores one vector of a row.
template <class Config, int Width, class Vector>
__device__ __forceinline__ void finish(const Vector& vector, const typename Config::weight_dtype* weight,
                                       typename Config::y_dtype* y, const Pair& scale, float offset) {
  constexpr bool precise = sizeof(*y) == 4;
  float values[Width];
  float gains[Width];
  unpack<typename Config::x_dtype>(vector, values);
  if constexpr (Config::has_weight) {
    load_values<typename Config::weight_dtype, Width>(weight, gains);
  }
#pragma unroll
  for (int j = 0; j < Width; ++j) {
    values[j] = normalise<Config, precise>(values[j], scale, Config::has_weight ? gains[j] : 1.0f, offset);
  }
  store_values<typename Config::y_dtype, Width>(y, values);
}

/// One row by threads / rows_per_block threads. The row stays in registers between its two uses where it
/// fits; else it is read again, by the thread that then writes it, so that y may be x.
template <class Config>
__global__ void __launch_bounds__(Config::threads) rms_norm_kernel(const RmsNormKernelArgs args) {
  using X = typename Config::x_dtype;
  using W = typename Config::weight_dtype;
  using Y = typename Config::y_dtype;
  constexpr bool precise = sizeof(Y) == 4;
  using Vector = typename Packed<Config::alignment>::type;
  constexpr int width = Config::alignment / static_cast<int>(sizeof(X));
  constexpr int vectors = Config::hidden / width;
  constexpr int lanes = Config::threads / Config::rows_per_block;
  constexpr int per_lane = (vectors + lanes - 1) / lanes;
  constexpr int held_words = per_lane * (Config::alignment < 4 ? 1 : Config::alignment / 4);
  constexpr bool held = held_words <= 16;
  static_assert(width >= 1 && Config::hidden % width == 0, "a row is a whole number of vectors");

  const int lane = threadIdx.x % lanes;
  const long long row = linear_block() * Config::rows_per_block + threadIdx.x / lanes;
  const bool active = row < args.rows;
  const X* x = static_cast<const X*>(args.x) + row * args.x_stride;
  Y* y = static_cast<Y*>(args.y) + row * args.y_stride;
  const W* weight = static_cast<const W*>(args.weight);

  using Squares = typename Choose<precise, DoubleSum, Sum>::type;
  Squares squares;
  if constexpr (held) {
    Vector row_part[per_lane];
#pragma unroll
    for (int i = 0; i < per_lane; ++i) {
      const int vector = lane + i * lanes;
      row_part[i] = Vector{};
      if (active && vector < vectors) {
        row_part[i] = *reinterpret_cast<const Vector*>(x + vector * width);
      }
    }
#pragma unroll
    for (int i = 0; i < per_lane; ++i) {
      add_squares<X, width>(squares, row_part[i]);
    }
    squares = reduce_threads<lanes, Config::threads>(squares);
    const Pair scale = inverse_rms<Config::hidden>(squares, args.eps);
#pragma unroll
    for (int i = 0; i < per_lane; ++i) {
      const int vector = lane + i * lanes;
      if (active && vector < vectors) {
        finish<Config, width>(row_part[i], weight + vector * width, y + vector * width, scale,
                              args.weight_offset);
      }
    }
  } else {
    const int last = active ? vectors : 0;
#pragma unroll(width < 8 ? 2 : 1)
    for (int vector = lane; vector < last; vector += lanes) {
      add_squares<X, width>(squares, *reinterpret_cast<const Vector*>(x + vector * width));
    }
    squares = reduce_threads<lanes, Config::threads>(squares);
    const Pair scale = inverse_rms<Config::hidden>(squares, args.eps);
#pragma unroll 1
    for (int vector = lane; vector < last; vector += lanes) {
      finish<Config, width>(*reinterpret_cast<const Vector*>(x + vector * width), weight + vector * width,
                            y + vector * width, scale, args.weight_offset);
    }
  }
}

}  // namespace kerncast::norm
