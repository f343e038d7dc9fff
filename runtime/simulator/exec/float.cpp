#include <type_traits>

#include "runtime/simulator/exec/approx.hpp"
#include "runtime/simulator/exec/compare.hpp"
#include "runtime/simulator/exec/executor.hpp"
#include "runtime/simulator/exec/float_lanes.hpp"
#include "runtime/simulator/exec/lanes.hpp"

namespace kerncast::simulator::KERNCAST_SIM_LEVEL {

namespace {

struct Add {
  template <class T>
  static KC_INLINE T f(T a, T b) {
    return a + b;
  }
};
struct Sub {
  template <class T>
  static KC_INLINE T f(T a, T b) {
    return a - b;
  }
};
struct Mul {
  template <class T>
  static KC_INLINE T f(T a, T b) {
    return a * b;
  }
  static KC_INLINE float scaled(float a, float b) { return (a * 0x1p32F) * b; }
};
struct Div {
  template <class T>
  static KC_INLINE T f(T a, T b) {
    return a / b;
  }
  static KC_INLINE float scaled(float a, float b) { return (a * 0x1p32F) / b; }
};
/// div.approx: divisors above 2^126 give 0, as its multiplication by the flushed reciprocal does.
struct DivApprox {
  static KC_INLINE float f(float a, float b) {
    const float magnitude = bits_as<float>(bits_as<u32>(b) & 0x7fffffffU);
    const bool huge = magnitude > 0x1p126F && magnitude <= 0x1.fffffep127F;
    return huge ? a * bits_as<float>(bits_as<u32>(b) & 0x80000000U) : a / b;
  }
};
struct Fma {
  template <class T>
  static KC_INLINE T f(T a, T b, T c) {
    return fused(a, b, c);
  }
  static KC_INLINE float scaled(float a, float b, float c) { return fused(a * 0x1p32F, b, c * 0x1p32F); }
};
struct Rcp {
  template <class T>
  static KC_INLINE T f(T a) {
    return T{1} / a;
  }
  static KC_INLINE float scaled(float a) { return 0x1p32F / a; }
};
struct Sqrt {
  static KC_INLINE float f(float a) { return __builtin_sqrtf(a); }
  static KC_INLINE double f(double a) { return __builtin_sqrt(a); }
};
struct Rsqrt {
  static KC_INLINE float f(float a) {
    return static_cast<float>(1.0 / __builtin_sqrt(static_cast<double>(a)));
  }
  static KC_INLINE double f(double a) { return 1.0 / __builtin_sqrt(a); }
};
/// The .ftz approximations of f64 take and give the upper 32 bits.
KC_INLINE double upper_half(double a) {
  const u64 bits = bits_as<u64>(a);
  const bool subnormal = (bits & 0x7ff0000000000000ULL) == 0;
  return bits_as<double>(bits & (subnormal ? 0x8000000000000000ULL : 0xffffffff00000000ULL));
}
struct RcpGross {
  static KC_INLINE double f(double a) { return upper_half(1.0 / upper_half(a)); }
};
struct RsqrtGross {
  static KC_INLINE double f(double a) { return upper_half(1.0 / __builtin_sqrt(upper_half(a))); }
};
struct Ex2 {
  static KC_INLINE float f(float a) { return exp2_approx(a); }
};
struct Lg2 {
  static KC_INLINE float f(float a) { return log2_approx(a); }
};
struct Sin {
  static KC_INLINE float f(float a) { return sin_approx(a, false); }
};
struct Cos {
  static KC_INLINE float f(float a) { return sin_approx(a, true); }
};
struct Tanh {
  static KC_INLINE float f(float a) { return tanh_approx(a); }
};

template <class F, bool Ftz, class... T>
KC_INLINE auto result_of(T... x) {
  const auto y = F::f(x...);
  if constexpr (Ftz && (std::is_same_v<T, float> && ...) && requires { F::scaled(x...); }) {
    return flush_result(y, F::scaled(x...));
  } else {
    return flushed<Ftz>(y);
  }
}

template <class T, class F, bool Ftz>
KC_INLINE void run_unary(Warp& w, const Op* op, u32 mask) {
  const T* a = src<T>(w, op->a);
  lanes(dst<T>(w, op->d), mask, [&](unsigned i) { return canonical(result_of<F, Ftz>(flushed<Ftz>(a[i]))); });
}

template <class T, class F, bool Ftz>
KC_INLINE void run_binary(Warp& w, const Op* op, u32 mask) {
  const T* a = src<T>(w, op->a);
  const T* b = src<T>(w, op->b);
  lanes(dst<T>(w, op->d), mask,
        [&](unsigned i) { return canonical(result_of<F, Ftz>(flushed<Ftz>(a[i]), flushed<Ftz>(b[i]))); });
}

template <class T, class F, bool Ftz>
KC_INLINE void run_ternary(Warp& w, const Op* op, u32 mask) {
  const T* a = src<T>(w, op->a);
  const T* b = src<T>(w, op->b);
  const T* c = src<T>(w, op->c);
  lanes(dst<T>(w, op->d), mask, [&](unsigned i) {
    return canonical(result_of<F, Ftz>(flushed<Ftz>(a[i]), flushed<Ftz>(b[i]), flushed<Ftz>(c[i])));
  });
}

template <class T>
void saturate_lanes(Warp& w, const Op* op, u32 mask) {
  T* d = dst<T>(w, op->d);
  lanes(d, mask, [&](unsigned i) { return saturate(d[i]); });
}

template <class T, class F, bool Ftz>
const Op* unary(Warp& w, const Op* op, u32 mask) {
  run_unary<T, F, Ftz>(w, op, mask);
  return op + 1;
}
template <class T, class F, bool Ftz>
const Op* binary(Warp& w, const Op* op, u32 mask) {
  run_binary<T, F, Ftz>(w, op, mask);
  return op + 1;
}
template <class T, class F, bool Ftz>
const Op* ternary(Warp& w, const Op* op, u32 mask) {
  run_ternary<T, F, Ftz>(w, op, mask);
  return op + 1;
}

/// Forms with a directed rounding or saturation. Not inlined, so that no operation moves across the switch of
/// the rounding mode.
template <class T, class F, bool Ftz, int Operands>
__attribute__((noinline)) const Op* careful(Warp& w, const Op* op, u32 mask) {
  {
    const HostRounding rounding(op->rounding);
    if constexpr (Operands == 1) {
      run_unary<T, F, Ftz>(w, op, mask);
    } else if constexpr (Operands == 2) {
      run_binary<T, F, Ftz>(w, op, mask);
    } else {
#if defined(__FMA__)
      run_ternary<T, F, Ftz>(w, op, mask);
#else
      // The library's fused operation honours the rounding mode; the builtin assumes rounding to nearest.
      const T* a = src<T>(w, op->a);
      const T* b = src<T>(w, op->b);
      const T* c = src<T>(w, op->c);
      each(dst<T>(w, op->d), mask, [&](unsigned i) {
        const T x = flushed<Ftz>(a[i]);
        const T y = flushed<Ftz>(b[i]);
        const T z = flushed<Ftz>(c[i]);
        if constexpr (sizeof(T) == 4) {
          const float sum = __builtin_fmaf(x, y, z);
          return canonical(Ftz ? flush_result(sum, __builtin_fmaf(x * 0x1p32F, y, z * 0x1p32F)) : sum);
        } else {
          return __builtin_fma(x, y, z);
        }
      });
#endif
    }
  }
  if ((op->flags & flag::sat) != 0) {
    saturate_lanes<T>(w, op, mask);
  }
  return op + 1;
}

template <class T, class F, int Operands>
Handler pick(const Op& op) {
  const bool ftz = (op.flags & flag::ftz) != 0;
  const bool directed =
      op.rounding == Rounding::rz || op.rounding == Rounding::rm || op.rounding == Rounding::rp;
  if (directed || (op.flags & flag::sat) != 0) {
    return ftz ? careful<T, F, true, Operands> : careful<T, F, false, Operands>;
  }
  if constexpr (Operands == 1) {
    return ftz ? unary<T, F, true> : unary<T, F, false>;
  } else if constexpr (Operands == 2) {
    return ftz ? binary<T, F, true> : binary<T, F, false>;
  } else {
    return ftz ? ternary<T, F, true> : ternary<T, F, false>;
  }
}

template <class F, int Operands>
Handler pick_any(const Op& op) {
  return op.type == Type::f32   ? pick<float, F, Operands>(op)
         : op.type == Type::f64 ? pick<double, F, Operands>(op)
                                : nullptr;
}

template <class T>
struct Format;
template <>
struct Format<float> {
  using bits = u32;
  static constexpr u32 sign_bit = 0x80000000U;
  static constexpr u32 infinity_bits = 0x7f800000U;
  static constexpr u32 least_normal = 0x00800000U;
  static constexpr u32 nan_bits = canonical_nan;
};
template <>
struct Format<double> {
  using bits = u64;
  static constexpr u64 sign_bit = 0x8000000000000000ULL;
  static constexpr u64 infinity_bits = 0x7ff0000000000000ULL;
  static constexpr u64 least_normal = 0x0010000000000000ULL;
  static constexpr u64 nan_bits = 0x7fffffffffffffffULL;
};

/// -0 is less than +0; a NaN loses against a number unless .NaN asks for it.
template <class T, bool Max>
const Op* min_max(Warp& w, const Op* op, u32 mask) {
  using B = Format<T>::bits;
  const T* a = src<T>(w, op->a);
  const T* b = src<T>(w, op->b);
  const bool ftz = (op->flags & flag::ftz) != 0;
  const bool nan = (op->flags & flag::nan) != 0;
  const bool sign = (op->flags & flag::xor_sign) != 0;
  lanes(dst<T>(w, op->d), mask, [&](unsigned i) {
    T x = ftz ? flush(a[i]) : a[i];
    T y = ftz ? flush(b[i]) : b[i];
    const B signs = (bits_as<B>(x) ^ bits_as<B>(y)) & Format<T>::sign_bit;
    if (sign) {
      x = bits_as<T>(static_cast<B>(bits_as<B>(x) & ~Format<T>::sign_bit));
      y = bits_as<T>(static_cast<B>(bits_as<B>(y) & ~Format<T>::sign_bit));
    }
    const B equal = Max ? bits_as<B>(x) & bits_as<B>(y) : bits_as<B>(x) | bits_as<B>(y);
    T result = (Max ? x > y : x < y) ? x : y;
    result = x == y ? bits_as<T>(equal) : result;
    result = y != y ? x : result;
    const bool any = x != x || y != y;
    const bool both = x != x && y != y;
    result = (nan ? any : both) ? bits_as<T>(Format<T>::nan_bits) : result;
    return sign && result == result ? bits_as<T>(static_cast<B>(bits_as<B>(result) | signs)) : result;
  });
  return op + 1;
}

template <class T, bool Negate>
const Op* sign_change(Warp& w, const Op* op, u32 mask) {
  using B = Format<T>::bits;
  const T* a = src<T>(w, op->a);
  const bool ftz = (op->flags & flag::ftz) != 0;
  lanes(dst<T>(w, op->d), mask, [&](unsigned i) {
    const B bits = bits_as<B>(ftz ? flush(a[i]) : a[i]);
    return bits_as<T>(static_cast<B>(Negate ? bits ^ Format<T>::sign_bit : bits & ~Format<T>::sign_bit));
  });
  return op + 1;
}

template <class T>
const Op* copy_sign(Warp& w, const Op* op, u32 mask) {
  using B = Format<T>::bits;
  const B* a = src<B>(w, op->a);
  const B* b = src<B>(w, op->b);
  lanes(dst<B>(w, op->d), mask, [&](unsigned i) {
    return static_cast<B>((a[i] & Format<T>::sign_bit) | (b[i] & ~Format<T>::sign_bit));
  });
  return op + 1;
}

template <class T>
const Op* test_property(Warp& w, const Op* op, u32 mask) {
  using B = Format<T>::bits;
  const B* a = src<B>(w, op->a);
  u32 result = 0;
  for (unsigned i = 0; i < lane_count; ++i) {
    const B magnitude = a[i] & ~Format<T>::sign_bit;
    bool holds = false;
    switch (op->sub) {
      case 0:
        holds = magnitude < Format<T>::infinity_bits;
        break;
      case 1:
        holds = magnitude == Format<T>::infinity_bits;
        break;
      case 2:
        holds = magnitude <= Format<T>::infinity_bits;
        break;
      case 3:
        holds = magnitude > Format<T>::infinity_bits;
        break;
      case 4:
        // Here zero counts as normal.
        holds =
            magnitude < Format<T>::infinity_bits && (magnitude >= Format<T>::least_normal || magnitude == 0);
        break;
      default:
        holds = magnitude < Format<T>::least_normal && magnitude != 0;
        break;
    }
    result |= holds ? 1U << i : 0U;
  }
  set_pred(w, op->d, mask, result);
  return op + 1;
}

template <class T, bool Ftz>
u32 compare(const Op* op, const T* a, const T* b) {
  switch (static_cast<Compare>(op->sub)) {
    case Compare::eq:
      return where([&](unsigned i) { return flushed<Ftz>(a[i]) == flushed<Ftz>(b[i]); });
    case Compare::lt:
      return where([&](unsigned i) { return flushed<Ftz>(a[i]) < flushed<Ftz>(b[i]); });
    case Compare::le:
      return where([&](unsigned i) { return flushed<Ftz>(a[i]) <= flushed<Ftz>(b[i]); });
    case Compare::ltgt:
      return where([&](unsigned i) {
        const T x = flushed<Ftz>(a[i]);
        const T y = flushed<Ftz>(b[i]);
        return x < y || x > y;
      });
    default:
      return where([&](unsigned i) { return a[i] == a[i] && b[i] == b[i]; });
  }
}

template <class T, bool Ftz>
const Op* set_predicate(Warp& w, const Op* op, u32 mask) {
  return finish_setp(w, op, mask, compare<T, Ftz>(op, src<T>(w, op->a), src<T>(w, op->b)));
}

template <class T, bool Ftz>
const Op* set_value(Warp& w, const Op* op, u32 mask) {
  return finish_set(w, op, mask, compare<T, Ftz>(op, src<T>(w, op->a), src<T>(w, op->b)));
}

}  // namespace

Handler select_float(const Op& op) {
  const bool f32 = op.type == Type::f32;
  const bool ftz = (op.flags & flag::ftz) != 0;
  if (!f32 && op.type != Type::f64) {
    return nullptr;
  }
  switch (op.code) {
    case Code::add:
      return pick_any<Add, 2>(op);
    case Code::sub:
      return pick_any<Sub, 2>(op);
    case Code::mul:
      return pick_any<Mul, 2>(op);
    case Code::div:
      return f32 && op.rounding == Rounding::approx ? pick<float, DivApprox, 2>(op) : pick_any<Div, 2>(op);
    case Code::fma:
      return pick_any<Fma, 3>(op);
    case Code::rcp:
      return !f32 && ftz ? pick<double, RcpGross, 1>(op) : pick_any<Rcp, 1>(op);
    case Code::sqrt:
      return pick_any<Sqrt, 1>(op);
    case Code::rsqrt:
      return !f32 && ftz ? pick<double, RsqrtGross, 1>(op) : pick_any<Rsqrt, 1>(op);
    case Code::ex2:
      return pick<float, Ex2, 1>(op);
    case Code::lg2:
      return pick<float, Lg2, 1>(op);
    case Code::sin:
      return pick<float, Sin, 1>(op);
    case Code::cos:
      return pick<float, Cos, 1>(op);
    case Code::tanh:
      return pick<float, Tanh, 1>(op);
    case Code::min:
      return f32 ? min_max<float, false> : min_max<double, false>;
    case Code::max:
      return f32 ? min_max<float, true> : min_max<double, true>;
    case Code::abs:
      return f32 ? sign_change<float, false> : sign_change<double, false>;
    case Code::neg:
      return f32 ? sign_change<float, true> : sign_change<double, true>;
    case Code::copysign:
      return f32 ? copy_sign<float> : copy_sign<double>;
    case Code::testp:
      return f32 ? test_property<float> : test_property<double>;
    case Code::setp:
      return f32 ? (ftz ? set_predicate<float, true> : set_predicate<float, false>)
                 : set_predicate<double, false>;
    case Code::set:
      return f32 ? (ftz ? set_value<float, true> : set_value<float, false>) : set_value<double, false>;
    default:
      return nullptr;
  }
}

}  // namespace kerncast::simulator::KERNCAST_SIM_LEVEL
