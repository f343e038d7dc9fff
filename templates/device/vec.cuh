#pragma once

#include "device/formats/convert.cuh"
#include "device/types.cuh"
#include "device/vector_type.cuh"

/// Vector access to global memory: N consecutive elements at an address aligned to min(16, N * sizeof(T))
/// bytes. The functions are unrolled by hand, use vector types instead of arrays, and are single blocks of
/// PTX if they are inlined often: all of this shortens the compile, most of which the compiler's optimisation
/// passes take. Wide accesses are intrinsics, since the compiler splits some accesses that are written as
/// assignments.
namespace kerncast {

/// Unpacks the elements of one word: one float, or two 16-bit elements.
template <class T>
__device__ __forceinline__ void unpack_word(unsigned word, float* out) {
  if constexpr (sizeof(T) == 4) {
    out[0] = __uint_as_float(word);
  } else {
    unpack2<T>(word, out[0], out[1]);
  }
}

/// Packs the elements of one word: one float, two 16-bit elements, or four 8-bit elements.
template <class T>
__device__ __forceinline__ unsigned pack_word(const float* in) {
  if constexpr (sizeof(T) == 4) {
    return __float_as_uint(in[0]);
  } else if constexpr (sizeof(T) == 2) {
    return pack2<T>(in[0], in[1]);
  } else {
    return pack4_bytes<T>(in);
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

template <>
__device__ __forceinline__ void unpack<bf16>(const uint4& vector, float* out) {
  asm("shl.b32 %0, %8, 16;\n  and.b32 %1, %8, 0xffff0000;\n  shl.b32 %2, %9, 16;\n  and.b32 %3, %9, "
      "0xffff0000;\n  shl.b32 %4, %10, 16;\n  and.b32 %5, %10, 0xffff0000;\n  shl.b32 %6, %11, 16;\n  "
      "and.b32 "
      "%7, %11, 0xffff0000;"
      : "=&f"(out[0]), "=&f"(out[1]), "=&f"(out[2]), "=&f"(out[3]), "=&f"(out[4]), "=&f"(out[5]),
        "=&f"(out[6]), "=f"(out[7])
      : "r"(vector.x), "r"(vector.y), "r"(vector.z), "r"(vector.w));
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
  using Part = typename VectorType<(bytes < 16 ? bytes : 16)>::type;
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

/// Packs the elements of 16 bytes.
template <class T>
__device__ __forceinline__ uint4 pack_vector(const float* in) {
  constexpr int step = 4 / static_cast<int>(sizeof(T));
  return make_uint4(pack_word<T>(in), pack_word<T>(in + step), pack_word<T>(in + 2 * step),
                    pack_word<T>(in + 3 * step));
}

#if __CUDA_ARCH__ >= 800
template <>
__device__ __forceinline__ uint4 pack_vector<bf16>(const float* in) {
  uint4 vector;
  asm("cvt.rn.bf16x2.f32 %0, %5, %4;\n  cvt.rn.bf16x2.f32 %1, %7, %6;\n  cvt.rn.bf16x2.f32 %2, %9, %8;\n"
      "  cvt.rn.bf16x2.f32 %3, %11, %10;"
      : "=&r"(vector.x), "=&r"(vector.y), "=&r"(vector.z), "=r"(vector.w)
      : "f"(in[0]), "f"(in[1]), "f"(in[2]), "f"(in[3]), "f"(in[4]), "f"(in[5]), "f"(in[6]), "f"(in[7]));
  return vector;
}
#endif

template <class T, int N>
__device__ __forceinline__ void store_values(T* address, const float* in) {
  constexpr int bytes = N * static_cast<int>(sizeof(T));
  constexpr int step = 4 / static_cast<int>(sizeof(T));
  if constexpr (bytes >= 16) {
    __stwb(reinterpret_cast<uint4*>(address), pack_vector<T>(in));
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
    *reinterpret_cast<typename VectorType<bytes>::type*>(address) =
        static_cast<typename VectorType<bytes>::type>(pair);
  }
}

}  // namespace kerncast
