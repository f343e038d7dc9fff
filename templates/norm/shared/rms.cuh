#pragma once

#include "device/convert.cuh"
#include "device/pair.cuh"
#include "device/reduce.cuh"
#include "device/row.cuh"
#include "device/vec.cuh"

/// Root-mean-square normalisation: the factor of a row, and an element under it.
namespace kerncast::norm {

/// The sum of squares: in double if results in f32 must be right to the last place.
template <bool Precise>
using Squares = typename Choose<Precise, DoubleSum, Sum>::type;

template <int Width, class Total>
__device__ __forceinline__ void add_squares(Total& total, const float* values) {
#pragma unroll
  for (int j = 0; j < Width; ++j) {
    total.add_square(values[j]);
  }
}

/// rsqrt(mean + eps); the rest is 0 if single precision is enough. The least normal float replaces a smaller
/// total, so that zeros stay zeros under eps = 0. NaN stays NaN.
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

/// x * scale * (weight + offset). `rest` is the error of rounding in x. The error of each product goes into
/// the next one, so that only the last fmaf() rounds.
template <class Config, bool Precise, bool HasRest = false>
__device__ __forceinline__ float normalise(float x, const Pair& scale, float weight, float offset,
                                           float rest = 0.0f) {
  if constexpr (!Precise) {
    float y = x * scale.value;
    if constexpr (Config::hf_rounding) {
      y = rounded_to<typename Config::x_dtype>(y);
    }
    return Config::has_weight ? y * (weight + offset) : y;
  } else {
    const float lost = HasRest ? fmaf(rest, scale.value, x * scale.rest) : x * scale.rest;
    if constexpr (Config::hf_rounding || !Config::has_weight) {
      float y = fmaf(x, scale.value, lost);
      if constexpr (Config::hf_rounding) {
        y = rounded_to<typename Config::x_dtype>(y);
      }
      if constexpr (Config::has_weight) {
        const Pair gain = exact_sum(weight, offset);
        return fmaf(y, gain.value, y * gain.rest);
      }
      return y;
    } else {
      const float y = x * scale.value;
      const float y_rest = fmaf(x, scale.value, -y) + lost;
      const Pair gain = exact_sum(weight, offset);
      return fmaf(y, gain.value, fmaf(y_rest, gain.value, y * gain.rest));
    }
  }
}

/// Normalises `Width` elements of a row. `rests` are the errors of rounding in them.
template <class Config, int Width, bool Precise, bool HasRests = false>
__device__ __forceinline__ void normalise_values(float* values, const float* rests,
                                                 const typename Config::weight_dtype* weight,
                                                 const Pair& scale, float offset) {
  float gains[Width];
  if constexpr (Config::has_weight) {
    load_values<typename Config::weight_dtype, Width>(weight, gains);
  }
#pragma unroll
  for (int j = 0; j < Width; ++j) {
    values[j] = normalise<Config, Precise, HasRests>(values[j], scale, Config::has_weight ? gains[j] : 1.0f,
                                                     offset, HasRests ? rests[j] : 0.0f);
  }
}

/// Normalises the row of args.x that this thread takes part in into args.y. `finish(values, scale, column)`
/// turns the elements of each vector into those of y; scale is rsqrt(sum(x^2) / Count + eps).
template <class Config, int Count, class Args, class Finish>
__device__ __forceinline__ void normalise_row(const Args& args, const Finish& finish) {
  using X = typename Config::x_dtype;
  using Y = typename Config::y_dtype;
  using Row = RowVectors<X, Config::alignment>;
  using Total = Squares<sizeof(Y) == 4>;

  const long long row = row_of_thread<Config>();
  const X* x = static_cast<const X*>(args.x) + row * args.x_stride;
  Y* y = static_cast<Y*>(args.y) + row * args.y_stride;

  const RowWalk<Config, Row> walk(Row{x}, row < args.rows);
  const Total squares = walk.template reduce<Total>([](Total& total, const auto& part, int, bool) {
    float values[Row::width];
    unpack<X>(part, values);
    add_squares<Row::width>(total, values);
  });
  const Pair scale = inverse_rms<Count>(squares, args.eps);
  walk.template each<1>([&](const auto& part, int column, bool present) {
    if (present) {
      float values[Row::width];
      unpack<X>(part, values);
      finish(values, scale, column);
      store_values<Y, Row::width>(y + column, values);
    }
  });
}

}  // namespace kerncast::norm
