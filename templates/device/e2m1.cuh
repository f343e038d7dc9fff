#pragma once

#include "device/convert_bytes.cuh"
#include "device/vec.cuh"

/// fp4 e2m1: two to a byte, the first in the low nibble.
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
#else
__device__ __forceinline__ unsigned e2m1_bits(float value) {
  const unsigned bits = fp8_bits<1, 1, 0x40c00000u>(value);
  return (bits & 7u) | (bits >> 4 & 8u);
}

/// A byte of two values rounded to nearest even, saturating at 6; NaN becomes 6.
__device__ __forceinline__ unsigned pack2_e2m1(float first, float second) {
  return e2m1_bits(first) | e2m1_bits(second) << 4;
}
#endif

/// Stores `Count` (2, 4 or 8) values in half as many bytes.
template <int Count>
__device__ __forceinline__ void store_e2m1(unsigned char* address, const float* in) {
  unsigned word = 0;
#pragma unroll
  for (int i = 0; i < Count; i += 2) {
    word |= pack2_e2m1(in[i], in[i + 1]) << (4 * i);
  }
  using Part = typename Packed<Count / 2>::type;
  *reinterpret_cast<Part*>(address) = static_cast<Part>(word);
}

}  // namespace kerncast
