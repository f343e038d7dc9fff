#pragma once

#include "device/types.cuh"

/// Conversions between float and the storage types: round to nearest even, overflow to infinity. NaN becomes
/// 0x7fff (bf16, f16) whatever its sign and payload. The 8-bit types are in device/convert_bytes.cuh, since
/// that header takes time to compile.
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

#if __CUDA_ARCH__ >= 800
template <>
__device__ __forceinline__ unsigned pack2<f16>(float first, float second) {
  unsigned word;
  asm("cvt.rn.f16x2.f32 %0, %2, %1;" : "=r"(word) : "f"(first), "f"(second));
  return word;
}

template <>
__device__ __forceinline__ unsigned pack2<bf16>(float first, float second) {
  unsigned word;
  asm("cvt.rn.bf16x2.f32 %0, %2, %1;" : "=r"(word) : "f"(first), "f"(second));
  return word;
}
#else
template <>
__device__ __forceinline__ unsigned pack2<f16>(float first, float second) {
  unsigned word;
  asm("{ .reg .b16 lo, hi;\n  cvt.rn.f16.f32 lo, %1;\n  cvt.rn.f16.f32 hi, %2;\n  mov.b32 %0, {lo, hi}; }"
      : "=r"(word)
      : "f"(first), "f"(second));
  return word;
}

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

/// Four 8-bit elements of one word.
template <class T>
__device__ __forceinline__ unsigned pack4_bytes(const float* in) {
  return pack2_bytes<T>(in[0], in[1]) | pack2_bytes<T>(in[2], in[3]) << 16;
}

/// `value` rounded to T and back.
template <class T>
__device__ __forceinline__ float rounded_to(float value);

template <>
__device__ __forceinline__ float rounded_to<bf16>(float value) {
  return __uint_as_float(pack2<bf16>(0.0f, value));
}

template <>
__device__ __forceinline__ float rounded_to<f16>(float value) {
  float rounded;
  asm("{ .reg .b16 half;\n  cvt.rn.f16.f32 half, %1;\n  cvt.f32.f16 %0, half; }"
      : "=f"(rounded)
      : "f"(value));
  return rounded;
}

template <>
__device__ __forceinline__ float rounded_to<f32>(float value) {
  return value;
}

}  // namespace kerncast
