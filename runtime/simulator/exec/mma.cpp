#include <type_traits>

#include "runtime/simulator/exec/executor.hpp"
#include "runtime/simulator/exec/float_lanes.hpp"
#include "runtime/simulator/exec/formats.hpp"
#include "runtime/simulator/exec/lanes.hpp"
#include "runtime/simulator/exec/members.hpp"

// Warp matrix products. The PTX ISA leaves the order and the intermediate precision of mma's sums to the
// hardware. Here the products are exact, the accumulator and all products of one instruction are added in
// double in order of k, and the sum is rounded once, to nearest even, to the accumulator's type. Integers are
// exact.
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
      const s32* c = src<s32>(w, added[2 * block + e]);
      s32* d = dst<s32>(w, list[2 * block + e]);
      for (unsigned i = 0; i < lane_count; ++i) {
        const s64 sum = s64{c[i]} + static_cast<s32>(sums[2 * i + e]);
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

template <class A, class B, class D, unsigned M, unsigned K>
const Op* product(Warp& w, const Op* op, u32 mask) {
  using T = A::Sum;
  return with_warp(w, op, mask, static_cast<u32>(op->imm), [&](u32) {
    constexpr unsigned a_registers = std::size_t{M} * K * sizeof(typename A::Storage) / 128;
    constexpr unsigned b_registers = std::size_t{columns} * K * sizeof(typename B::Storage) / 128;
    const unsigned accumulators = std::is_same_v<D, ToF16> ? M / 8 : M / 4;
    const u32* d_list = w.lists + op->d2;
    const u32* a_list = d_list + accumulators;
    const u32* b_list = a_list + a_registers;
    const u32* c_list = b_list + b_registers;
    alignas(64) T a[M][K];
    typename Row<T>::type b[K];
    typename Row<T>::type c[M];
    gather_a<A, M, K>(w, a_list, a);
    gather_b<B, K>(w, b_list, b);
    alignas(64) T flat[M * columns];
    for (unsigned block = 0; block < M / block_rows; ++block) {
      D::load(w, c_list, block, flat + block * block_rows * columns);
    }
    __builtin_memcpy(c, flat, sizeof(flat));
    multiply<T, M, K>(a, b, c);
    __builtin_memcpy(flat, c, sizeof(flat));
    for (unsigned block = 0; block < M / block_rows; ++block) {
      D::store(w, op, d_list, c_list, block, flat + block * block_rows * columns);
    }
  });
}

template <class A, class B, class D>
Handler by_shape(const Op& op) {
  if constexpr (std::is_same_v<D, ToS32>) {
    if (op.width == 8) {
      return op.count == 16 ? product<A, B, D, 8, 16> : nullptr;
    }
  }
  if (op.width != 16) {
    return nullptr;
  }
  constexpr unsigned bytes = sizeof(typename A::Storage);
  // The smallest step along k fills one register of B.
  if (op.count == 16 / bytes) {
    return product<A, B, D, 16, 16 / bytes>;
  }
  return op.count == 32 / bytes ? product<A, B, D, 16, 32 / bytes> : nullptr;
}

template <class A, class B>
Handler by_result(const Op& op) {
  return static_cast<Type>(op.sub) == Type::f16 ? by_shape<A, B, ToF16>(op) : by_shape<A, B, ToF32>(op);
}

}  // namespace

Handler select_mma(const Op& op) {
  if (op.code != Code::mma) {
    return nullptr;
  }
  switch (op.type) {
    case Type::f16:
      return by_result<F16, F16>(op);
    case Type::bf16:
      return by_shape<Bf16, Bf16, ToF32>(op);
    case Type::tf32:
      return by_shape<Tf32, Tf32, ToF32>(op);
    case Type::e4m3:
      return op.source == Type::e4m3 ? by_result<E4m3, E4m3>(op) : by_result<E4m3, E5m2>(op);
    case Type::e5m2:
      return op.source == Type::e4m3 ? by_result<E5m2, E4m3>(op) : by_result<E5m2, E5m2>(op);
    case Type::s8:
      return op.source == Type::s8 ? by_shape<S8, S8, ToS32>(op) : by_shape<S8, U8, ToS32>(op);
    case Type::u8:
      return op.source == Type::s8 ? by_shape<U8, S8, ToS32>(op) : by_shape<U8, U8, ToS32>(op);
    default:
      return nullptr;
  }
}

}  // namespace kerncast::simulator::KERNCAST_SIM_LEVEL
