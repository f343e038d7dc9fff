#pragma once

#include "device/pair.cuh"

/// Functions in double, accurate enough for results that are right to the last place of a float.
namespace kerncast {

/// 1 / x to 40 bits. x must be neither 0 nor infinite.
__device__ __forceinline__ double close_reciprocal(double x) {
  double guess;
  asm("rcp.approx.ftz.f64 %0, %1;" : "=d"(guess) : "d"(x));
  return guess + guess * (1.0 - x * guess);
}

/// exp(x) to 36 bits for x up to 700, and 0 below -700. It is one block of PTX, which shortens the compile.
__device__ __forceinline__ double close_exp(double x) {
  // exp(x) = 2^n * exp(r), |r| <= ln(2) / 2. Adding 1.5 * 2^52 leaves n, rounded, in the low word. The
  // polynomial is the Taylor polynomial of degree 9.
  double value;
  asm("{ .reg .f64 x, t, r, p;\n  .reg .b32 low, high, shift;\n  .reg .pred nan, under;\n"
      "  max.f64 x, %1, 0dC085E00000000000;\n"
      "  fma.rn.f64 t, x, 0d3FF71547652B82FE, 0d4338000000000000;\n"
      "  mov.b64 {shift, high}, t;\n  add.f64 t, t, 0dC338000000000000;\n"
      "  fma.rn.f64 r, t, 0dBFE62E42FEFA39EF, x;\n"
      "  fma.rn.f64 p, r, 0d3EC71DE3A556C734, 0d3EFA01A01A01A01A;\n"
      "  fma.rn.f64 p, p, r, 0d3F2A01A01A01A01A;\n  fma.rn.f64 p, p, r, 0d3F56C16C16C16C17;\n"
      "  fma.rn.f64 p, p, r, 0d3F81111111111111;\n  fma.rn.f64 p, p, r, 0d3FA5555555555555;\n"
      "  fma.rn.f64 p, p, r, 0d3FC5555555555555;\n  fma.rn.f64 p, p, r, 0d3FE0000000000000;\n"
      "  fma.rn.f64 p, p, r, 0d3FF0000000000000;\n  fma.rn.f64 p, p, r, 0d3FF0000000000000;\n"
      "  mov.b64 {low, high}, p;\n  shl.b32 shift, shift, 20;\n  add.s32 high, high, shift;\n"
      "  mov.b64 p, {low, high};\n"
      "  setp.lt.f64 under, %1, 0dC085E00000000000;\n  selp.f64 p, 0d0000000000000000, p, under;\n"
      "  setp.nan.f64 nan, %1, %1;\n  selp.f64 %0, 0d7FF8000000000000, p, nan; }"
      : "=d"(value)
      : "d"(x));
  return value;
}

/// tanh(x) with an absolute error below 1e-11.
__device__ __forceinline__ double close_tanh(double x) {
  const double e = close_exp(-2.0 * fabs(x));
  return copysign((1.0 - e) * close_reciprocal(1.0 + e), x);
}

}  // namespace kerncast
