#include "runtime/simulator/exec/compare.hpp"
#include "runtime/simulator/exec/executor.hpp"
#include "runtime/simulator/exec/integer_ops.hpp"
#include "runtime/simulator/exec/lanes.hpp"

namespace kerncast::simulator::KERNCAST_SIM_LEVEL {

namespace {

template <class T, class F>
const Op* unary(Warp& w, const Op* op, u32 mask) {
  const T* a = src<T>(w, op->a);
  lanes(dst<T>(w, op->d), mask, [&](unsigned i) { return F::template f<T>(a[i]); });
  return op + 1;
}

template <class T, class F>
const Op* binary(Warp& w, const Op* op, u32 mask) {
  const T* a = src<T>(w, op->a);
  const T* b = src<T>(w, op->b);
  lanes(dst<T>(w, op->d), mask, [&](unsigned i) { return F::template f<T>(a[i], b[i]); });
  return op + 1;
}

template <class T, class F>
const Op* ternary(Warp& w, const Op* op, u32 mask) {
  const T* a = src<T>(w, op->a);
  const T* b = src<T>(w, op->b);
  const T* c = src<T>(w, op->c);
  lanes(dst<T>(w, op->d), mask, [&](unsigned i) { return F::template f<T>(a[i], b[i], c[i]); });
  return op + 1;
}

template <class T, bool Accumulate>
const Op* wide(Warp& w, const Op* op, u32 mask) {
  using W = D<T>;
  const T* a = src<T>(w, op->a);
  const T* b = src<T>(w, op->b);
  W* d = dst<W>(w, op->d);
  if constexpr (Accumulate) {
    const W* c = src<W>(w, op->c);
    lanes(d, mask, [&](unsigned i) {
      return wrap_add(static_cast<W>(static_cast<W>(a[i]) * static_cast<W>(b[i])), c[i]);
    });
  } else {
    lanes(d, mask, [&](unsigned i) { return static_cast<W>(static_cast<W>(a[i]) * static_cast<W>(b[i])); });
  }
  return op + 1;
}

/// Shift amounts beyond the width shift everything out; 16-bit values are shifted in 32 bits.
template <class T, bool Left>
const Op* shift(Warp& w, const Op* op, u32 mask) {
  const T* a = src<T>(w, op->a);
  const u32* b = src<u32>(w, op->b);
  constexpr u32 most = bit_count<T> - 1;
  using V = U<T>;
  if (is_constant(op->b)) {
    const u32 by = b[0];
    if (Left) {
      lanes(dst<T>(w, op->d), mask,
            [&](unsigned i) { return by > most ? T{0} : static_cast<T>(static_cast<V>(a[i]) << by); });
    } else {
      const u32 amount = by > most ? most : by;
      const bool zero = by > most && !signed_type<T>;
      lanes(dst<T>(w, op->d), mask, [&](unsigned i) { return zero ? T{0} : static_cast<T>(a[i] >> amount); });
    }
    return op + 1;
  }
  lanes(dst<T>(w, op->d), mask, [&](unsigned i) {
    const u32 amount = b[i] > most ? most : b[i];
    if (Left) {
      return b[i] > most ? T{0} : static_cast<T>(static_cast<V>(a[i]) << amount);
    }
    return b[i] > most && !signed_type<T> ? T{0} : static_cast<T>(a[i] >> amount);
  });
  return op + 1;
}

template <class T>
const Op* with_carry(Warp& w, const Op* op, u32 mask) {
  using V = U<T>;
  const V* a = src<V>(w, op->a);
  const V* b = src<V>(w, op->b);
  V* d = dst<V>(w, op->d);
  const u32 in = (op->flags & flag::carry_in) != 0 ? pred(w, op->d2) : 0U;
  const V* c = op->code == Code::mad_carry || op->code == Code::mad_hi_carry ? src<V>(w, op->c) : nullptr;
  u32 out = 0;
  for (u32 rest = mask; rest != 0; rest &= rest - 1) {
    const auto i = static_cast<unsigned>(__builtin_ctz(rest));
    const V carry = static_cast<V>(in >> i & 1U);
    V x = a[i];
    V y = b[i];
    bool carries = false;
    V result = 0;
    if (op->code == Code::sub_carry) {
      // A subtraction sets the carry if it does not borrow. NVRTC's own 128-bit division relies on that: it
      // reads the flag of a subtraction by addc.
      const V borrow = (op->flags & flag::carry_in) != 0 ? static_cast<V>(1 - carry) : V{0};
      V difference = 0;
      const bool first = __builtin_sub_overflow(x, y, &difference);
      carries = !(__builtin_sub_overflow(difference, borrow, &result) || first);
    } else {
      if (c != nullptr) {
        x = static_cast<V>(op->code == Code::mad_carry
                               ? wrap_mul<V>(x, y)
                               : static_cast<V>(high_mul<T>(static_cast<T>(x), static_cast<T>(y))));
        y = c[i];
      }
      V sum = 0;
      const bool first = __builtin_add_overflow(x, y, &sum);
      carries = __builtin_add_overflow(sum, carry, &result) || first;
    }
    d[i] = result;
    out |= carries ? 1U << i : 0U;
  }
  if ((op->flags & flag::carry_out) != 0) {
    set_pred(w, op->d2, mask, out);
  }
  return op + 1;
}

template <class T, Compare C>
u32 compare(const T* a, const T* b) {
  return where([&](unsigned i) {
    return C == Compare::eq ? a[i] == b[i] : C == Compare::lt ? a[i] < b[i] : a[i] <= b[i];
  });
}

template <class T>
u32 compare_any(const Op* op, const T* a, const T* b) {
  switch (static_cast<Compare>(op->sub)) {
    case Compare::eq:
      return compare<T, Compare::eq>(a, b);
    case Compare::lt:
      return compare<T, Compare::lt>(a, b);
    default:
      return compare<T, Compare::le>(a, b);
  }
}

template <class T>
const Op* set_predicate(Warp& w, const Op* op, u32 mask) {
  return finish_setp(w, op, mask, compare_any<T>(op, src<T>(w, op->a), src<T>(w, op->b)));
}

template <class T>
const Op* set_value(Warp& w, const Op* op, u32 mask) {
  return finish_set(w, op, mask, compare_any<T>(op, src<T>(w, op->a), src<T>(w, op->b)));
}

template <class T>
const Op* select_value(Warp& w, const Op* op, u32 mask) {
  const T* a = src<T>(w, op->a);
  const T* b = src<T>(w, op->b);
  T* d = dst<T>(w, op->d);
  const u32 chosen = pred(w, op->c) ^ ((op->flags & flag::neg_c) != 0 ? ~0U : 0U);
  alignas(64) T fresh[lane_count];
  KC_LANES {
    fresh[i] = b[i];
  }
  blend(fresh, a, chosen);
  lanes(d, mask, [&](unsigned i) { return fresh[i]; });
  return op + 1;
}

template <class T, class S>
const Op* select_by_sign(Warp& w, const Op* op, u32 mask) {
  const T* a = src<T>(w, op->a);
  const T* b = src<T>(w, op->b);
  const S* c = src<S>(w, op->c);
  // -0 counts as not negative, and so does a NaN; subnormals are flushed to zeros that keep their sign.
  const bool ftz = (op->flags & flag::ftz) != 0;
  each(dst<T>(w, op->d), mask, [&](unsigned i) {
    bool negative = !(c[i] >= S{0});
    if constexpr (sizeof(S) == sizeof(float) && static_cast<S>(0.5) != S{0}) {
      const u32 magnitude = bits_as<u32>(c[i]) & 0x7fffffffU;
      negative = negative && !(ftz && magnitude < 0x00800000U);
    }
    return negative ? b[i] : a[i];
  });
  return op + 1;
}

template <class T>
const Op* move(Warp& w, const Op* op, u32 mask) {
  const T* a = src<T>(w, op->a);
  lanes(dst<T>(w, op->d), mask, [&](unsigned i) { return a[i]; });
  return op + 1;
}

template <class F>
Handler by_type(Type type, F f) {
  switch (type) {
    case Type::u16:
      return f(u16{});
    case Type::s16:
      return f(s16{});
    case Type::u32:
      return f(u32{});
    case Type::s32:
      return f(s32{});
    case Type::u64:
      return f(u64{});
    case Type::s64:
      return f(s64{});
    default:
      return nullptr;
  }
}

template <class F>
Handler by_width(Type type, F f) {
  switch (type) {
    case Type::b16:
    case Type::u16:
    case Type::s16:
    case Type::f16:
    case Type::bf16:
      return f(u16{});
    case Type::b32:
    case Type::u32:
    case Type::s32:
    case Type::f32:
    case Type::f16x2:
    case Type::bf16x2:
      return f(u32{});
    case Type::b64:
    case Type::u64:
    case Type::s64:
    case Type::f64:
      return f(u64{});
    default:
      return nullptr;
  }
}

/// Wrapping arithmetic is the same for signed and unsigned values, so only one of them is built.
Type sign_free(Type type) {
  return type == Type::s16 ? Type::u16 : type == Type::s32 ? Type::u32 : type == Type::s64 ? Type::u64 : type;
}

}  // namespace

#define KC_UNARY(F) by_type(op.type, [](auto t) -> Handler { return unary<decltype(t), F>; })
#define KC_BINARY(F) by_type(op.type, [](auto t) -> Handler { return binary<decltype(t), F>; })
#define KC_BINARY_FREE(F) \
  by_type(sign_free(op.type), [](auto t) -> Handler { return binary<decltype(t), F>; })
#define KC_TERNARY(F) by_type(op.type, [](auto t) -> Handler { return ternary<decltype(t), F>; })
#define KC_BY_4_8(F) \
  (op.type == Type::u32 ? F<u32> : op.type == Type::s32 ? F<s32> : op.type == Type::u64 ? F<u64> : F<s64>)

Handler select_integer(const Op& op) {
  const bool sat = (op.flags & flag::sat) != 0;
  const bool is_s32 = op.type == Type::s32;
  switch (op.code) {
    case Code::mov:
      return by_width(op.type, [](auto t) -> Handler { return move<decltype(t)>; });
    case Code::add:
      return sat && is_s32 ? binary<s32, AddSat> : KC_BINARY_FREE(Add);
    case Code::sub:
      return sat && is_s32 ? binary<s32, SubSat> : KC_BINARY_FREE(Sub);
    case Code::mul:
      return KC_BINARY_FREE(Mul);
    case Code::mul_hi:
      return KC_BINARY(MulHi);
    case Code::mul_wide:
      return op.type == Type::u16   ? wide<u16, false>
             : op.type == Type::s16 ? wide<s16, false>
             : op.type == Type::u32 ? wide<u32, false>
                                    : wide<s32, false>;
    case Code::mad_wide:
      return op.type == Type::u16   ? wide<u16, true>
             : op.type == Type::s16 ? wide<s16, true>
             : op.type == Type::u32 ? wide<u32, true>
                                    : wide<s32, true>;
    case Code::mad:
      return by_type(sign_free(op.type), [](auto t) -> Handler { return ternary<decltype(t), Mad>; });
    case Code::mad_hi:
      return sat ? ternary<s32, MadHiSat> : KC_TERNARY(MadHi);
    case Code::mul24:
      return is_s32 ? binary<s32, Mul24> : binary<u32, Mul24>;
    case Code::mul24_hi:
      return is_s32 ? binary<s32, Mul24Hi> : binary<u32, Mul24Hi>;
    case Code::mad24:
      return is_s32 ? ternary<s32, Mad24> : ternary<u32, Mad24>;
    case Code::mad24_hi:
      return sat ? ternary<s32, Mad24HiSat> : is_s32 ? ternary<s32, Mad24Hi> : ternary<u32, Mad24Hi>;
    case Code::sad:
      return KC_TERNARY(Sad);
    case Code::div:
      return KC_BINARY(Div);
    case Code::rem:
      return KC_BINARY(Rem);
    case Code::min:
      return KC_BINARY(Min);
    case Code::max:
      return KC_BINARY(Max);
    case Code::abs:
      return KC_UNARY(Abs);
    case Code::neg:
      return KC_UNARY(Neg);
    case Code::bit_and:
      return KC_BINARY(And);
    case Code::bit_or:
      return KC_BINARY(Or);
    case Code::bit_xor:
      return KC_BINARY(Xor);
    case Code::bit_not:
      return KC_UNARY(Not);
    case Code::cnot:
      return KC_UNARY(CNot);
    case Code::brev:
      return op.type == Type::u32 ? unary<u32, Brev> : unary<u64, Brev>;
    case Code::shl:
      return by_type(sign_free(op.type), [](auto t) -> Handler { return shift<decltype(t), true>; });
    case Code::shr:
      return by_type(op.type, [](auto t) -> Handler { return shift<decltype(t), false>; });
    case Code::add_carry:
    case Code::sub_carry:
    case Code::mad_carry:
    case Code::mad_hi_carry:
      return KC_BY_4_8(with_carry);
    case Code::setp:
      return by_type(op.type, [](auto t) -> Handler { return set_predicate<decltype(t)>; });
    case Code::set:
      return by_type(op.type, [](auto t) -> Handler { return set_value<decltype(t)>; });
    case Code::selp:
      return by_width(op.type, [](auto t) -> Handler { return select_value<decltype(t)>; });
    case Code::slct:
      return op.source == Type::f32
                 ? by_width(op.type, [](auto t) -> Handler { return select_by_sign<decltype(t), float>; })
                 : by_width(op.type, [](auto t) -> Handler { return select_by_sign<decltype(t), s32>; });
    default:
      return nullptr;
  }
}

}  // namespace kerncast::simulator::KERNCAST_SIM_LEVEL
