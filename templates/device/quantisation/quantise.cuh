#pragma once

#include "device/formats/convert_bytes.cuh"
#include "device/pair.cuh"
#include "device/quantisation/scale_layout.cuh"
#include "device/reduce.cuh"
#include "device/vec.cuh"

/// Quantisation of rows or of groups of a row: the scale follows from the largest magnitude, and the scale
/// and the quantised values are stored.
namespace kerncast {

/// A scale as it is stored, and the factor that quantises with it.
struct Scale {
  unsigned bits;  ///< of a float, or an exponent byte
  float factor;
};

/// a / b, right to the last place but for rare halfway cases, and exact if a or b is infinite. Both are
/// positive and the quotient is a normal number.
__device__ __forceinline__ float quotient(float a, float b, float reciprocal_of_b) {
  float ratio;
  asm("{ .reg .f32 g, n;\n  .reg .pred infinite;\n  mul.f32 g, %1, %3;\n  neg.f32 n, g;\n"
      "  fma.rn.f32 n, n, %2, %1;\n  fma.rn.f32 n, n, %3, g;\n  setp.nan.f32 infinite, n, n;\n"
      "  selp.f32 %0, g, n, infinite; }"
      : "=f"(ratio)
      : "f"(a), "f"(b), "f"(reciprocal_of_b));
  return ratio;
}

/// The exponent byte of the least power of two that is not below amax / largest, and its inverse. `amax` is a
/// positive normal number or infinity, for which the byte is 254; `largest` is a constant of at least 2.
__device__ __forceinline__ Scale ue8m0_scale(float amax, float largest) {
  // The quotient of the powers of two is exact. A mantissa above that of `largest` carries into the exponent.
  const unsigned bits = __float_as_uint(largest);
  const unsigned carried = __float_as_uint(amax) + (0x7fffffu - (bits & 0x7fffffu));
  const unsigned exponent = (carried >> 23) + 127u - (bits >> 23);
  // The exponent of a finite quotient is less than 254, so that its inverse is a normal number.
  return amax <= 3.40282347e38f ? Scale{exponent, __uint_as_float((254u - exponent) << 23)}
                                : Scale{254u, ue8m0_inverse(254u)};
}

/// The scale of values whose largest magnitude is `amax`, for a type whose largest value is the constant
/// `largest`.
template <quant::ScaleFormat Format>
__device__ __forceinline__ Scale scale_of(float amax, float largest) {
  const float clamped = fmaxf(amax, 1e-10f);
  if constexpr (Format == quant::ScaleFormat::f32) {
    const float scale = quotient(clamped, largest, 1.0f / largest);
    return {__float_as_uint(scale), quotient(largest, clamped, fast_reciprocal(clamped))};
  } else {
    const Scale scale = ue8m0_scale(clamped, largest);
    return {Format == quant::ScaleFormat::ue8m0 ? scale.bits << 23 : scale.bits, scale.factor};
  }
}

/// A static scale: x / scale is x * lift / divisor. The reciprocal of a subnormal scale may overflow, that of
/// `divisor` does not, so that zeros stay zeros under any scale but NaN; others saturate under a scale of 0.
struct StaticScale {
  float lift;
  float divisor;
};

__device__ __forceinline__ StaticScale static_scale(float scale) {
  const float lift = fabsf(scale) < 0x1p-100f ? 0x1p100f : 1.0f;
  const float divisor = scale * lift;
  return {lift, divisor == 0.0f ? copysignf(0x1p-126f, divisor) : divisor};
}

/// Multiplies `Count` values by the lift of a static scale, which is the same for all threads of a block.
template <int Count>
__device__ __forceinline__ void lift_values(float* values, float lift) {
  if (lift != 1.0f) {
#pragma unroll
    for (int i = 0; i < Count; ++i) {
      values[i] *= lift;
    }
  }
}

/// The largest magnitude of `Count` values. NaN is ignored.
template <int Count>
__device__ __forceinline__ Max largest_magnitude(const float* values) {
  Max amax;
  if constexpr (Count % 8 == 0) {
    // One block of PTX for eight values shortens the compile. .xorsign.abs compares magnitudes, and the sign
    // of what it gives means nothing.
#pragma unroll
    for (int i = 0; i < Count; i += 8) {
#if __CUDA_ARCH__ >= 860
      asm("max.xorsign.abs.f32 %0, %0, %1;\n  max.xorsign.abs.f32 %0, %0, %2;\n  max.xorsign.abs.f32 %0, %0, "
          "%3;\n"
          "  max.xorsign.abs.f32 %0, %0, %4;\n  max.xorsign.abs.f32 %0, %0, %5;\n  max.xorsign.abs.f32 %0, "
          "%0, %6;\n"
          "  max.xorsign.abs.f32 %0, %0, %7;\n  max.xorsign.abs.f32 %0, %0, %8;\n  abs.f32 %0, %0;"
#else
      asm("{ .reg .f32 a, b;\n  abs.f32 a, %1;\n  max.f32 %0, %0, a;\n  abs.f32 b, %2;\n  max.f32 %0, %0, "
          "b;\n"
          "  abs.f32 a, %3;\n  max.f32 %0, %0, a;\n  abs.f32 b, %4;\n  max.f32 %0, %0, b;\n"
          "  abs.f32 a, %5;\n  max.f32 %0, %0, a;\n  abs.f32 b, %6;\n  max.f32 %0, %0, b;\n"
          "  abs.f32 a, %7;\n  max.f32 %0, %0, a;\n  abs.f32 b, %8;\n  max.f32 %0, %0, b; }"
#endif
          : "+&f"(amax.value)
          : "f"(values[i]), "f"(values[i + 1]), "f"(values[i + 2]), "f"(values[i + 3]), "f"(values[i + 4]),
            "f"(values[i + 5]), "f"(values[i + 6]), "f"(values[i + 7]));
    }
  } else {
#pragma unroll
    for (int i = 0; i < Count; ++i) {
      amax.add(fabsf(values[i]));
    }
  }
  return amax;
}

/// Stores `Count` values times `factor` as Q, saturating, `Stored` at a time.
template <class Q, int Count, int Stored>
__device__ __forceinline__ void store_quantised(Q* q, float* values, float factor) {
#pragma unroll
  for (int i = 0; i < Count; ++i) {
    values[i] *= factor;
  }
#pragma unroll
  for (int i = 0; i < Count; i += Stored) {
    store_values<Q, Stored>(q + i, values + i);
  }
}

/// The outputs of quantising rows by groups. Strides are in elements. Rows from `rows` to `padded_rows` are
/// padding: only their scales are written, as 0.
struct GroupQuantisedRows {
  void* q;
  void* s;
  long long q_stride;
  long long s_stride;  ///< along the dimension of s that is not contiguous
  long long rows;
  long long padded_rows;
};

/// Quantises and stores `Count` values of row `row` from `column` on. Config::group / Count neighbouring
/// lanes hold a group. All lanes of a warp must take part, each with any row.
template <class Config, int Count, int Stored>
__device__ __forceinline__ void quantise_group(const GroupQuantisedRows& out, float* values, long long row,
                                               int column) {
  using Q = typename Config::q_dtype;
  constexpr auto layout = static_cast<quant::ScaleLayout>(Config::scale_layout);
  constexpr auto format = static_cast<quant::ScaleFormat>(Config::scale_format);
  const Max amax = reduce_lanes<Config::group / Count>(largest_magnitude<Count>(values));
  const Scale scale = scale_of<format>(amax.value, max_of<Q>);
  const bool active = row < out.rows;
  if (active) {
    store_quantised<Q, Count, Stored>(static_cast<Q*>(out.q) + row * out.q_stride + column, values,
                                      scale.factor);
  }
  if (column % Config::group == 0 && row < out.padded_rows) {
    store_scale<layout, format, Config::hidden / Config::group>(
        out.s, out.s_stride, row, column / Config::group, active ? scale.bits : 0u);
  }
}

}  // namespace kerncast
