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

/// reduce_values() of row_sum.cuh for both sums together: each half of the lanes carries one of them.
template <int Count, int Lanes>
__device__ __forceinline__ Deviations reduce_values(Deviations* values) {
  Sum halves[Count];
  if constexpr (Lanes == 1) {
    Sum sums[Count];
#pragma unroll
    for (int i = 0; i < Count; ++i) {
      sums[i].value = values[i].sum;
      halves[i].value = values[i].squares;
    }
    return {kerncast::reduce_values<Count, 1>(sums).value, kerncast::reduce_values<Count, 1>(halves).value};
  } else {
    constexpr int mask = Lanes / 2;
    const bool upper = (threadIdx.x & mask) != 0;
#pragma unroll
    for (int i = 0; i < Count; ++i) {
      const float given = upper ? values[i].sum : values[i].squares;
      halves[i].value = (upper ? values[i].squares : values[i].sum) + exchange(given, mask);
    }
    const float mine = kerncast::reduce_values<Count, mask>(halves).value;
    const float other = exchange(mine, mask);
    return upper ? Deviations{other, mine} : Deviations{mine, other};
  }
}

/// Mean and factor of a row. For results narrower than f32 the mean is that of the first pass, and its rest
/// the correction.
struct Centre {
  Pair mean;
  Pair scale;
  float before = 1.0f;  ///< a second factor for results in f32, a power of two
};

/// sum / Count, exact if the type can represent the quotient.
template <int Count, class Real>
__device__ __forceinline__ Real divided(Real sum) {
  constexpr Real reciprocal = Real(1) / Count;
  const Real guess = sum * reciprocal;
  return guess + (sum - guess * Count) * reciprocal;
}

/// True if the row has element j of a span of `Width`, of which it has `present`: all or none if the width is
/// a whole number of spans.
template <int Count, int Width>
__device__ __forceinline__ bool is_present(int j, int present) {
  return Count % Width == 0 ? present != 0 : j < present;
}

/// Mean and factor of the row that `walk` walks; values_of(part, out) gives the elements of a part. All
/// threads of the block must take part.
template <class Config, bool Precise, class Walk, class Values>
__device__ __forceinline__ Centre centre_of(const Walk& walk, const Values& values_of, float eps) {
  constexpr int count = Config::hidden;
  constexpr int width = Walk::span;
  if constexpr (Precise) {
    const DoubleSum sum = walk.template sum<DoubleSum>(values_of, [](const float* values, int) {
      DoubleSum total;
#pragma unroll
      for (int j = 0; j < width; ++j) {
        total.value += values[j];
      }
      return total;
    });
    const double mean = divided<count>(sum.value);
    const DoubleSum squares =
        walk.template sum<DoubleSum, 1>(values_of, [mean](const float* values, int present) {
          DoubleSum total;
#pragma unroll
          for (int j = 0; j < width; ++j) {
            const double deviation = values[j] - mean;
            total.value =
                is_present<count, width>(j, present) ? fma(deviation, deviation, total.value) : total.value;
          }
          return total;
        });
    const float rounded = static_cast<float>(mean);
    const WideRoot wide = wide_inverse_rms<count>(squares, eps);
    return {{rounded, static_cast<float>(mean - rounded)}, wide.root, wide.before};
  } else {
    using Mean = RoughMean<count>;
    const float sum = walk.template sum<Mean>(values_of,
                                              [](const float* values, int) {
                                                Mean total;
#pragma unroll
                                                for (int j = 0; j < width; ++j) {
                                                  total.add(values[j]);
                                                }
                                                return total;
                                              })
                          .value;
    // Rounded to x's dtype, so that the deviations of x from it are exact.
    const float rough = rounded_to<typename Config::x_dtype>(sum);
    float missed = 0.0f;
    float root = 0.0f;
    const float before = range_of<Walk>([&](float by) {
      const Deviations deviations =
          walk.template sum<Deviations, 1>(values_of, [rough, by](const float* values, int present) {
            Deviations total;
#pragma unroll
            for (int j = 0; j < width; ++j) {
              total.add(is_present<count, width>(j, present) ? (values[j] - rough) * by : 0.0f);
            }
            return total;
          });
      missed = divided<count>(deviations.sum);
      const float squares = fmaf(-missed, missed * count, deviations.squares);
      const float total = fmaf(squares < 0.0f ? 0.0f : squares, 1.0f / count, eps * by * by);
      root = rsqrtf(total);
      return total;
    });
    return {{rough, missed * (1.0f / before)}, {scaled_by(root, before), 0.0f}};
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
    times({centre.before, 0.0f});
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
