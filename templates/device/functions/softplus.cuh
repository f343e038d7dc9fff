#pragma once

#include "device/quantisation/scaled.cuh"

/// sqrt(softplus(x)), softplus(x) = log(1 + exp(x)) = max(x, 0) + log(1 + t) with t = exp(-|x|). The
/// logarithm is 2 * atanh(u), u = t / (2 + t) from 0 to 1/3, whose polynomial in u^2 is fitted for the least
/// error.
namespace kerncast {

/// The key (device/topk.cuh) of sqrt(softplus(x)) + bias, by which experts are chosen. The relative error of
/// the root is below 6e-7 down to the least subnormal. NaN and -infinity count as the least float. It is one
/// block of PTX, which shortens the compile.
__device__ __forceinline__ int biased_sqrt_softplus_key(float x, float bias) {
  // q = exp(-|x| / 2) as in biased_sigmoid_key(), of |x| up to 240, and t = q^2. Below 0 the root is q *
  // sqrt(log(1 + t) / t), which t may not spoil by vanishing.
  int key;
  asm("{ .reg .f32 m, p, r, q, t, u, w;\n  .reg .b32 s;\n  .reg .pred over, negative;\n"
      "  abs.f32 m, %1;\n  setp.gt.f32 over, m, 0f43700000;\n  selp.f32 m, 0f43700000, m, over;\n"
      "  mul.f32 p, m, 0fBF38AA3B;\n  neg.f32 r, p;\n  fma.rn.f32 r, m, 0fBF38AA3B, r;\n"
      "  fma.rn.f32 r, m, 0fB2257060, r;\n  mul.f32 r, r, 0f3F317218;\n"
      "  ex2.approx.f32 q, p;\n  fma.rn.f32 q, q, r, q;\n  mul.f32 t, q, q;\n"
      "  add.f32 r, t, 0f40000000;\n  rcp.approx.ftz.f32 r, r;\n  mul.f32 u, t, r;\n  mul.f32 w, u, u;\n"
      "  fma.rn.f32 p, w, 0f3E902AF7, 0f3E8F2E7E;\n  fma.rn.f32 p, p, w, 0f3ECCED0A;\n"
      "  fma.rn.f32 p, p, w, 0f3F2AAA71;\n  fma.rn.f32 p, p, w, 0f40000000;\n  mul.f32 p, p, r;\n"
      "  fma.rn.f32 r, t, p, %1;\n  setp.lt.f32 negative, %1, 0f00000000;\n  selp.f32 r, p, r, negative;\n"
      "  selp.f32 q, q, 0f3F800000, negative;\n  sqrt.approx.f32 r, r;\n"
      "  fma.rn.f32 r, r, q, %2;\n  max.f32 r, r, 0fFF7FFFFF;\n"
      "  mov.b32 %0, r;\n  shr.s32 s, %0, 31;\n  lop3.b32 %0, %0, s, 0x7fffffff, 0x78; }"
      : "=r"(key)
      : "f"(x), "f"(bias));
  return key;
}

/// sqrt(softplus(x)) to 26 bits, its value from 0.5 to 1 unless x is infinite or NaN; 0 below -708.
__device__ __forceinline__ Scaled scaled_sqrt_softplus(float x) {
  const float far = fminf(fabsf(x), 708.0f);
  const Scaled t = scaled_exp({-far, 0.0f});
  // Up to here t has its own exponent. The unit applies it where t stands beside 2 or x.
  const float unit = __int_as_float((max(t.exponent, -60) + 127) << 23);
  const float near = t.value * unit;
  const float above = 2.0f + near;
  const Pair u = quotient({t.value, t.rest}, {above, fmaf(t.rest, unit, near - (above - 2.0f))});
  const float w = u.value * unit * (u.value * unit);
  float p = fmaf(w, 0.11612164612f, 0.108532879004f);
  p = fmaf(p, w, 0.142961789972f);
  p = fmaf(p, w, 0.19999853166f);
  p = fmaf(p, w, 0.333333336603f);
  Pair sum = exact_sum(2.0f * u.value, fmaf(2.0f * u.value, p * w, 2.0f * u.rest));
  int exponent = t.exponent;
  if (x >= 0.0f) {
    const float rest = sum.rest * unit;
    sum = exact_sum(x, sum.value * unit);
    sum.rest += rest;
    exponent = 0;
  }
  // sum = m * 2^shift, where m lies between 0.25 and 1, and shift + exponent is even.
  const int bits = __float_as_int(sum.value);
  int shift = (bits >> 23) - 126;
  const int odd = (shift + exponent) & 1;
  shift += odd;
  const float m = __int_as_float((bits & 0x7fffff) | ((126 - odd) << 23));
  // A sum of 2^100 has no rest.
  const float rest = sum.rest * __int_as_float((127 - min(shift, 100)) << 23);
  const float inverse = rsqrtf(m);
  Scaled root;
  root.value = m * inverse;
  root.rest = (fmaf(-root.value, root.value, m) + rest) * (0.5f * inverse);
  root.exponent = (shift + exponent) >> 1;
  if (!(fabsf(x) <= 708.0f) && !(x > 0.0f && x <= 3.40282347e38f)) {
    // -infinity and what comes near it, NaN, infinity.
    root = {x < 0.0f ? 0.0f : x, 0.0f, 0};
  }
  return root;
}

}  // namespace kerncast
