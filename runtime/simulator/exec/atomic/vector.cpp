#include "runtime/simulator/exec/address.hpp"
#include "runtime/simulator/exec/atomic/floats.hpp"
#include "runtime/simulator/exec/executor.hpp"
#include "runtime/simulator/exec/float_lanes.hpp"
#include "runtime/simulator/exec/formats.hpp"
#include "runtime/simulator/exec/lanes.hpp"

// Atomics on vectors of floats and on 128 bits.
namespace kerncast::simulator::KERNCAST_SIM_LEVEL {

namespace {

template <class F, bool Returns>
const Op* vector(Warp& w, const Op* op, u32 mask) {
  using T = F::type;
  const u32 bytes = op->width * static_cast<u32>(sizeof(T));
  Access access;
  if (!resolve(w, op, mask, bytes, access)) {
    access.fault.what = "atomic access";
    return raise_access(w, op, access.fault);
  }
  if (!watched(w, op, access, WarpAccess::Kind::atomic, mask, bytes)) {
    return nullptr;
  }
  const u32* sources = w.lists + op->d2 + (Returns ? op->width : 0U);
  T results[8][lane_count];
  for (u32 rest = mask; rest != 0; rest &= rest - 1) {
    const auto i = static_cast<unsigned>(__builtin_ctz(rest));
    for (unsigned k = 0; k < op->width; ++k) {
      T* p = reinterpret_cast<T*>(access.at(i)) + k;
      const T b = src<T>(w, sources[k])[i];
      T old = __atomic_load_n(p, __ATOMIC_RELAXED);
      while (!__atomic_compare_exchange_n(p, &old, F::f(op, old, b, b), false, __ATOMIC_ACQ_REL,
                                          __ATOMIC_RELAXED)) {
      }
      results[k][i] = old;
    }
  }
  if constexpr (Returns) {
    for (unsigned k = 0; k < op->width; ++k) {
      each(dst<T>(w, w.lists[op->d2 + k]), mask, [&](unsigned i) { return results[k][i]; });
    }
  }
  return op + 1;
}

template <class F>
Handler pick(const Op& op) {
  return op.code == Code::atom_vector ? vector<F, true> : vector<F, false>;
}

/// Two 64-bit halves compared and exchanged as one.
struct alignas(16) Wide {
  u64 low;
  u64 high;
};

KC_INLINE bool exchange(Wide* at, Wide& expected, const Wide& desired) {
  bool done = false;
  __asm__ volatile("lock cmpxchg16b %1"
                   : "=@ccz"(done), "+m"(*at), "+a"(expected.low), "+d"(expected.high)
                   : "b"(desired.low), "c"(desired.high)
                   : "memory");
  return done;
}

const Op* wide(Warp& w, const Op* op, u32 mask) {
  Access access;
  if (!resolve(w, op, mask, sizeof(Wide), access)) {
    access.fault.what = "atomic access";
    return raise_access(w, op, access.fault);
  }
  if (!watched(w, op, access, WarpAccess::Kind::atomic, mask, sizeof(Wide))) {
    return nullptr;
  }
  const u32* list = w.lists + op->d2;
  const bool compares = static_cast<AtomicOp>(op->count) == AtomicOp::cas;
  const auto value = [&](unsigned first, unsigned lane) {
    return Wide{src<u64>(w, list[first])[lane], src<u64>(w, list[first + 1])[lane]};
  };
  Wide results[lane_count];
  for (u32 rest = mask; rest != 0; rest &= rest - 1) {
    const auto i = static_cast<unsigned>(__builtin_ctz(rest));
    Wide* at = reinterpret_cast<Wide*>(access.at(i));
    const Wide desired = value(compares ? 4 : 2, i);
    Wide old = compares ? value(2, i) : Wide{at->low, at->high};
    while (!exchange(at, old, desired) && !compares) {
    }
    results[i] = old;
  }
  each(dst<u64>(w, list[0]), mask, [&](unsigned i) { return results[i].low; });
  each(dst<u64>(w, list[1]), mask, [&](unsigned i) { return results[i].high; });
  return op + 1;
}

}  // namespace

Handler select_atomic_vector(const Op& op) {
  if (op.code != Code::atom_vector && op.code != Code::red_vector) {
    return nullptr;
  }
  switch (op.type) {
    case Type::f32:
      return pick<Float32>(op);
    case Type::f16:
      return pick<Half<false>>(op);
    case Type::bf16:
      return pick<Half<true>>(op);
    case Type::f16x2:
      return pick<HalfPair<false>>(op);
    case Type::bf16x2:
      return pick<HalfPair<true>>(op);
    case Type::b128:
      return wide;
    default:
      return nullptr;
  }
}

}  // namespace kerncast::simulator::KERNCAST_SIM_LEVEL
