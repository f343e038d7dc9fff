#pragma once

#include "device/vec.cuh"

/// Exact conversions from the 8-bit types and fp4 to float.
namespace kerncast {

/// A byte of two fp4 e2m1 values.
struct e2m1x2 {
  unsigned char bits;
};

template <class T>
inline constexpr int bits_of = 8;
template <>
inline constexpr int bits_of<e2m1x2> = 4;

/// The value in the low bits of `word`. Higher bits are ignored.
template <class T>
__device__ __forceinline__ float decode(unsigned word);

template <>
__device__ __forceinline__ float decode<fp8_e4m3>(unsigned word) {
  const float magnitude = __uint_as_float((word & 0x7fu) << 20) * __uint_as_float(247u << 23);
  const unsigned bits = (word & 0x7fu) == 0x7fu ? 0x7fffffffu : __float_as_uint(magnitude);
  return __uint_as_float(bits | (word & 0x80u) << 24);
}

template <>
__device__ __forceinline__ float decode<fp8_e5m2>(unsigned word) {
  float value;
  float unused;
  unpack2<f16>((word & 0xffu) << 8, value, unused);
  return value;
}

template <>
__device__ __forceinline__ float decode<i8>(unsigned word) {
  return static_cast<float>(static_cast<signed char>(word));
}

template <>
__device__ __forceinline__ float decode<e2m1x2>(unsigned word) {
  // The bits become those of a subnormal float with the same sign, which is multiplied by 2^126.
  float value;
  asm("{ .reg .b32 m, s;\n  shl.b32 m, %1, 22;\n  and.b32 m, m, 0x01c00000;\n  shl.b32 s, %1, 28;\n"
      "  lop3.b32 m, s, 0x80000000, m, 0xea;\n  mov.b32 %0, m;\n  mul.f32 %0, %0, 0f7E800000; }"
      : "=f"(value)
      : "r"(word));
  return value;
}

/// 2^(exponent - 127) of a ue8m0 byte; 255 is NaN.
__device__ __forceinline__ float decode_ue8m0(unsigned exponent) {
  const unsigned bits = exponent == 0u ? 0x400000u : exponent == 255u ? 0x7fffffffu : exponent << 23;
  return __uint_as_float(bits);
}

/// Decodes `Count` values of T that are packed in words.
template <class T, int Count>
__device__ __forceinline__ void decode_words(const unsigned* words, float* out) {
  constexpr int per_word = 32 / bits_of<T>;
#pragma unroll
  for (int i = 0; i < Count; ++i) {
    out[i] = decode<T>(words[i / per_word] >> (i % per_word * bits_of<T>));
  }
}

/// Loads `Count` values of T, which take 1, 2, 4 or 8 bytes, from an address aligned to their size.
template <class T, int Count>
__device__ __forceinline__ void load_decoded(const void* address, float* out) {
  constexpr int bytes = Count * bits_of<T> / 8;
  if constexpr (bytes == 8) {
    const uint2 loaded = *static_cast<const uint2*>(address);
    const unsigned words[2] = {loaded.x, loaded.y};
    decode_words<T, Count>(words, out);
  } else {
    const unsigned word = *static_cast<const typename VectorType<bytes>::type*>(address);
    decode_words<T, Count>(&word, out);
  }
}

}  // namespace kerncast
