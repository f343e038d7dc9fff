#pragma once

#include "device/types.cuh"

/// Conversions between float and the storage types: round to nearest even. fp8 and int8 saturate, the wider types
/// overflow to infinity. NaN becomes 0x7fff (bf16, f16), 0x7f (fp8) and 0 (int8) whatever its sign and payload.
namespace kerncast {

/// Two 16-bit elements of one word, the first in the low half.
template <class T>
__device__ __forceinline__ void unpack2(unsigned word, float& first, float& second);

template <>
__device__ __forceinline__ void unpack2<bf16>(unsigned word, float& first, float& second) {
  first = __uint_as_float(word << 16);
  second = __uint_as_float(word & 0xffff0000u);
}

template <>
__device__ __forceinline__ void unpack2<f16>(unsigned word, float& first, float& second) {
  asm("{ .reg .b16 lo, hi;\n  mov.b32 {lo, hi}, %2;\n  cvt.f32.f16 %0, lo;\n  cvt.f32.f16 %1, hi; }"
      : "=f"(first), "=f"(second)
      : "r"(word));
}

template <class T>
__device__ __forceinline__ unsigned pack2(float first, float second);

template <>
__device__ __forceinline__ unsigned pack2<f16>(float first, float second) {
  unsigned word;
  asm("{ .reg .b16 lo, hi;\n  cvt.rn.f16.f32 lo, %1;\n  cvt.rn.f16.f32 hi, %2;\n  mov.b32 %0, {lo, hi}; }"
      : "=r"(word)
      : "f"(first), "f"(second));
  return word;
}

#if __CUDA_ARCH__ >= 800
template <>
__device__ __forceinline__ unsigned pack2<bf16>(float first, float second) {
  unsigned word;
  asm("cvt.rn.bf16x2.f32 %0, %2, %1;" : "=r"(word) : "f"(first), "f"(second));
  return word;
}
#else
__device__ __forceinline__ unsigned bf16_bits(float value) {
  const unsigned bits = __float_as_uint(value);
  return (bits & 0x7fffffffu) > 0x7f800000u ? 0x7fffu : (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
}

template <>
__device__ __forceinline__ unsigned pack2<bf16>(float first, float second) {
  return bf16_bits(first) | bf16_bits(second) << 16;
}
#endif

/// Two 8-bit elements in the low half of a word, the first lowest.
template <class T>
__device__ __forceinline__ unsigned pack2_bytes(float first, float second);

#if __CUDA_ARCH__ >= 890
template <>
__device__ __forceinline__ unsigned pack2_bytes<fp8_e4m3>(float first, float second) {
  unsigned short pair;
  asm("cvt.rn.satfinite.e4m3x2.f32 %0, %2, %1;" : "=h"(pair) : "f"(first), "f"(second));
  return pair;
}

template <>
__device__ __forceinline__ unsigned pack2_bytes<fp8_e5m2>(float first, float second) {
  unsigned short pair;
  asm("cvt.rn.satfinite.e5m2x2.f32 %0, %2, %1;" : "=h"(pair) : "f"(first), "f"(second));
  return pair;
}
#else
/// An fp8 of `Mantissa` bits and exponent bias `Bias`, saturating at the float whose bits are `Max`.
template <int Mantissa, int Bias, unsigned Max>
__device__ __forceinline__ unsigned fp8_bits(float value) {
  constexpr int dropped = 23 - Mantissa;
  constexpr unsigned smallest_normal = (128u - Bias) << 23;
  // Adding 2^(23 - Mantissa + 1 - Bias) leaves a sum whose last place is the subnormals' step: the adder rounds.
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

/// `value` rounded to T and back.
template <class T>
__device__ __forceinline__ float rounded_to(float value) {
  float first, second;
  unpack2<T>(pack2<T>(value, 0.0f), first, second);
  return first;
}

template <>
__device__ __forceinline__ float rounded_to<f32>(float value) {
  return value;
}

/// Exponent byte of the least power of two that is not below `value`, a positive normal number or infinity; saturates
/// at 2^127.
__device__ __forceinline__ unsigned ue8m0_ceil(float value) {
  const unsigned exponent = (__float_as_uint(value) + 0x7fffffu) >> 23;
  return exponent < 254u ? exponent : 254u;
}

__device__ __forceinline__ float ue8m0_value(unsigned exponent) { return __uint_as_float(exponent << 23); }

/// 2^-(exponent - 127): exact, subnormal for the largest exponent.
__device__ __forceinline__ float ue8m0_inverse(unsigned exponent) {
  return exponent == 254u ? __uint_as_float(0x400000u) : __uint_as_float((254u - exponent) << 23);
}

}  // namespace kerncast
