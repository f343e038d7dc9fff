#pragma once

#include "device/formats/convert.cuh"
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

template <int Width>
__device__ __forceinline__ void add_squares(Sum& total, const float* values) {
  if constexpr (Width % 4 == 0) {
    // The compiler would move C++ in front of a loop, where warps that have no elements run it too.
#pragma unroll
    for (int j = 0; j < Width; j += 4) {
      asm("fma.rn.f32 %0, %1, %1, %0;\n  fma.rn.f32 %0, %2, %2, %0;\n"
          "  fma.rn.f32 %0, %3, %3, %0;\n  fma.rn.f32 %0, %4, %4, %0;"
          : "+&f"(total.value)
          : "f"(values[j]), "f"(values[j + 1]), "f"(values[j + 2]), "f"(values[j + 3]));
    }
  } else {
    add_squares<Width, Sum>(total, values);
  }
}

/// The squares of the values times `by`, which is 1 for most rows: a branch costs less than the products.
template <int Width>
__device__ __forceinline__ void add_squares(Sum& total, const float* values, float by) {
  if constexpr (Width == 8) {
    // One block of PTX shortens the compile.
    asm("{ .reg .pred plain;\n  .reg .f32 s, v;\n"
        "  fma.rn.f32 s, %1, %1, %0;\n  fma.rn.f32 s, %2, %2, s;\n"
        "  fma.rn.f32 s, %3, %3, s;\n  fma.rn.f32 s, %4, %4, s;\n"
        "  fma.rn.f32 s, %5, %5, s;\n  fma.rn.f32 s, %6, %6, s;\n"
        "  fma.rn.f32 s, %7, %7, s;\n  fma.rn.f32 s, %8, %8, s;\n"
        "  setp.eq.f32 plain, %9, 0f3F800000;\n  @plain bra DONE;\n"
        "  mul.f32 v, %1, %9;\n  fma.rn.f32 s, v, v, %0;\n"
        "  mul.f32 v, %2, %9;\n  fma.rn.f32 s, v, v, s;\n"
        "  mul.f32 v, %3, %9;\n  fma.rn.f32 s, v, v, s;\n"
        "  mul.f32 v, %4, %9;\n  fma.rn.f32 s, v, v, s;\n"
        "  mul.f32 v, %5, %9;\n  fma.rn.f32 s, v, v, s;\n"
        "  mul.f32 v, %6, %9;\n  fma.rn.f32 s, v, v, s;\n"
        "  mul.f32 v, %7, %9;\n  fma.rn.f32 s, v, v, s;\n"
        "  mul.f32 v, %8, %9;\n  fma.rn.f32 s, v, v, s;\n"
        "DONE:\n  mov.f32 %0, s; }"
        : "+&f"(total.value)
        : "f"(values[0]), "f"(values[1]), "f"(values[2]), "f"(values[3]), "f"(values[4]), "f"(values[5]),
          "f"(values[6]), "f"(values[7]), "f"(by));
  } else {
    Sum sum = total;
    add_squares<Width>(sum, values);
    if (by != 1.0f) {
      sum = total;
      float scaled[Width];
#pragma unroll
      for (int j = 0; j < Width; ++j) {
        scaled[j] = values[j] * by;
      }
      add_squares<Width>(sum, scaled);
    }
    total = sum;
  }
}

/// The larger of both; NaN stays NaN.
__device__ __forceinline__ float at_least(float value, float least) {
#if __CUDA_ARCH__ >= 800
  float larger;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(larger) : "f"(value), "f"(least));
  return larger;
#else
  return value < least ? least : value;
#endif
}

/// The range of totals, means of squares plus eps in f32, in which no square on the way overflowed, and none
/// that vanished counts: a first total must lie in it, and a second one is taken as it is. One comparison of
/// bits takes two of floats, and NaN lies outside.
struct TotalRange {
  static constexpr unsigned least = 0x0d800000u;    // 2^-100
  static constexpr unsigned largest = 0x76800000u;  // 2^110
  unsigned width = largest - least;

  __device__ __forceinline__ bool misses(float total) const { return __float_as_uint(total) - least > width; }
  __device__ __forceinline__ void take_all() { width = 0xffffffffu; }
};

/// The power of two, by which total_of(before, eps) multiplies each element before it squares it, that brings
/// the total into range: 1 for all rows but a few, for which total_of is called twice. It is given eps times
/// the square of that power. All threads of the block must take part.
template <class Walk, class Total>
__device__ __forceinline__ float range_of(float eps, const Total& total_of) {
  float before = 1.0f;
  TotalRange range;
#pragma unroll 1
  for (;; range.take_all()) {
    const float total = total_of(before, eps);
    const bool again = range.misses(total);
    if (!Walk::any(again)) {
      return before;
    }
    if (again) {
      before = total < 1.0f ? 0x1p100f : 0x1p-80f;
      eps = eps * before * before;
    }
    Walk::settle();
  }
}

/// The factor of a row from that of its elements times `before`. A root mean square below 2^-126 counts as
/// 2^-126, so that zeros stay zeros under eps = 0. NaN stays NaN.
__device__ __forceinline__ float scaled_by(float factor, float before) {
  const float scaled = factor * before;
#if __CUDA_ARCH__ >= 800
  float limited;
  asm("min.NaN.f32 %0, %1, 0f7E800000;" : "=f"(limited) : "f"(scaled));
  return limited;
#else
  return scaled > 0x1p126f ? 0x1p126f : scaled;
#endif
}

/// 1 / sqrt(total), and what rounding that to f32 loses.
__device__ __forceinline__ Pair inverse_root(double total) {
  const float guess = rsqrtf(static_cast<float>(total));
  // One Newton step, but not from the 0 that an infinite total gives.
  const float error = static_cast<float>(fma(-0.5 * total * guess, static_cast<double>(guess), 0.5));
  return {guess, fabsf(error) < 1e-5f ? guess * error : 0.0f};
}

/// rsqrt(mean + eps) as root * before, for any sum that double holds; see scaled_by() for the least mean.
struct WideRoot {
  Pair root;
  float before;
};

template <int Count>
__device__ __forceinline__ WideRoot wide_inverse_rms(const DoubleSum& squares, float eps) {
  const double exact = fma(squares.value, 1.0 / Count, static_cast<double>(eps));
  const double total = exact < 0x1p-252 ? 0x1p-252 : exact;
  const float near = static_cast<float>(total);
  const float before = near < 0x1p-100f ? 0x1p100f : near > 0x1p110f ? 0x1p-80f : 1.0f;
  return {inverse_root(total * before * before), before};
}

__device__ __forceinline__ Pair product(const WideRoot& wide) {
  return {wide.root.value * wide.before, wide.root.rest * wide.before};
}

template <int Count>
__device__ __forceinline__ Pair inverse_rms(const DoubleSum& squares, float eps) {
  return product(wide_inverse_rms<Count>(squares, eps));
}

/// The factor of the row that `walk` walks: rsqrt(sum(x^2) / Count + eps). All threads of the block must take
/// part.
template <int Count, bool Precise, class Walk>
__device__ __forceinline__ WideRoot scale_of_row(const Walk& walk, float eps) {
  constexpr int width = Walk::span;
  if constexpr (Precise) {
    return wide_inverse_rms<Count>(walk.template sum<DoubleSum>([](const float* values, int) {
      DoubleSum total;
      add_squares<width>(total, values);
      return total;
    }),
                                   eps);
  } else {
    float root = 0.0f;
    const float before = range_of<Walk>(eps, [&](float by, float added) {
      const Sum squares = walk.template sum<Sum>([by](const float* values, int) {
        Sum total;
        add_squares<width>(total, values, by);
        return total;
      });
      const float total = fmaf(squares.value, 1.0f / Count, added);
      root = rsqrtf(total);
      return total;
    });
    return {{scaled_by(root, before), 0.0f}, 1.0f};
  }
}

/// The factor of the row that `walk` walks, for results that are quantised: the squares of a span are few
/// enough for f32 in a row that is in range, and many spans take double. All threads of the block must take
/// part.
template <int Count, class Walk>
__device__ __forceinline__ Pair close_scale_of_row(const Walk& walk, float eps) {
  double total = 0.0;
  const float before = range_of<Walk>(eps, [&](float by, float added) {
    const DoubleSum squares = walk.template sum<DoubleSum>([by](const float* values, int) {
      Sum span;
      add_squares<Walk::span>(span, values, by);
      return DoubleSum{span.value};
    });
    total = fma(squares.value, 1.0 / Count, static_cast<double>(added));
    return static_cast<float>(total);
  });
  if (walk.idle()) {
    return {};
  }
  const Pair root = inverse_root(total);
  return {scaled_by(root.value, before), root.rest * before};
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
/// turns the elements of each vector into those of y; scale is rsqrt(sum(x^2) / Count + eps). `Others` are
/// the types of tensors that narrow the vectors.
template <class Config, int Count, class... Others, class Args, class Finish>
__device__ __forceinline__ void normalise_row(const Args& args, const Finish& finish) {
  using X = typename Config::x_dtype;
  using Y = typename Config::y_dtype;
  using Row = RowVectors<X, Config::alignment, Others...>;

  const long long row = row_of_thread<Config>();
  if (past_rows<Config>(row, args.rows)) {
    return;
  }
  const X* x = static_cast<const X*>(args.x) + row * args.x_stride;
  Y* y = static_cast<Y*>(args.y) + row * args.y_stride;

  const RowWalk<Config, Row> walk(Row{x}, has_row<Config>(row, args.rows));
  constexpr bool precise = sizeof(Y) == 4;
  const Pair scale = product(scale_of_row<Count, precise>(walk, args.eps));
  walk.template each<1>([&](auto part, int column, bool present) {
    if (present) {
      finish(part.values, scale, column);
      store_values<Y, Row::width>(y + column, part.values);
    }
  });
}

}  // namespace kerncast::norm
