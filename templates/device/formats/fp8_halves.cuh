#pragma once

#include "device/types.cuh"

namespace kerncast {

/// The four e4m3 values of a word as pairs of f16, which hold each exactly. NaN becomes NaN.
__device__ __forceinline__ void fp8_to_halves(unsigned word, unsigned& first, unsigned& second) {
#if __CUDA_ARCH__ >= 890
  asm("{ .reg .b16 low, high;\n  mov.b32 {low, high}, %2;\n  cvt.rn.f16x2.e4m3x2 %0, low;\n"
      "  cvt.rn.f16x2.e4m3x2 %1, high; }"
      : "=r"(first), "=r"(second)
      : "r"(word));
#else
  const auto halves = [](unsigned bytes) {
    // Exponent and mantissa move to those of f16, whose bias is 8 more.
    const unsigned magnitude = bytes & 0x7f007f00u;
    unsigned scaled = (bytes & 0x80008000u) | magnitude >> 1;
    asm("mul.rn.f16x2 %0, %0, %1;" : "+r"(scaled) : "r"(0x5c005c00u));
    // All bits of a NaN's magnitude are set, so that a carry leaves it.
    const unsigned nan = (magnitude + 0x01000100u) & 0x80008000u;
    return scaled | (nan - (nan >> 15));
  };
  first = halves(__byte_perm(word, 0u, 0x1404));
  second = halves(__byte_perm(word, 0u, 0x3424));
#endif
}

}  // namespace kerncast
