#pragma once

#include "device/convert.cuh"
#include "device/types.cuh"

/// Vector access: N consecutive elements at an address aligned to min(16, N * sizeof(T)) bytes.
namespace kerncast {

/// `Bytes` bytes in registers; fewer than four occupy the low end of one.
template <int Bytes>
struct Raw {
  static constexpr int count = Bytes < 4 ? 1 : Bytes / 4;
  unsigned words[count];
};

template <int Bytes>
__device__ __forceinline__ Raw<Bytes> zero_raw() {
  Raw<Bytes> raw;
#pragma unroll
  for (int i = 0; i < Raw<Bytes>::count; ++i) {
    raw.words[i] = 0;
  }
  return raw;
}

template <int Bytes>
__device__ __forceinline__ Raw<Bytes> load_raw(const void* address) {
  Raw<Bytes> raw;
  if constexpr (Bytes >= 16) {
#pragma unroll
    for (int i = 0; i < Bytes / 16; ++i) {
      const uint4 part = static_cast<const uint4*>(address)[i];
      raw.words[4 * i] = part.x;
      raw.words[4 * i + 1] = part.y;
      raw.words[4 * i + 2] = part.z;
      raw.words[4 * i + 3] = part.w;
    }
  } else if constexpr (Bytes == 8) {
    const uint2 part = *static_cast<const uint2*>(address);
    raw.words[0] = part.x;
    raw.words[1] = part.y;
  } else if constexpr (Bytes == 4) {
    raw.words[0] = *static_cast<const unsigned*>(address);
  } else {
    static_assert(Bytes == 2, "no element is loaded by single bytes");
    raw.words[0] = *static_cast<const unsigned short*>(address);
  }
  return raw;
}

template <int Bytes>
__device__ __forceinline__ void store_raw(void* address, const Raw<Bytes>& raw) {
  if constexpr (Bytes >= 16) {
#pragma unroll
    for (int i = 0; i < Bytes / 16; ++i) {
      static_cast<uint4*>(address)[i] =
          make_uint4(raw.words[4 * i], raw.words[4 * i + 1], raw.words[4 * i + 2], raw.words[4 * i + 3]);
    }
  } else if constexpr (Bytes == 8) {
    *static_cast<uint2*>(address) = make_uint2(raw.words[0], raw.words[1]);
  } else if constexpr (Bytes == 4) {
    *static_cast<unsigned*>(address) = raw.words[0];
  } else if constexpr (Bytes == 2) {
    *static_cast<unsigned short*>(address) = static_cast<unsigned short>(raw.words[0]);
  } else {
    static_assert(Bytes == 1, "a vector is a power of two of bytes");
    *static_cast<unsigned char*>(address) = static_cast<unsigned char>(raw.words[0]);
  }
}

/// The N elements of type T in `raw` (float or a 16-bit type).
template <class T, int N>
__device__ __forceinline__ void unpack(const Raw<N * int(sizeof(T))>& raw, float (&values)[N]) {
  if constexpr (sizeof(T) == 4) {
#pragma unroll
    for (int i = 0; i < N; ++i) {
      values[i] = __uint_as_float(raw.words[i]);
    }
  } else if constexpr (N == 1) {
    float unused;
    unpack2<T>(raw.words[0], values[0], unused);
  } else {
#pragma unroll
    for (int i = 0; i < N; i += 2) {
      unpack2<T>(raw.words[i / 2], values[i], values[i + 1]);
    }
  }
}

/// `values` rounded to T: float, a 16-bit type, fp8 or int8.
template <class T, int N>
__device__ __forceinline__ Raw<N * int(sizeof(T))> pack(const float (&values)[N]) {
  Raw<N * int(sizeof(T))> raw;
  if constexpr (sizeof(T) == 4) {
#pragma unroll
    for (int i = 0; i < N; ++i) {
      raw.words[i] = __float_as_uint(values[i]);
    }
  } else if constexpr (sizeof(T) == 2) {
#pragma unroll
    for (int i = 0; i < N; i += 2) {
      raw.words[i / 2] = pack2<T>(values[i], i + 1 < N ? values[i + 1] : 0.0f);
    }
  } else {
#pragma unroll
    for (int i = 0; i < N; i += 4) {
      unsigned word = pack2_bytes<T>(values[i], i + 1 < N ? values[i + 1] : 0.0f);
      if (i + 2 < N) {
        word |= pack2_bytes<T>(values[i + 2], values[i + 3]) << 16;
      }
      raw.words[i / 4] = word;
    }
  }
  return raw;
}

template <class T, int N>
__device__ __forceinline__ void load_values(const T* address, float (&values)[N]) {
  unpack<T, N>(load_raw<N * int(sizeof(T))>(address), values);
}

template <class T, int N>
__device__ __forceinline__ void store_values(T* address, const float (&values)[N]) {
  store_raw(address, pack<T, N>(values));
}

}  // namespace kerncast
