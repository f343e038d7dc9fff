#pragma once

#include "device/formats/convert_bytes.cuh"
#include "device/vec.cuh"

/// fp4 e2m1: a byte holds two values, the first in the low nibble.
namespace kerncast {

#if __CUDA_ARCH__ >= 1000 && (defined(__CUDA_ARCH_SPECIFIC__) || defined(__CUDA_ARCH_FAMILY_SPECIFIC__) ||  \
                              defined(__CUDA_ARCH_FEAT_SM100_ALL) || defined(__CUDA_ARCH_FEAT_SM103_ALL) || \
                              defined(__CUDA_ARCH_FEAT_SM110_ALL) || defined(__CUDA_ARCH_FEAT_SM120_ALL) || \
                              defined(__CUDA_ARCH_FEAT_SM121_ALL))
/// A byte of two values rounded to nearest even, saturating at 6; NaN becomes 6.
__device__ __forceinline__ unsigned pack2_e2m1(float first, float second) {
  unsigned pair;
  asm("{ .reg .b8 byte;\n  cvt.rn.satfinite.e2m1x2.f32 byte, %2, %1;\n  mov.b32 %0, {byte, 0, 0, 0}; }"
      : "=r"(pair)
      : "f"(first), "f"(second));
  return pair;
}

/// A word of eight values rounded as pack2_e2m1() rounds them.
__device__ __forceinline__ unsigned pack8_e2m1(const float* in) {
  unsigned word;
  asm("{ .reg .b8 a, b, c, d;\n  cvt.rn.satfinite.e2m1x2.f32 a, %2, %1;\n"
      "  cvt.rn.satfinite.e2m1x2.f32 b, %4, %3;\n  cvt.rn.satfinite.e2m1x2.f32 c, %6, %5;\n"
      "  cvt.rn.satfinite.e2m1x2.f32 d, %8, %7;\n  mov.b32 %0, {a, b, c, d}; }"
      : "=r"(word)
      : "f"(in[0]), "f"(in[1]), "f"(in[2]), "f"(in[3]), "f"(in[4]), "f"(in[5]), "f"(in[6]), "f"(in[7]));
  return word;
}
#else
/// A byte of two values rounded to nearest even, saturating at 6; NaN becomes 6. A magnitude of exponent e,
/// at least 0, is n * 2^(e - 1): adding 2^(e + 22) lets the adder round and leaves n in the low bits. The
/// code is n + 2e. The bits of e + 127 and of 2^(e + 22) are subtracted at the end, for both values at once.
/// It is one block of PTX, which shortens the compile.
__device__ __forceinline__ unsigned pack2_e2m1(float first, float second) {
  unsigned pair;
  asm("{ .reg .f32 v, w, m, p;\n  .reg .b32 e, t, c, d;\n"
      "  min.f32 v, %1, 0f40C00000;\n  abs.f32 m, v;\n  min.f32 m, m, 0f40C00000;\n"
      "  mov.b32 e, m;\n  and.b32 e, e, 0x7f800000;\n  max.u32 e, e, 0x3f800000;\n"
      "  add.u32 t, e, 0x0b000000;\n  mov.b32 p, t;\n  add.f32 m, m, p;\n  mov.b32 c, m;\n"
      "  shr.u32 e, e, 23;\n  mad.lo.s32 c, e, -8388606, c;\n"
      "  min.f32 w, %2, 0f40C00000;\n  abs.f32 m, w;\n  min.f32 m, m, 0f40C00000;\n"
      "  mov.b32 e, m;\n  and.b32 e, e, 0x7f800000;\n  max.u32 e, e, 0x3f800000;\n"
      "  add.u32 t, e, 0x0b000000;\n  mov.b32 p, t;\n  add.f32 m, m, p;\n  mov.b32 d, m;\n"
      "  shr.u32 e, e, 23;\n  mad.lo.s32 d, e, -8388606, d;\n"
      "  mad.lo.u32 c, d, 16, c;\n  add.u32 c, c, 0x44ffef22;\n"
      "  mov.b32 t, v;\n  shr.u32 t, t, 28;\n  lop3.b32 c, t, 8, c, 0xea;\n"
      "  mov.b32 t, w;\n  shr.u32 t, t, 24;\n  lop3.b32 %0, t, 128, c, 0xea; }"
      : "=r"(pair)
      : "f"(first), "f"(second));
  return pair;
}

/// A word of eight values rounded as pack2_e2m1() rounds them.
__device__ __forceinline__ unsigned pack8_e2m1(const float* in) {
  return pack2_e2m1(in[0], in[1]) | pack2_e2m1(in[2], in[3]) << 8 | pack2_e2m1(in[4], in[5]) << 16 |
         pack2_e2m1(in[6], in[7]) << 24;
}
#endif

/// Stores `Count` values (2, 4 or 8), two to a byte.
template <int Count>
__device__ __forceinline__ void store_e2m1(unsigned char* address, const float* in) {
  unsigned word = 0;
  if constexpr (Count == 8) {
    word = pack8_e2m1(in);
  } else {
#pragma unroll
    for (int i = 0; i < Count; i += 2) {
      word |= pack2_e2m1(in[i], in[i + 1]) << (4 * i);
    }
  }
  using Part = typename VectorType<Count / 2>::type;
  *reinterpret_cast<Part*>(address) = static_cast<Part>(word);
}

}  // namespace kerncast
