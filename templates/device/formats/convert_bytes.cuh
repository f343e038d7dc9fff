#pragma once

#include "device/formats/convert.cuh"

/// Conversions from float to fp8, int8 and ue8m0: round to nearest even, saturating. NaN becomes 0x7f (fp8)
/// and 0 (int8).
namespace kerncast {

/// The bits of `value` in a type of `Mantissa` mantissa bits and exponent bias `Bias`, saturating at the
/// float whose bits are `Max`.
template <int Mantissa, int Bias, unsigned Max>
__device__ __forceinline__ unsigned fp8_bits(float value) {
  constexpr int dropped = 23 - Mantissa;
  constexpr unsigned smallest_normal = (128u - Bias) << 23;
  // The sum with 2^(23 - Mantissa + 1 - Bias) has the subnormals' step as its last place, so that the adder
  // does the rounding.
  constexpr unsigned magic = (127u + dropped + 1 - Bias) << 23;
  const unsigned bits = __float_as_uint(value);
  const unsigned magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {
    return 0x7fu;
  }
  const unsigned sign = bits >> 31 << 7;
  const unsigned clamped = magnitude < Max ? magnitude : Max;
  if (clamped < smallest_normal) {
    return sign | (__float_as_uint(__uint_as_float(clamped) + __uint_as_float(magic)) - magic);
  }
  const unsigned rounded = clamped + ((1u << (dropped - 1)) - 1u) + ((clamped >> dropped) & 1u);
  return sign | ((rounded >> dropped) - ((127u - Bias) << Mantissa));
}

#if __CUDA_ARCH__ >= 890
template <>
__device__ __forceinline__ unsigned pack2_bytes<fp8_e4m3>(float first, float second) {
  unsigned short pair;
  asm("cvt.rn.satfinite.e4m3x2.f32 %0, %2, %1;" : "=h"(pair) : "f"(first), "f"(second));
  return pair;
}

template <>
__device__ __forceinline__ unsigned pack4_bytes<fp8_e4m3>(const float* in) {
  unsigned word;
  asm("{ .reg .b16 low, high;\n  cvt.rn.satfinite.e4m3x2.f32 low, %2, %1;\n"
      "  cvt.rn.satfinite.e4m3x2.f32 high, %4, %3;\n  mov.b32 %0, {low, high}; }"
      : "=r"(word)
      : "f"(in[0]), "f"(in[1]), "f"(in[2]), "f"(in[3]));
  return word;
}

template <>
__device__ __forceinline__ unsigned pack2_bytes<fp8_e5m2>(float first, float second) {
  unsigned short pair;
  asm("cvt.rn.satfinite.e5m2x2.f32 %0, %2, %1;" : "=h"(pair) : "f"(first), "f"(second));
  return pair;
}

template <>
__device__ __forceinline__ unsigned pack4_bytes<fp8_e5m2>(const float* in) {
  unsigned word;
  asm("{ .reg .b16 low, high;\n  cvt.rn.satfinite.e5m2x2.f32 low, %2, %1;\n"
      "  cvt.rn.satfinite.e5m2x2.f32 high, %4, %3;\n  mov.b32 %0, {low, high}; }"
      : "=r"(word)
      : "f"(in[0]), "f"(in[1]), "f"(in[2]), "f"(in[3]));
  return word;
}
#else
template <>
__device__ __forceinline__ unsigned pack2_bytes<fp8_e4m3>(float first, float second) {
  return fp8_bits<3, 7, 0x43e00000u>(first) | fp8_bits<3, 7, 0x43e00000u>(second) << 8;
}

template <>
__device__ __forceinline__ unsigned pack2_bytes<fp8_e5m2>(float first, float second) {
  return fp8_bits<2, 15, 0x47600000u>(first) | fp8_bits<2, 15, 0x47600000u>(second) << 8;
}
#endif

__device__ __forceinline__ unsigned int8_bits(float value) {
  const int rounded = __float2int_rn(value);
  return static_cast<unsigned>(rounded < -128 ? -128 : rounded > 127 ? 127 : rounded) & 0xffu;
}

template <>
__device__ __forceinline__ unsigned pack2_bytes<i8>(float first, float second) {
  return int8_bits(first) | int8_bits(second) << 8;
}

/// 2^-(exponent - 127). It is exact, and subnormal for the largest exponent.
__device__ __forceinline__ float ue8m0_inverse(unsigned exponent) {
  return exponent == 254u ? __uint_as_float(0x400000u) : __uint_as_float((254u - exponent) << 23);
}

}  // namespace kerncast
