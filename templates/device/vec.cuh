#pragma once

#include "device/convert.cuh"
#include "device/packed.cuh"
#include "device/types.cuh"

/// Vector access to global memory: N consecutive elements at an address aligned to min(16, N * sizeof(T))
/// bytes. The functions are spelled out rather than looped, and arrays are avoided where a vector type does:
/// both halve the time to compile. Wide accesses are given as one instruction each, since the compiler splits
/// some of those it is given as assignments.
namespace kerncast {

/// The elements of one word: one float, two of 16 bits.
template <class T>
__device__ __forceinline__ void unpack_word(unsigned word, float* out) {
  if constexpr (sizeof(T) == 4) {
    out[0] = __uint_as_float(word);
  } else {
    unpack2<T>(word, out[0], out[1]);
  }
}

/// The other way; also four of 8 bits.
template <class T>
__device__ __forceinline__ unsigned pack_word(const float* in) {
  if constexpr (sizeof(T) == 4) {
    return __float_as_uint(in[0]);
  } else if constexpr (sizeof(T) == 2) {
    return pack2<T>(in[0], in[1]);
  } else {
    return pack2_bytes<T>(in[0], in[1]) | pack2_bytes<T>(in[2], in[3]) << 16;
  }
}

template <class T>
__device__ __forceinline__ void unpack(const uint4& vector, float* out) {
  constexpr int step = 4 / static_cast<int>(sizeof(T));
  unpack_word<T>(vector.x, out);
  unpack_word<T>(vector.y, out + step);
  unpack_word<T>(vector.z, out + 2 * step);
  unpack_word<T>(vector.w, out + 3 * step);
}

template <class T>
__device__ __forceinline__ void unpack(const uint2& vector, float* out) {
  unpack_word<T>(vector.x, out);
  unpack_word<T>(vector.y, out + 4 / sizeof(T));
}

template <class T>
__device__ __forceinline__ void unpack(unsigned vector, float* out) {
  unpack_word<T>(vector, out);
}

template <class T>
__device__ __forceinline__ void unpack(unsigned short vector, float* out) {
  float unused;
  unpack2<T>(vector, out[0], unused);
}

template <class T, int N>
__device__ __forceinline__ void load_values(const T* address, float* out) {
  constexpr int bytes = N * static_cast<int>(sizeof(T));
  using Part = typename Packed<(bytes < 16 ? bytes : 16)>::type;
  if constexpr (bytes >= 8) {
    unpack<T>(__ldca(reinterpret_cast<const Part*>(address)), out);
  } else {
    unpack<T>(*reinterpret_cast<const Part*>(address), out);
  }
  if constexpr (bytes > 16) {
    constexpr int half = 16 / static_cast<int>(sizeof(T));
    load_values<T, N - half>(address + half, out + half);
  }
}

template <class T, int N>
__device__ __forceinline__ void store_values(T* address, const float* in) {
  constexpr int bytes = N * static_cast<int>(sizeof(T));
  constexpr int step = 4 / static_cast<int>(sizeof(T));
  if constexpr (bytes >= 16) {
    __stwb(reinterpret_cast<uint4*>(address),
           make_uint4(pack_word<T>(in), pack_word<T>(in + step), pack_word<T>(in + 2 * step),
                      pack_word<T>(in + 3 * step)));
    if constexpr (bytes > 16) {
      store_values<T, N - 4 * step>(address + 4 * step, in + 4 * step);
    }
  } else if constexpr (bytes == 8) {
    __stwb(reinterpret_cast<uint2*>(address), make_uint2(pack_word<T>(in), pack_word<T>(in + step)));
  } else if constexpr (bytes == 4) {
    *reinterpret_cast<unsigned*>(address) = pack_word<T>(in);
  } else if constexpr (sizeof(T) == 2) {
    *reinterpret_cast<unsigned short*>(address) = static_cast<unsigned short>(pack2<T>(in[0], 0.0f));
  } else {
    const unsigned pair = pack2_bytes<T>(in[0], bytes == 2 ? in[bytes - 1] : 0.0f);
    *reinterpret_cast<typename Packed<bytes>::type*>(address) =
        static_cast<typename Packed<bytes>::type>(pair);
  }
}

template <class T>
__device__ __forceinline__ float load_value(const T* address) {
  float value;
  load_values<T, 1>(address, &value);
  return value;
}

}  // namespace kerncast
