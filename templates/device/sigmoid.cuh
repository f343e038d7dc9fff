#pragma once

#include "device/exponential.cuh"

namespace kerncast {

/// The key (device/topk.cuh) of sigmoid(x) + bias, by which experts are chosen. The relative error of the
/// sigmoid is below 4e-7 down to the least subnormal. NaN and -infinity count as the least float. It is one
/// block of PTX, which shortens the compile.
__device__ __forceinline__ int biased_sigmoid_key(float x, float bias) {
  // exp(-|x|) = 2^p * (1 + r * ln(2)); p = -|x| * log2(e) rounded, and r is the rounding error. |x| is
  // limited to 120; NaN stays NaN.
  int key;
  asm("{ .reg .f32 m, p, r, e;\n  .reg .b32 s;\n  .reg .pred over, negative;\n"
      "  abs.f32 m, %1;\n  setp.gt.f32 over, m, 0f42F00000;\n  selp.f32 m, 0f42F00000, m, over;\n"
      "  mul.f32 p, m, 0fBFB8AA3B;\n  neg.f32 r, p;\n  fma.rn.f32 r, m, 0fBFB8AA3B, r;\n"
      "  fma.rn.f32 r, m, 0fB2A57060, r;\n  mul.f32 r, r, 0f3F317218;\n"
      "  ex2.approx.f32 e, p;\n  fma.rn.f32 e, e, r, e;\n"
      "  add.f32 r, e, 0f3F800000;\n  rcp.approx.ftz.f32 r, r;\n"
      "  setp.lt.f32 negative, %1, 0f00000000;\n  selp.f32 e, e, 0f3F800000, negative;\n"
      "  mul.f32 e, e, r;\n  add.f32 e, e, %2;\n  max.f32 e, e, 0fFF7FFFFF;\n"
      "  mov.b32 %0, e;\n  shr.s32 s, %0, 31;\n  and.b32 s, s, 0x7fffffff;\n  xor.b32 %0, %0, s; }"
      : "=r"(key)
      : "f"(x), "f"(bias));
  return key;
}

/// sigmoid(x) to 26 bits, accurate enough for results that are right to the last place of a float; 0 below
/// -600.
__device__ __forceinline__ double close_sigmoid(float x) {
  // exp(-x) = 2^n * exp(r), |r| <= ln(2) / 2. Adding 1.5 * 2^23 leaves n, rounded, in the low bits. The
  // polynomial is (exp(r) - 1 - r) / r^2, fitted for the least error of exp(r), 5e-9. One Newton step refines
  // a reciprocal of 20 bits.
  double sigmoid;
  asm("{ .reg .f32 x, t, r, p;\n  .reg .f64 n, R, e, s;\n  .reg .b32 low, high, shift;\n  .reg .pred nan, "
      "under;\n"
      "  max.f32 x, %1, 0fC4160000;\n  min.f32 x, x, 0f44160000;\n"
      "  fma.rn.f32 t, x, 0fBFB8AA3B, 0f4B400000;\n  add.f32 r, t, 0fCB400000;\n"
      "  cvt.f64.f32 n, r;\n  cvt.f64.f32 R, x;\n  neg.f64 R, R;\n  fma.rn.f64 R, n, 0dBFE62E42FEFA39EF, R;\n"
      "  cvt.rn.f32.f64 r, R;\n"
      "  fma.rn.f32 p, r, 0f3AB511E2, 0f3C091D12;\n  fma.rn.f32 p, p, r, 0f3D2AAC7A;\n"
      "  fma.rn.f32 p, p, r, 0f3E2AAA48;\n  fma.rn.f32 p, p, r, 0f3EFFFFFE;\n"
      "  mul.f32 p, p, r;\n  mul.f32 p, p, r;\n"
      "  cvt.f64.f32 e, p;\n  add.f64 R, R, 0d3FF0000000000000;\n  add.f64 e, e, R;\n"
      "  mov.b64 {low, high}, e;\n  mov.b32 shift, t;\n  shl.b32 shift, shift, 20;\n  add.s32 high, high, "
      "shift;\n"
      "  mov.b64 e, {low, high};\n  add.f64 e, e, 0d3FF0000000000000;\n"
      "  rcp.approx.ftz.f64 s, e;\n  neg.f64 e, e;\n  fma.rn.f64 e, s, e, 0d3FF0000000000000;\n"
      "  fma.rn.f64 s, s, e, s;\n"
      "  setp.lt.f32 under, %1, 0fC4160000;\n  selp.f64 s, 0d0000000000000000, s, under;\n"
      "  setp.nan.f32 nan, %1, %1;\n  selp.f64 %0, 0d7FF8000000000000, s, nan; }"
      : "=d"(sigmoid)
      : "f"(x));
  return sigmoid;
}

}  // namespace kerncast
