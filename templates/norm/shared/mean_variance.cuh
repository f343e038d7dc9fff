#pragma once

#include "norm/shared/rms.cuh"

/// Mean and variance of a row in two passes, and an element under them.
namespace kerncast::norm {

/// The mean as the first pass gives it. The second pass takes deviations from it: they lose nothing that
/// counts, and their own mean is the error of the first pass.
template <int Count>
struct RoughMean {
  float value = 0.0f;

  /// Divides before it adds, so that finite elements never overflow.
  __device__ __forceinline__ void add(float x) { value = fmaf(x, 1.0f / Count, value); }
  __device__ __forceinline__ void merge(const RoughMean& other) { value += other.value; }
  __device__ __forceinline__ RoughMean from_lane(int mask) const { return {exchange(value, mask)}; }
};

/// Sums of the deviations from a rough mean and of their squares.
struct Deviations {
  float sum = 0.0f;
  float squares = 0.0f;

  __device__ __forceinline__ void add(float deviation) {
    sum += deviation;
    squares = fmaf(deviation, deviation, squares);
  }
  __device__ __forceinline__ void merge(const Deviations& other) {
    sum += other.sum;
    squares += other.squares;
  }
  __device__ __forceinline__ Deviations from_lane(int mask) const {
    return {exchange(sum, mask), exchange(squares, mask)};
  }
};

/// Mean and factor of a row. For results narrower than f32 the mean is that of the first pass, and its rest
/// the correction.
struct Centre {
  Pair mean;
  Pair scale;
};

/// sum / Count, exact if the type can represent the quotient.
template <int Count, class Real>
__device__ __forceinline__ Real divided(Real sum) {
  constexpr Real reciprocal = Real(1) / Count;
  const Real guess = sum * reciprocal;
  return guess + (sum - guess * Count) * reciprocal;
}

/// `walk` is the RowWalk of a row, values(part, out) its elements.
template <class Config, bool Precise, int Width, class Walk, class Values>
__device__ __forceinline__ Centre centre_of(const Walk& walk, const Values& values_of, float eps) {
  constexpr int count = Config::hidden;
  if constexpr (Precise) {
    const DoubleSum sum = walk.template reduce<DoubleSum>([&](DoubleSum& total, const auto& part, int, bool) {
      float values[Width];
      values_of(part, values);
#pragma unroll
      for (int j = 0; j < Width; ++j) {
        total.value += values[j];
      }
    });
    const double mean = divided<count>(sum.value);
    const DoubleSum squares =
        walk.template reduce<DoubleSum, 1>([&](DoubleSum& total, const auto& part, int, bool present) {
          float values[Width];
          values_of(part, values);
#pragma unroll
          for (int j = 0; j < Width; ++j) {
            const double deviation = values[j] - mean;
            total.value = present ? fma(deviation, deviation, total.value) : total.value;
          }
        });
    const float rounded = static_cast<float>(mean);
    return {{rounded, static_cast<float>(mean - rounded)}, inverse_rms<count>(squares, eps)};
  } else {
    using Mean = RoughMean<count>;
    const float sum = walk.template reduce<Mean>([&](Mean& total, const auto& part, int, bool) {
                            float values[Width];
                            values_of(part, values);
#pragma unroll
                            for (int j = 0; j < Width; ++j) {
                              total.add(values[j]);
                            }
                          })
                          .value;
    // Rounded to x's dtype, so that the deviations of x from it are exact.
    const float rough = rounded_to<typename Config::x_dtype>(sum);
    const Deviations deviations =
        walk.template reduce<Deviations, 1>([&](Deviations& total, const auto& part, int, bool present) {
          float values[Width];
          values_of(part, values);
#pragma unroll
          for (int j = 0; j < Width; ++j) {
            total.add(present ? values[j] - rough : 0.0f);
          }
        });
    // An infinite sum of squares makes every element 0, whatever the sum of the deviations is.
    const float missed =
        deviations.squares == __uint_as_float(0x7f800000u) ? 0.0f : divided<count>(deviations.sum);
    const float squares = fmaf(-missed, missed * count, deviations.squares);
    return {{rough, missed}, inverse_rms<count>(Sum{squares < 0.0f ? 0.0f : squares}, eps)};
  }
}

/// (x - mean) * scale * gain + shift.
template <bool Precise, bool HasGain, bool HasShift>
__device__ __forceinline__ float centred(float x, const Centre& centre, float gain, float shift) {
  if constexpr (!Precise) {
    const float y = (x - centre.mean.value - centre.mean.rest) * centre.scale.value;
    const float scaled = HasGain ? y * gain : y;
    return HasShift ? scaled + shift : scaled;
  } else {
    Pair y = exact_sum(x, -centre.mean.value);
    y.rest -= centre.mean.rest;
    const auto times = [&y](const Pair& factor) {
      const float product = y.value * factor.value;
      const float lost = fmaf(y.value, factor.value, -product);
      y = {product, fmaf(y.rest, factor.value, fmaf(y.value, factor.rest, lost))};
    };
    times(centre.scale);
    if constexpr (HasGain) {
      times({gain, 0.0f});
    }
    if constexpr (HasShift) {
      const float rest = y.rest;
      y = exact_sum(y.value, shift);
      y.rest += rest;
    }
    // The rest of an infinite result is NaN, and is ignored.
    return y.rest == y.rest ? y.value + y.rest : y.value;
  }
}

}  // namespace kerncast::norm
