#include <type_traits>

#include "runtime/simulator/exec/address.hpp"
#include "runtime/simulator/exec/atomic/floats.hpp"
#include "runtime/simulator/exec/executor.hpp"
#include "runtime/simulator/exec/float_lanes.hpp"
#include "runtime/simulator/exec/formats.hpp"
#include "runtime/simulator/exec/lanes.hpp"

namespace kerncast::simulator::KERNCAST_SIM_LEVEL {

namespace {

template <class T, class S>
KC_INLINE T integer_result(const Op* op, T old, T b, T c) {
  switch (static_cast<AtomicOp>(op->count)) {
    case AtomicOp::add:
      return static_cast<T>(old + b);
    case AtomicOp::min:
      return static_cast<S>(old) < static_cast<S>(b) ? old : b;
    case AtomicOp::max:
      return static_cast<S>(old) > static_cast<S>(b) ? old : b;
    case AtomicOp::bit_and:
      return static_cast<T>(old & b);
    case AtomicOp::bit_or:
      return static_cast<T>(old | b);
    case AtomicOp::bit_xor:
      return static_cast<T>(old ^ b);
    case AtomicOp::exch:
      return b;
    case AtomicOp::cas:
      return old == b ? c : old;
    case AtomicOp::inc:
      return static_cast<T>(old >= b ? T{0} : static_cast<T>(old + 1));
    case AtomicOp::dec:
      return old == 0 || old > b ? b : static_cast<T>(old - 1);
  }
  return old;
}

struct Signed32 {
  using type = u32;
  static KC_INLINE u32 f(const Op* op, u32 old, u32 b, u32 c) {
    return integer_result<u32, s32>(op, old, b, c);
  }
};
struct Unsigned32 {
  using type = u32;
  static KC_INLINE u32 f(const Op* op, u32 old, u32 b, u32 c) {
    return integer_result<u32, u32>(op, old, b, c);
  }
};
struct Signed64 {
  using type = u64;
  static KC_INLINE u64 f(const Op* op, u64 old, u64 b, u64 c) {
    return integer_result<u64, s64>(op, old, b, c);
  }
};
struct Unsigned64 {
  using type = u64;
  static KC_INLINE u64 f(const Op* op, u64 old, u64 b, u64 c) {
    return integer_result<u64, u64>(op, old, b, c);
  }
};
struct Bits16 {
  using type = u16;
  static KC_INLINE u16 f(const Op* op, u16 old, u16 b, u16 c) {
    return integer_result<u16, u16>(op, old, b, c);
  }
};

struct Float64 {
  using type = u64;
  static KC_INLINE u64 f(const Op*, u64 old, u64 b, u64) {
    return bits_as<u64>(bits_as<double>(old) + bits_as<double>(b));
  }
};

/// Lanes take effect one after the other. Host atomics serve shared memory too: it costs little and generic
/// addresses need not be told apart.
template <class F, bool Returns>
const Op* atomic(Warp& w, const Op* op, u32 mask) {
  using T = F::type;
  Access access;
  if (!resolve(w, op, mask, sizeof(T), access)) {
    access.fault.what = "atomic access";
    return raise_access(w, op, access.fault);
  }
  if (!watched(w, op, access, WarpAccess::Kind::atomic, mask, sizeof(T))) {
    return nullptr;
  }
  const T* b = src<T>(w, op->b);
  const T* c = static_cast<AtomicOp>(op->count) == AtomicOp::cas ? src<T>(w, op->c) : b;
  alignas(64) T results[lane_count];
  for (u32 rest = mask; rest != 0; rest &= rest - 1) {
    const auto i = static_cast<unsigned>(__builtin_ctz(rest));
    T* p = reinterpret_cast<T*>(access.at(i));
    T old = __atomic_load_n(p, __ATOMIC_RELAXED);
    const bool exact = std::is_same_v<F, Float32> && reinterpret_cast<std::byte*>(p) >= w.shared &&
                       reinterpret_cast<std::byte*>(p) < w.shared + w.shared_bytes;
    for (;;) {
      T fresh = F::f(op, old, b[i], c[i]);
      if constexpr (std::is_same_v<F, Float32>) {
        fresh = exact ? bits_as<u32>(canonical(bits_as<float>(old) + bits_as<float>(b[i]))) : fresh;
      }
      if (__atomic_compare_exchange_n(p, &old, fresh, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
        break;
      }
    }
    results[i] = old;
  }
  if constexpr (Returns) {
    each(dst<T>(w, op->d), mask, [&](unsigned i) { return results[i]; });
  }
  return op + 1;
}

template <class F>
Handler pick(const Op& op) {
  return op.code == Code::atom ? atomic<F, true> : atomic<F, false>;
}

}  // namespace

Handler select_atomic(const Op& op) {
  if (op.code != Code::atom && op.code != Code::red) {
    return nullptr;
  }
  const auto kind = static_cast<AtomicOp>(op.count);
  const bool arithmetic = kind == AtomicOp::add || kind == AtomicOp::min || kind == AtomicOp::max;
  switch (op.type) {
    case Type::b16:
      return kind == AtomicOp::cas || kind == AtomicOp::exch ? pick<Bits16>(op) : nullptr;
    case Type::b32:
    case Type::u32:
      return pick<Unsigned32>(op);
    case Type::s32:
      return pick<Signed32>(op);
    case Type::b64:
    case Type::u64:
      return pick<Unsigned64>(op);
    case Type::s64:
      return pick<Signed64>(op);
    case Type::f32:
      return kind == AtomicOp::add ? pick<Float32>(op) : nullptr;
    case Type::f64:
      return kind == AtomicOp::add ? pick<Float64>(op) : nullptr;
    case Type::f16:
      return arithmetic ? pick<Half<false>>(op) : nullptr;
    case Type::bf16:
      return arithmetic ? pick<Half<true>>(op) : nullptr;
    case Type::f16x2:
      return arithmetic ? pick<HalfPair<false>>(op) : nullptr;
    case Type::bf16x2:
      return arithmetic ? pick<HalfPair<true>>(op) : nullptr;
    default:
      return nullptr;
  }
}

}  // namespace kerncast::simulator::KERNCAST_SIM_LEVEL
