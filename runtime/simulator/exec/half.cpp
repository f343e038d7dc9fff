#include "runtime/simulator/exec/approx.hpp"
#include "runtime/simulator/exec/compare.hpp"
#include "runtime/simulator/exec/executor.hpp"
#include "runtime/simulator/exec/float_lanes.hpp"
#include "runtime/simulator/exec/formats.hpp"
#include "runtime/simulator/exec/lanes.hpp"

namespace kerncast::simulator::KERNCAST_SIM_LEVEL {

namespace {

/// Widening of 16-bit floats, and rounding back.
struct F16 {
  static constexpr const FloatFormat& format = f16_format;
  static constexpr u16 infinity_bits = 0x7c00U;
  static constexpr u16 least_normal = 0x0400U;
  static KC_INLINE float up(u16 a) { return f16_to_f32(a); }
  static KC_INLINE u16 down(float a) { return f32_to_f16(a); }
};
struct Bf16 {
  static constexpr const FloatFormat& format = bf16_format;
  static constexpr u16 infinity_bits = 0x7f80U;
  static constexpr u16 least_normal = 0x0080U;
  static KC_INLINE float up(u16 a) { return bf16_to_f32(a); }
  static KC_INLINE u16 down(float a) { return f32_to_bf16(a); }
};

/// Packed operands are twice as many 16-bit lanes; lane i of the warp owns elements 2i and 2i+1.
template <unsigned PerLane, class F>
KC_INLINE void elements(Warp& w, const Op* op, u32 mask, F f) {
  constexpr unsigned count = lane_count * PerLane;
  alignas(64) u16 fresh[count];
#if defined(__clang__)
#pragma clang loop vectorize(assume_safety)
#else
#pragma GCC ivdep
#endif
  for (unsigned i = 0; i < count; ++i) {
    fresh[i] = f(i);
  }
  if constexpr (PerLane == 1) {
    u16* d = dst<u16>(w, op->d);
    lanes(d, mask, [&](unsigned i) { return fresh[i]; });
  } else {
    alignas(64) u32 packed[lane_count];
    __builtin_memcpy(packed, fresh, sizeof(packed));
    lanes(dst<u32>(w, op->d), mask, [&](unsigned i) { return packed[i]; });
  }
}

template <class H>
KC_INLINE u16 half_flush(u16 a, bool ftz) {
  return ftz && (a & 0x7fffU) < H::least_normal ? static_cast<u16>(a & 0x8000U) : a;
}

/// Does what flush_result of float_lanes.hpp does for floats. `scaled` is the result from operands 2^8 times
/// as large.
template <class H>
KC_INLINE u16 half_flush_result(u16 a, u16 scaled, bool ftz) {
  constexpr u16 least_scaled = H::least_normal + (8U << H::format.mantissa_bits);
  return ftz && (scaled & 0x7fffU) < least_scaled ? static_cast<u16>(a & 0x8000U) : a;
}

template <class H>
KC_INLINE u16 finish(u16 a, u32 flags) {
  if ((flags & flag::sat) != 0) {
    const float x = H::up(a);
    a = H::down(saturate(x));
  }
  // relu clamps negative results to zero and leaves NaN.
  if ((flags & flag::relu) != 0) {
    a = (a & 0x8000U) != 0 && (a & 0x7fffU) <= H::infinity_bits ? u16{0} : a;
  }
  return a;
}

/// Sums, differences and products of 16-bit floats are exact enough in 32 bits that rounding twice is
/// rounding once.
template <class H, unsigned N, class F>
const Op* binary(Warp& w, const Op* op, u32 mask) {
  const u16* a = src<u16>(w, op->a);
  const u16* b = src<u16>(w, op->b);
  const u32 flags = op->flags;
  if ((flags & (flag::ftz | flag::sat | flag::relu)) == 0) {
    elements<N>(w, op, mask, [&](unsigned i) { return H::down(F::f(H::up(a[i]), H::up(b[i]))); });
  } else {
    elements<N>(w, op, mask, [&](unsigned i) {
      const bool ftz = (flags & flag::ftz) != 0;
      const float exact = F::f(H::up(half_flush<H>(a[i], ftz)), H::up(half_flush<H>(b[i], ftz)));
      return finish<H>(half_flush_result<H>(H::down(exact), H::down(exact * 0x1p8F), ftz), flags);
    });
  }
  return op + 1;
}

struct Add {
  static KC_INLINE float f(float a, float b) { return a + b; }
};
struct Sub {
  static KC_INLINE float f(float a, float b) { return a - b; }
};
struct Mul {
  static KC_INLINE float f(float a, float b) { return a * b; }
};

/// The product is exact in double; the sum is rounded to odd, so that the final rounding is the only one.
template <class H, unsigned N>
const Op* fma_half(Warp& w, const Op* op, u32 mask) {
  const u16* a = src<u16>(w, op->a);
  const u16* b = src<u16>(w, op->b);
  const u16* c = src<u16>(w, op->c);
  const bool ftz = (op->flags & flag::ftz) != 0;
  elements<N>(w, op, mask, [&](unsigned i) {
    const double product = static_cast<double>(H::up(half_flush<H>(a[i], ftz))) *
                           static_cast<double>(H::up(half_flush<H>(b[i], ftz)));
    const double sum = add_to_odd(product, static_cast<double>(H::up(half_flush<H>(c[i], ftz))));
    const auto rounded = [](double x) { return static_cast<u16>(encode(x, H::format, Rounding::rn, false)); };
    return finish<H>(half_flush_result<H>(rounded(sum), ftz ? rounded(sum * 0x1p8) : u16{0}, ftz), op->flags);
  });
  return op + 1;
}

template <class H, unsigned N, bool Max>
const Op* min_max(Warp& w, const Op* op, u32 mask) {
  const u16* a = src<u16>(w, op->a);
  const u16* b = src<u16>(w, op->b);
  const u32 flags = op->flags;
  elements<N>(w, op, mask, [&](unsigned i) {
    u16 x = half_flush<H>(a[i], (flags & flag::ftz) != 0);
    u16 y = half_flush<H>(b[i], (flags & flag::ftz) != 0);
    const auto signs = static_cast<u16>((x ^ y) & 0x8000U);
    if ((flags & flag::xor_sign) != 0) {
      x &= 0x7fffU;
      y &= 0x7fffU;
    }
    const bool x_nan = (x & 0x7fffU) > H::infinity_bits;
    const bool y_nan = (y & 0x7fffU) > H::infinity_bits;
    // Sign-magnitude to two's complement order, where -0 is just below +0.
    const s32 xo = (x & 0x8000U) != 0 ? -static_cast<s32>(x & 0x7fffU) - 1 : static_cast<s32>(x);
    const s32 yo = (y & 0x8000U) != 0 ? -static_cast<s32>(y & 0x7fffU) - 1 : static_cast<s32>(y);
    u16 result = (Max ? xo > yo : xo < yo) ? x : y;
    result = x_nan ? y : y_nan ? x : result;
    if ((x_nan && y_nan) || ((flags & flag::nan) != 0 && (x_nan || y_nan))) {
      return u16{0x7fffU};
    }
    result = (flags & flag::xor_sign) != 0 ? static_cast<u16>(result | signs) : result;
    return finish<H>(result, flags & flag::relu);
  });
  return op + 1;
}

template <class H, unsigned N, bool Negate>
const Op* sign_change(Warp& w, const Op* op, u32 mask) {
  const u16* a = src<u16>(w, op->a);
  const bool ftz = (op->flags & flag::ftz) != 0;
  elements<N>(w, op, mask, [&](unsigned i) {
    const u16 x = half_flush<H>(a[i], ftz);
    return static_cast<u16>(Negate ? x ^ 0x8000U : x & 0x7fffU);
  });
  return op + 1;
}

template <class H, unsigned N, bool Tanh>
const Op* approximate(Warp& w, const Op* op, u32 mask) {
  const u16* a = src<u16>(w, op->a);
  const u32 flags = op->flags;
  elements<N>(w, op, mask, [&](unsigned i) {
    const float x = H::up(half_flush<H>(a[i], (flags & flag::ftz) != 0));
    const u16 result = H::down(Tanh ? tanh_approx(x) : exp2_approx(x));
    return finish<H>(half_flush<H>(result, (flags & flag::ftz) != 0), flags);
  });
  return op + 1;
}

/// Element `e` of the PerLane elements of every lane.
template <class H, unsigned PerLane>
u32 compare(Warp& w, const Op* op, unsigned e) {
  const u16* a = src<u16>(w, op->a);
  const u16* b = src<u16>(w, op->b);
  const bool ftz = (op->flags & flag::ftz) != 0;
  u32 result = 0;
  for (unsigned i = 0; i < lane_count; ++i) {
    const float x = H::up(half_flush<H>(a[i * PerLane + e], ftz));
    const float y = H::up(half_flush<H>(b[i * PerLane + e], ftz));
    bool holds = false;
    switch (static_cast<Compare>(op->sub)) {
      case Compare::eq:
        holds = x == y;
        break;
      case Compare::lt:
        holds = x < y;
        break;
      case Compare::le:
        holds = x <= y;
        break;
      case Compare::ltgt:
        holds = x < y || x > y;
        break;
      case Compare::num:
        holds = x == x && y == y;
        break;
    }
    result |= holds ? 1U << i : 0U;
  }
  return result;
}

template <class H>
const Op* set_predicate(Warp& w, const Op* op, u32 mask) {
  return finish_setp(w, op, mask, compare<H, 1>(w, op, 0));
}

template <class H>
const Op* set_value(Warp& w, const Op* op, u32 mask) {
  return finish_set(w, op, mask, compare<H, 1>(w, op, 0));
}

/// For pairs, p gets the comparison of the lower elements and q that of the upper ones.
template <class H>
const Op* set_predicates(Warp& w, const Op* op, u32 mask) {
  const u32 invert = (op->flags & flag::invert) != 0 ? ~0U : 0U;
  const u32 low = with_predicate(w, op, compare<H, 2>(w, op, 0) ^ invert);
  const u32 high = with_predicate(w, op, compare<H, 2>(w, op, 1) ^ invert);
  set_pred(w, op->d2, mask, high);
  set_pred(w, op->d, mask, low);
  return op + 1;
}

/// Writes 1.0 or 0.0 for each element of a float result, else all ones or zeros.
template <class H>
const Op* set_values(Warp& w, const Op* op, u32 mask) {
  const u32 invert = (op->flags & flag::invert) != 0 ? ~0U : 0U;
  const u32 low = with_predicate(w, op, compare<H, 2>(w, op, 0) ^ invert);
  const u32 high = with_predicate(w, op, compare<H, 2>(w, op, 1) ^ invert);
  const u32 yes = op->source == Type::f16x2 ? 0x3c00U : op->source == Type::bf16x2 ? 0x3f80U : 0xffffU;
  lanes(dst<u32>(w, op->d), mask,
        [&](unsigned i) { return (low >> i & 1U) * yes | ((high >> i & 1U) * yes) << 16; });
  return op + 1;
}

template <class H, unsigned N>
Handler pick(const Op& op) {
  // These types have no rounding but the nearest.
  if (op.rounding != Rounding::none && op.rounding != Rounding::rn && op.rounding != Rounding::approx) {
    return nullptr;
  }
  switch (op.code) {
    case Code::add:
      return binary<H, N, Add>;
    case Code::sub:
      return binary<H, N, Sub>;
    case Code::mul:
      return binary<H, N, Mul>;
    case Code::fma:
      return fma_half<H, N>;
    case Code::min:
      return min_max<H, N, false>;
    case Code::max:
      return min_max<H, N, true>;
    case Code::abs:
      return sign_change<H, N, false>;
    case Code::neg:
      return sign_change<H, N, true>;
    case Code::ex2:
      return approximate<H, N, false>;
    case Code::tanh:
      return approximate<H, N, true>;
    case Code::setp:
      return N == 1 ? set_predicate<H> : set_predicates<H>;
    case Code::set:
      return N == 1 ? set_value<H> : set_values<H>;
    default:
      return nullptr;
  }
}

}  // namespace

Handler select_half(const Op& op) {
  switch (op.type) {
    case Type::f16:
      return pick<F16, 1>(op);
    case Type::f16x2:
      return pick<F16, 2>(op);
    case Type::bf16:
      return pick<Bf16, 1>(op);
    case Type::bf16x2:
      return pick<Bf16, 2>(op);
    default:
      return nullptr;
  }
}

}  // namespace kerncast::simulator::KERNCAST_SIM_LEVEL
