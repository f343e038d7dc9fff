#pragma once

#include "device/quantisation/scaled.cuh"

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
      "  mov.b32 %0, e;\n  shr.s32 s, %0, 31;\n  lop3.b32 %0, %0, s, 0x7fffffff, 0x78; }"
      : "=r"(key)
      : "f"(x), "f"(bias));
  return key;
}

/// sigmoid(x) to 26 bits, accurate enough for results that are right to the last place of a float; 0 below
/// -708.
__device__ __forceinline__ Scaled scaled_sigmoid(float x) {
  // exp(-|x|) as in scaled_exp(), then the quotient of exp(-|x|), or 1, by 1 + exp(-|x|).
  const float below = -fminf(fabsf(x), 708.0f);
  const Scaled e = scaled_exp({below, 0.0f});
  Pair above;
  Pair sum;
  Scaled made;
  asm("{ .reg .b32 n;\n  .reg .f32 u, t, s;\n  .reg .pred negative;\n  setp.lt.f32 negative, %5, "
      "0f00000000;\n"
      "  max.s32 n, %8, -60;\n  shl.b32 n, n, 23;\n  add.s32 n, n, 0x3F800000;\n  mov.b32 u, n;\n"
      "  mul.f32 t, %6, u;\n  add.f32 %2, t, 0f3F800000;\n  sub.f32 s, %2, 0f3F800000;\n  sub.f32 s, t, s;\n"
      "  fma.rn.f32 %3, %7, u, s;\n  selp.f32 %0, %6, 0f3F800000, negative;\n"
      "  selp.f32 %1, %7, 0f00000000, negative;\n  selp.b32 %4, %8, 0, negative; }"
      : "=&f"(above.value), "=&f"(above.rest), "=&f"(sum.value), "=&f"(sum.rest), "=&r"(made.exponent)
      : "f"(x), "f"(e.value), "f"(e.rest), "r"(e.exponent));
  const Pair ratio = quotient(above, sum);
  asm("{ .reg .pred p;\n  setp.lt.f32 p, %1, 0fC4310000;\n  selp.f32 %0, 0f00000000, %2, p;\n"
      "  setp.nan.f32 p, %1, %1;\n  selp.f32 %0, %1, %0, p; }"
      : "=&f"(made.value)
      : "f"(x), "f"(ratio.value));
  made.rest = ratio.rest;
  return made;
}

}  // namespace kerncast
