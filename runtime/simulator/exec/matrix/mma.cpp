#include <type_traits>

#include "runtime/simulator/exec/executor.hpp"
#include "runtime/simulator/exec/matrix/product.hpp"
#include "runtime/simulator/exec/members.hpp"

// Products of the matrices of one warp.
namespace kerncast::simulator::KERNCAST_SIM_LEVEL {

namespace {

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
