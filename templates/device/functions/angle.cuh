#pragma once

namespace kerncast {

/// Positions below which cosine_and_sine() holds its bound.
inline constexpr long long exact_positions = 1ll << 22;

/// Cosine and sine of position * frequency, each to 2^-22, if the position is a whole number below 2^22 and
/// the frequency at most 1 in magnitude. The product is exact in two floats, the multiple of pi / 2 next to
/// it is taken away exactly in three steps (Cody and Waite 1980), and the polynomials interpolate at
/// Chebyshev's points. It is one block of PTX, which shortens the compile: every angle inlines it.
__device__ __forceinline__ void cosine_and_sine(float position, float frequency, float& cosine, float& sine) {
  asm("{ .reg .f32 h, l, k, m, r, z, s, c;\n  .reg .b32 q, n;\n  .reg .pred odd;\n"
      "  mul.f32 h, %2, %3;\n  neg.f32 l, h;\n  fma.rn.f32 l, %2, %3, l;\n"
      "  mul.f32 k, h, 0f3F22F983;\n  cvt.rni.f32.f32 k, k;\n  cvt.rzi.s32.f32 q, k;\n  neg.f32 m, k;\n"
      "  fma.rn.f32 r, m, 0f3FC90FDB, h;\n  fma.rn.f32 l, m, 0fA6F72CED, l;\n  fma.rn.f32 r, m, 0fB33BBD2E, "
      "r;\n"
      "  add.f32 r, r, l;\n  mul.f32 z, r, r;\n"
      "  fma.rn.f32 s, z, 0f36349CD3, 0fB94FFF02;\n  fma.rn.f32 s, s, z, 0f3C08887A;\n"
      "  fma.rn.f32 s, s, z, 0fBE2AAAAB;\n  mul.f32 l, z, r;\n  fma.rn.f32 s, s, l, r;\n"
      "  fma.rn.f32 c, z, 0f37CB97B5, 0fBAB602B6;\n  fma.rn.f32 c, c, z, 0f3D2AAAA6;\n"
      "  fma.rn.f32 c, c, z, 0fBF000000;\n  fma.rn.f32 c, c, z, 0f3F800000;\n"
      "  and.b32 n, q, 1;\n  setp.ne.s32 odd, n, 0;\n"
      "  selp.f32 h, s, c, odd;\n  selp.f32 l, c, s, odd;\n"
      "  add.s32 n, q, 1;\n  shl.b32 n, n, 30;\n  and.b32 n, n, 0x80000000;\n  xor.b32 %0, h, n;\n"
      "  shl.b32 n, q, 30;\n  and.b32 n, n, 0x80000000;\n  xor.b32 %1, l, n; }"
      : "=f"(cosine), "=f"(sine)
      : "f"(position), "f"(frequency));
}

/// cosine_and_sine() to 2^-20, in half as many instructions. That is enough for elements of 16 bits.
__device__ __forceinline__ void cosine_and_sine_briefly(float position, float frequency, float& cosine,
                                                        float& sine) {
  asm("{ .reg .f32 h, l, m, r;\n"
      "  mul.f32 h, %2, %3;\n  neg.f32 l, h;\n  fma.rn.f32 l, %2, %3, l;\n"
      "  mul.f32 m, h, 0fBE22F983;\n  cvt.rni.f32.f32 m, m;\n"
      "  fma.rn.f32 r, m, 0f40C90FDB, h;\n  fma.rn.f32 r, m, 0fB43BBD2E, r;\n  add.f32 r, r, l;\n"
      "  cos.approx.f32 %0, r;\n  sin.approx.f32 %1, r; }"
      : "=f"(cosine), "=f"(sine)
      : "f"(position), "f"(frequency));
}

}  // namespace kerncast
