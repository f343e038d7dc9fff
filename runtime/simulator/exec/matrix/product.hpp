#pragma once

#include <cstddef>

#include "runtime/simulator/exec/float_lanes.hpp"
#include "runtime/simulator/exec/formats.hpp"
#include "runtime/simulator/exec/lanes.hpp"

/// The element types, products and accumulators of matrix instructions. The PTX ISA leaves the order and the
/// intermediate precision of their sums to the hardware. Here the products are exact, the accumulator and all
/// products of one instruction are added in double in order of k, and the sum is rounded once, to nearest
/// even, to the accumulator's type. Integers are exact.
namespace kerncast::simulator::KERNCAST_SIM_LEVEL {

namespace {

constexpr unsigned columns = 8;
/// One register of a packed operand holds 8 rows of 4 lanes each.
constexpr unsigned block_rows = 8;
constexpr unsigned lanes_per_row = 4;

// Sources and results never overlap, which the compiler cannot see.
#if defined(__clang__)
#define KC_ELEMENTS(count) \
  _Pragma("clang loop vectorize(assume_safety)") for (unsigned i = 0; i < (count); ++i)
#else
#define KC_ELEMENTS(count) _Pragma("GCC ivdep") for (unsigned i = 0; i < (count); ++i)
#endif

// Element types: what a lane's register holds and the type sums are made in. Sums of at most 32 products of
// 8-bit integers are exact in float.
struct F16 {
  using Storage = u16;
  using Sum = double;
  static KC_INLINE void expand(const u16* from, double* to, unsigned count) {
    KC_ELEMENTS(count) {
      to[i] = static_cast<double>(f16_to_f32(from[i]));
    }
  }
};
struct Bf16 {
  using Storage = u16;
  using Sum = double;
  static KC_INLINE void expand(const u16* from, double* to, unsigned count) {
    KC_ELEMENTS(count) {
      to[i] = static_cast<double>(bf16_to_f32(from[i]));
    }
  }
};
/// The low 13 bits are ignored.
struct Tf32 {
  using Storage = u32;
  using Sum = double;
  static KC_INLINE void expand(const u32* from, double* to, unsigned count) {
    KC_ELEMENTS(count) {
      to[i] = static_cast<double>(bits_as<float>(from[i] & 0xffffe000U));
    }
  }
};
/// Exponent and mantissa in a float's place are the value but for the bias; the one NaN has all bits set.
struct E4m3 {
  using Storage = u8;
  using Sum = double;
  static KC_INLINE void expand(const u8* from, double* to, unsigned count) {
    KC_ELEMENTS(count) {
      const u32 magnitude = from[i] & 0x7fU;
      const float value = bits_as<float>(magnitude << 20) * 0x1p120F;
      const u32 bits = magnitude == 0x7fU ? canonical_nan : bits_as<u32>(value);
      to[i] = static_cast<double>(bits_as<float>(bits | static_cast<u32>(from[i] & 0x80U) << 24));
    }
  }
};
/// The upper half of an f16.
struct E5m2 {
  using Storage = u8;
  using Sum = double;
  static KC_INLINE void expand(const u8* from, double* to, unsigned count) {
    KC_ELEMENTS(count) {
      to[i] = static_cast<double>(f16_to_f32(static_cast<u16>(from[i] << 8)));
    }
  }
};
struct S8 {
  using Storage = s8;
  using Sum = float;
  static KC_INLINE void expand(const s8* from, float* to, unsigned count) {
    KC_ELEMENTS(count) {
      to[i] = static_cast<float>(from[i]);
    }
  }
};
struct U8 {
  using Storage = u8;
  using Sum = float;
  static KC_INLINE void expand(const u8* from, float* to, unsigned count) {
    KC_ELEMENTS(count) {
      to[i] = static_cast<float>(from[i]);
    }
  }
};

template <class T>
struct Row;
template <>
struct Row<double> {
  using type __attribute__((vector_size(64))) = double;
};
template <>
struct Row<float> {
  using type __attribute__((vector_size(32))) = float;
};

/// c += a * b, where a row of b and of c is one vector.
template <class T, unsigned M, unsigned K>
KC_INLINE void multiply(const T (&a)[M][K], const typename Row<T>::type (&b)[K],
                        typename Row<T>::type (&c)[M]) {
#if defined(__AVX__)
  constexpr unsigned together = 4;
#else
  constexpr unsigned together = 2;
#endif
  for (unsigned row = 0; row < M; row += together) {
    typename Row<T>::type sum[together];
    for (unsigned r = 0; r < together; ++r) {
      sum[r] = c[row + r];
    }
    for (unsigned k = 0; k < K; ++k) {
      const typename Row<T>::type right = b[k];
      for (unsigned r = 0; r < together; ++r) {
        sum[r] += a[row + r][k] * right;
      }
    }
    for (unsigned r = 0; r < together; ++r) {
      c[row + r] = sum[r];
    }
  }
}

/// The lanes of a register of A hold a block of 8 rows in row order; the registers alternate between upper
/// and lower rows and go on along k.
template <class E, unsigned M, unsigned K>
KC_INLINE void gather_a(const Warp& w, const u32* list, typename E::Sum (&a)[M][K]) {
  constexpr unsigned along_k = std::size_t{lanes_per_row} * 4 / sizeof(typename E::Storage);
  constexpr unsigned blocks = M / block_rows;
  for (unsigned r = 0; r < blocks * (K / along_k); ++r) {
    alignas(64) typename E::Sum flat[std::size_t{block_rows} * along_k];
    E::expand(src<typename E::Storage>(w, list[r]), flat, block_rows * along_k);
    for (unsigned row = 0; row < block_rows; ++row) {
      __builtin_memcpy(&a[r % blocks * block_rows + row][r / blocks * along_k], flat + row * along_k,
                       along_k * sizeof(typename E::Sum));
    }
  }
}

/// The lanes of a register of B hold a block of 8 columns in column order.
template <class E, unsigned K>
KC_INLINE void gather_b(const Warp& w, const u32* list, typename Row<typename E::Sum>::type (&b)[K]) {
  using T = E::Storage;
  constexpr unsigned along_k = std::size_t{lanes_per_row} * 4 / sizeof(T);
  for (unsigned r = 0; r < K / along_k; ++r) {
    const T* from = src<T>(w, list[r]);
    alignas(64) T turned[along_k * columns];
    for (unsigned k = 0; k < along_k; ++k) {
      for (unsigned column = 0; column < columns; ++column) {
        turned[k * columns + column] = from[column * along_k + k];
      }
    }
    alignas(64) typename E::Sum flat[along_k * columns];
    E::expand(turned, flat, along_k * columns);
    __builtin_memcpy(&b[r * along_k], flat, sizeof(flat));
  }
}

// Accumulators: 8 rows of 8 columns, of which lane i holds elements 2i and 2i+1 in row order.

struct ToF32 {
  static KC_INLINE void load(const Warp& w, const u32* list, unsigned block, double* to) {
    for (unsigned e = 0; e < 2; ++e) {
      const float* c = src<float>(w, list[2 * block + e]);
      for (unsigned i = 0; i < lane_count; ++i) {
        to[2 * i + e] = static_cast<double>(c[i]);
      }
    }
  }
  static KC_INLINE void store(Warp& w, const Op*, const u32* list, const u32*, unsigned block,
                              const double* sums) {
    for (unsigned e = 0; e < 2; ++e) {
      float* d = dst<float>(w, list[2 * block + e]);
      for (unsigned i = 0; i < lane_count; ++i) {
        d[i] = canonical(static_cast<float>(sums[2 * i + e]));
      }
    }
  }
};

struct ToF16 {
  static KC_INLINE void load(const Warp& w, const u32* list, unsigned block, double* to) {
    F16::expand(src<u16>(w, list[block]), to, 2 * lane_count);
  }
  static KC_INLINE void store(Warp& w, const Op*, const u32* list, const u32*, unsigned block,
                              const double* sums) {
    u16* d = dst<u16>(w, list[block]);
    for (unsigned i = 0; i < 2 * lane_count; ++i) {
      d[i] = static_cast<u16>(encode(sums[i], f16_format, Rounding::rn, false));
    }
  }
};

/// `added` may be null: then nothing is added to the products.
struct ToS32 {
  static KC_INLINE void load(const Warp&, const u32*, unsigned, float* to) {
    for (unsigned i = 0; i < 2 * lane_count; ++i) {
      to[i] = 0;
    }
  }
  static KC_INLINE void store(Warp& w, const Op* op, const u32* list, const u32* added, unsigned block,
                              const float* sums) {
    const bool clamps = (op->flags & flag::sat_finite) != 0;
    for (unsigned e = 0; e < 2; ++e) {
      const s32* c = added == nullptr ? nullptr : src<s32>(w, added[2 * block + e]);
      s32* d = dst<s32>(w, list[2 * block + e]);
      for (unsigned i = 0; i < lane_count; ++i) {
        const s64 sum = s64{c == nullptr ? 0 : c[i]} + static_cast<s32>(sums[2 * i + e]);
        const s64 least = -2147483648LL;
        const s64 most = 2147483647LL;
        d[i] = static_cast<s32>(static_cast<u32>(!clamps       ? sum
                                                 : sum < least ? least
                                                 : sum > most  ? most
                                                               : sum));
      }
    }
  }
};

}  // namespace

}  // namespace kerncast::simulator::KERNCAST_SIM_LEVEL
