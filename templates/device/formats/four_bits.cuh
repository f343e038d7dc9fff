#pragma once

#include "device/formats/convert.cuh"
#include "device/promote.cuh"

/// Values of four bits, eight in a word, as pairs of 16-bit floats, which hold each exactly. A pair has the
/// values `First` and `First` + 4 of the word, since those lie 16 bits apart.
namespace kerncast {

/// Moves the bits of `word` up by `Up`, which may be negative.
template <int Up>
__device__ __forceinline__ unsigned moved_up(unsigned word) {
  return Up >= 0 ? word << (Up >= 0 ? Up : 0) : word >> (Up >= 0 ? 0 : -Up);
}

template <int First>
__device__ __forceinline__ unsigned f16_pair_of_e2m1(unsigned word) {
  // Exponent and mantissa move to those of f16, whose bias is 14 more.
  unsigned pair =
      (moved_up<12 - 4 * First>(word) & 0x80008000u) | (moved_up<9 - 4 * First>(word) & 0x0e000e00u);
  asm("mul.rn.f16x2 %0, %0, %1;" : "+r"(pair) : "r"(0x74007400u));
  return pair;
}

template <int First>
__device__ __forceinline__ unsigned f16_pair_of_int4(unsigned word) {
  // The number is the last bits of 1024 to 1039, of which 1032 is taken.
  unsigned pair = (word >> 4 * First & 0x000f000fu) | 0x64006400u;
  asm("add.rn.f16x2 %0, %0, %1;" : "+r"(pair) : "r"(0xe408e408u));
  return pair;
}

#if __CUDA_ARCH__ >= 800
template <int First>
__device__ __forceinline__ unsigned bf16_pair_of_e2m1(unsigned word) {
  // The bias of bf16 is 126 more. fma is the one product of bf16 that sm_80 has.
  unsigned pair =
      (moved_up<12 - 4 * First>(word) & 0x80008000u) | (moved_up<6 - 4 * First>(word) & 0x01c001c0u);
  asm("fma.rn.bf16x2 %0, %0, %1, %2;" : "+r"(pair) : "r"(0x7e807e80u), "r"(0x80008000u));
  return pair;
}

template <int First>
__device__ __forceinline__ unsigned bf16_pair_of_int4(unsigned word) {
  // The number is the last bits of 128 to 143, of which 136 is taken.
  unsigned pair = (word >> 4 * First & 0x000f000fu) | 0x43004300u;
  asm("fma.rn.bf16x2 %0, %0, %1, %2;" : "+r"(pair) : "r"(0x3f803f80u), "r"(0xc308c308u));
  return pair;
}
#else
__device__ __forceinline__ unsigned bf16_pair_of_f16(unsigned pair) {
  float first;
  float second;
  unpack2<f16>(pair, first, second);
  return pack2<bf16>(first, second);
}
template <int First>
__device__ __forceinline__ unsigned bf16_pair_of_e2m1(unsigned word) {
  return bf16_pair_of_f16(f16_pair_of_e2m1<First>(word));
}
template <int First>
__device__ __forceinline__ unsigned bf16_pair_of_int4(unsigned word) {
  return bf16_pair_of_f16(f16_pair_of_int4<First>(word));
}
#endif

/// A pair of fp4 e2m1 values as T, bf16 or f16.
template <class T, int First>
__device__ __forceinline__ unsigned e2m1_pair(unsigned word) {
  if constexpr (is_same<T, f16>) {
    return f16_pair_of_e2m1<First>(word);
  } else {
    return bf16_pair_of_e2m1<First>(word);
  }
}

/// A pair of integers from -8 to 7, which are stored plus 8, as T, bf16 or f16.
template <class T, int First>
__device__ __forceinline__ unsigned int4_pair(unsigned word) {
  if constexpr (is_same<T, f16>) {
    return f16_pair_of_int4<First>(word);
  } else {
    return bf16_pair_of_int4<First>(word);
  }
}

}  // namespace kerncast
