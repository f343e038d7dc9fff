#pragma once

#include "device/over_lanes.cuh"
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
  template <int Lanes>
  __device__ __forceinline__ void over_lanes() {
    KERNCAST_OVER_LANES(".reg .f32 o;\n  ", KERNCAST_ADD, "+f"(value))
  }
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
  template <int Lanes>
  __device__ __forceinline__ void over_lanes() {
    // One block of PTX would take more registers.
    merge_lanes<Lanes>(*this);
  }
};

}  // namespace kerncast::norm

namespace kerncast {

template <int Count>
inline constexpr int floats_of<norm::RoughMean<Count>> = 1;
template <>
inline constexpr int floats_of<norm::Deviations> = 2;

}  // namespace kerncast

namespace kerncast::norm {

/// Mean and factor of a row. Times `before`, a power of two, the factor is that of results in f32.
template <bool Precise>
struct Centre {
  Pair mean;
  Pair scale;
  float before = 1.0f;
};

/// Element x is (x * before + offset) * scale + rest; `before` is a power of two. The offset takes a mean in
/// x's dtype, so that the deviation from it is exact, and the rest takes what that mean misses.
template <>
struct Centre<false> {
  float before = 1.0f;
  float offset = 0.0f;
  float scale = 0.0f;
  float rest = 0.0f;
};

/// sum / Count, exact if the type can represent the quotient.
template <int Count, class Real>
__device__ __forceinline__ Real divided(Real sum) {
  constexpr Real reciprocal = Real(1) / Count;
  const Real guess = sum * reciprocal;
  return guess + (sum - guess * Count) * reciprocal;
}

/// The deviations of a span from the mean of `centre`. The row has `present` elements of it: all or none if a
/// row is a whole number of spans.
template <int Count, int Width>
__device__ __forceinline__ Deviations deviations_of(const Centre<false>& centre, const float* values,
                                                    int present) {
  constexpr bool whole = Count % Width == 0;
  const bool absent = whole && present == 0;
  const float before = absent ? 0.0f : centre.before;
  const float offset = absent ? 0.0f : centre.offset;
  Deviations total;
#pragma unroll
  for (int j = 0; j < Width; ++j) {
    total.add(whole || j < present ? fmaf(values[j], before, offset) : 0.0f);
  }
  return total;
}

/// Mean and factor for results narrower than f32. A first pass takes the mean, and a second one deviations
/// from it: they lose nothing that counts, and their own mean is the error of the first pass. Rows whose
/// squares f32 cannot hold take a third pass.
template <class Config, class Walk>
__device__ __forceinline__ Centre<false> rounded_centre_of(const Walk& walk, float eps) {
  constexpr int count = Config::hidden;
  const auto mean_of = [](const float* values, int) {
    RoughMean<count> total;
#pragma unroll
    for (int j = 0; j < Walk::span; ++j) {
      total.add(values[j]);
    }
    return total;
  };
  const float rough =
      rounded_to<typename Config::x_dtype>(walk.template sum<RoughMean<count>>(mean_of).value);
  Centre<false> centre;
  float missed = 0.0f;
  float variance = 0.0f;
  TotalRange range;
#pragma unroll 1
  for (;; range.take_all()) {
    centre.offset = -rough * centre.before;
    const Deviations total = walk.template sum<Deviations, 1>([&centre](const float* values, int present) {
      return deviations_of<count, Walk::span>(centre, values, present);
    });
    missed = divided<count>(total.sum);
    const float squares = fmaf(-missed, missed * count, total.squares);
    variance = fmaf(at_least(squares, 0.0f), 1.0f / count, eps * centre.before * centre.before);
    const bool again = range.misses(variance);
    if (!Walk::any(again)) {
      break;
    }
    // Elements near a large mean deviate by nothing or by more than vanishes.
    const float larger = fabsf(centre.offset) < 0x1p-20f ? 0x1p70f : 1.0f;
    centre.before = !again ? centre.before : variance < 1.0f ? larger : 0x1p-74f;
    Walk::settle();
  }
  // A root mean square below 2^-126 counts as that, so that zeros stay zeros under eps = 0.
  centre.scale = rsqrtf(at_least(variance, 0x1p-112f));
  centre.rest = -missed * centre.scale;
  return centre;
}

/// Mean and factor for results in f32.
template <class Config, class Walk>
__device__ __forceinline__ Centre<true> exact_centre_of(const Walk& walk, float eps) {
  constexpr int count = Config::hidden;
  constexpr int width = Walk::span;
  const DoubleSum sum = walk.template sum<DoubleSum>([](const float* values, int) {
    DoubleSum total;
#pragma unroll
    for (int j = 0; j < width; ++j) {
      total.value += values[j];
    }
    return total;
  });
  const double mean = divided<count>(sum.value);
  const DoubleSum squares = walk.template sum<DoubleSum, 1>([mean](const float* values, int present) {
    DoubleSum total;
#pragma unroll
    for (int j = 0; j < width; ++j) {
      const double deviation = values[j] - mean;
      const bool is_present = count % width == 0 ? present != 0 : j < present;
      total.value = is_present ? fma(deviation, deviation, total.value) : total.value;
    }
    return total;
  });
  const float rounded = static_cast<float>(mean);
  const WideRoot wide = wide_inverse_rms<count>(squares, eps);
  return {{rounded, static_cast<float>(mean - rounded)}, wide.root, wide.before};
}

/// Mean and factor of the row that `walk` walks. All threads of the block must take part.
template <class Config, bool Precise, class Walk>
__device__ __forceinline__ Centre<Precise> centre_of(const Walk& walk, float eps) {
  if constexpr (Precise) {
    return exact_centre_of<Config>(walk, eps);
  } else {
    return rounded_centre_of<Config>(walk, eps);
  }
}

/// The element x of a row, normalised.
__device__ __forceinline__ float normalised(float x, const Centre<false>& centre) {
  return fmaf(fmaf(x, centre.before, centre.offset), centre.scale, centre.rest);
}

/// (x - mean) * scale * gain + shift.
template <bool Precise, bool HasGain, bool HasShift>
__device__ __forceinline__ float centred(float x, const Centre<Precise>& centre, float gain, float shift) {
  if constexpr (!Precise) {
    const float y = normalised(x, centre);
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
