#pragma once

#include "device/convert.cuh"
#include "device/index.cuh"
#include "device/pair.cuh"
#include "device/reduce.cuh"
#include "device/vec.cuh"
#include "norm/rms_norm_args.h"

namespace kerncast::norm {

/// The least normal float stands in for a smaller mean, so that zeros stay zeros under eps = 0. NaN passes.
__device__ __forceinline__ float at_least_normal(float mean) { return mean < 1.17549435e-38f ? 1.17549435e-38f : mean; }

/// rsqrt(mean + eps); the rest is 0 where single precision is enough.
template <int Count>
__device__ __forceinline__ Pair inverse_rms(const Sum& squares, float eps) {
  return {rsqrtf(at_least_normal(fmaf(squares.value, 1.0f / Count, eps))), 0.0f};
}

template <int Count>
__device__ __forceinline__ Pair inverse_rms(const PairSum& squares, float eps) {
  const Pair sum_of_squares = squares.pair;
  const float mean = sum_of_squares.value / Count;
  const float mean_rest = (fmaf(-mean, static_cast<float>(Count), sum_of_squares.value) + sum_of_squares.rest) / Count;
  const Pair total = exact_sum(mean, eps);
  const float value = at_least_normal(total.value);
  const float guess = rsqrtf(value);
  if (!(value < __uint_as_float(0x7f800000u)) || value != total.value) {
    return {guess, 0.0f};
  }
  // One Newton step for the rest: guess * (1 - total * guess^2) / 2.
  const float product = value * guess;
  float error = fmaf(-product, guess, 1.0f);
  error = fmaf(-fmaf(value, guess, -product), guess, error);
  error = fmaf(-(total.rest + mean_rest) * guess, guess, error);
  const float rest = 0.5f * guess * error;
  const float sum = guess + rest;
  return {sum, rest - (sum - guess)};
}

template <class Config, bool Precise>
__device__ __forceinline__ float normalise(float x, const Pair& scale, float weight, float offset) {
  if constexpr (!Precise) {
    float y = x * scale.value;
    if constexpr (Config::hf_rounding) {
      y = rounded_to<typename Config::x_dtype>(y);
    }
    return Config::has_weight ? y * (weight + offset) : y;
  } else {
    float y = x * scale.value;
    float y_rest = fmaf(x, scale.value, -y) + x * scale.rest;
    if constexpr (Config::hf_rounding || !Config::has_weight) {
      y = multiply_add_exact(x, scale.value, x * scale.rest);
      y_rest = 0.0f;
    }
    if constexpr (Config::hf_rounding) {
      y = rounded_to<typename Config::x_dtype>(y);
    }
    if constexpr (Config::has_weight) {
      const Pair gain = exact_sum(weight, offset);
      y = multiply_add_exact(y, gain.value, fmaf(y_rest, gain.value, y * gain.rest));
    }
    return y;
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

/// One row by threads / rows_per_block threads. The row stays in registers between its two uses where it fits;
/// else it is read again, by the thread that then writes it, so that y may be x.
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
  constexpr bool held = held_words <= (Config::threads > 512 ? 32 : 64);
  static_assert(width >= 1 && Config::hidden % width == 0, "a row is a whole number of vectors");

  const int lane = threadIdx.x % lanes;
  const long long row = linear_block() * Config::rows_per_block + threadIdx.x / lanes;
  const bool active = row < args.rows;
  const X* x = static_cast<const X*>(args.x) + row * args.x_stride;
  Y* y = static_cast<Y*>(args.y) + row * args.y_stride;
  const W* weight = static_cast<const W*>(args.weight);

  using Squares = typename Choose<precise, PairSum, Sum>::type;
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
        finish<Config, width>(row_part[i], weight + vector * width, y + vector * width, scale, args.weight_offset);
      }
    }
  } else {
    const int last = active ? vectors : 0;
#pragma unroll 4
    for (int vector = lane; vector < last; vector += lanes) {
      add_squares<X, width>(squares, *reinterpret_cast<const Vector*>(x + vector * width));
    }
    squares = reduce_threads<lanes, Config::threads>(squares);
    const Pair scale = inverse_rms<Config::hidden>(squares, args.eps);
#pragma unroll 2
    for (int vector = lane; vector < last; vector += lanes) {
      finish<Config, width>(*reinterpret_cast<const Vector*>(x + vector * width), weight + vector * width,
                            y + vector * width, scale, args.weight_offset);
    }
  }
}

}  // namespace kerncast::norm
