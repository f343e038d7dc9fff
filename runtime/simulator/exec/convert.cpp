#include "runtime/simulator/exec/executor.hpp"
#include "runtime/simulator/exec/float_lanes.hpp"
#include "runtime/simulator/exec/formats.hpp"
#include "runtime/simulator/exec/integer_type.hpp"
#include "runtime/simulator/exec/lanes.hpp"
#include "runtime/simulator/exec/packed.hpp"

namespace kerncast::simulator::KERNCAST_SIM_LEVEL {

namespace {

// Integers to integers.

template <class From, class To>
const Op* extend(Warp& w, const Op* op, u32 mask) {
  const From* a = src<From>(w, op->a);
  lanes(dst<To>(w, op->d), mask, [&](unsigned i) { return static_cast<To>(a[i]); });
  return op + 1;
}

/// Converts any widths in any registers: cuts the source to its type, clamps it if asked, cuts it to the
/// destination's type and extends it to the register by the destination's sign.
template <class From, class To>
const Op* resize(Warp& w, const Op* op, u32 mask) {
  const From* a = src<From>(w, op->a);
  const IntegerType from = integer_type(op->source);
  const IntegerType to = integer_type(op->type);
  const bool sat = (op->flags & flag::sat) != 0;
  const unsigned up = bits_left(from);
  const unsigned down = bits_left(to);
  lanes(dst<To>(w, op->d), mask, [&](unsigned i) {
    u64 x = static_cast<u64>(a[i]) << up;
    x = from.is_signed ? static_cast<u64>(static_cast<s64>(x) >> up) : x >> up;
    if (sat) {
      const bool negative = from.is_signed && static_cast<s64>(x) < 0;
      if (negative) {
        x = static_cast<s64>(x) < least(to) ? static_cast<u64>(least(to)) : x;
      } else {
        x = x > most(to) ? most(to) : x;
      }
    }
    x <<= down;
    return static_cast<To>(to.is_signed ? static_cast<u64>(static_cast<s64>(x) >> down) : x >> down);
  });
  return op + 1;
}

template <class From>
Handler resize_to(unsigned bytes) {
  return bytes == 2 ? resize<From, u16> : bytes == 4 ? resize<From, u32> : resize<From, u64>;
}

Handler select_integers(const Op& op) {
  const IntegerType from = integer_type(op.source);
  const IntegerType to = integer_type(op.type);
  const bool exact_registers = op.width * 8U == from.bits && op.count * 8U == to.bits;
  if (exact_registers && (op.flags & flag::sat) == 0) {
    const unsigned pair = op.width * 16U + op.count;
    if (from.is_signed) {
      switch (pair) {
        case 0x24:
          return extend<s16, s32>;
        case 0x28:
          return extend<s16, s64>;
        case 0x48:
          return extend<s32, s64>;
        default:
          break;
      }
    }
    switch (pair) {
      case 0x22:
        return extend<u16, u16>;
      case 0x24:
        return extend<u16, u32>;
      case 0x28:
        return extend<u16, u64>;
      case 0x42:
        return extend<u32, u16>;
      case 0x44:
        return extend<u32, u32>;
      case 0x48:
        return extend<u32, u64>;
      case 0x82:
        return extend<u64, u16>;
      case 0x84:
        return extend<u64, u32>;
      case 0x88:
        return extend<u64, u64>;
      default:
        break;
    }
  }
  return op.width == 2   ? resize_to<u16>(op.count)
         : op.width == 4 ? resize_to<u32>(op.count)
                         : resize_to<u64>(op.count);
}

// Between floats and integers, and among floats.

template <class T>
KC_INLINE T round_integral(T x, Rounding rounding) {
  if constexpr (sizeof(T) == 4) {
    return rounding == Rounding::rz   ? __builtin_truncf(x)
           : rounding == Rounding::rm ? __builtin_floorf(x)
           : rounding == Rounding::rp ? __builtin_ceilf(x)
                                      : __builtin_rintf(x);
  } else {
    return rounding == Rounding::rz   ? __builtin_trunc(x)
           : rounding == Rounding::rm ? __builtin_floor(x)
           : rounding == Rounding::rp ? __builtin_ceil(x)
                                      : __builtin_rint(x);
  }
}

/// The common float to 32-bit integer conversions, branch free.
template <class To, Rounding R>
const Op* float_to_int(Warp& w, const Op* op, u32 mask) {
  const float* a = src<float>(w, op->a);
  lanes(dst<u32>(w, op->d), mask, [&](unsigned i) {
    const double x = static_cast<double>(round_integral(a[i], R));
    constexpr double least_result = static_cast<To>(-1) < To{0} ? -2147483648.0 : 0.0;
    constexpr double most_result = static_cast<To>(-1) < To{0} ? 2147483647.0 : 4294967295.0;
    double bounded = x > least_result ? x : least_result;
    bounded = bounded < most_result ? bounded : most_result;
    bounded = x == x ? bounded : 0.0;
    return static_cast<u32>(static_cast<u64>(static_cast<s64>(bounded)));
  });
  return op + 1;
}

KC_INLINE double load_float(const Warp& w, const Op* op, unsigned i) {
  const bool ftz = (op->flags & flag::ftz) != 0;
  switch (op->source) {
    case Type::f16:
      return static_cast<double>(f16_to_f32(src<u16>(w, op->a)[i]));
    case Type::bf16:
      return static_cast<double>(bf16_to_f32(src<u16>(w, op->a)[i]));
    case Type::f32: {
      // Hopper keeps subnormals when it rounds to f16, with or without .ftz.
      const float x = src<float>(w, op->a)[i];
      return static_cast<double>(ftz && op->type != Type::f16 ? flush(x) : x);
    }
    default:
      return src<double>(w, op->a)[i];
  }
}

const Op* any_float_to_int(Warp& w, const Op* op, u32 mask) {
  const IntegerType to = integer_type(op->type);
  const bool wide = to.bits == 64 || op->source == Type::f64;
  for (u32 rest = mask; rest != 0; rest &= rest - 1) {
    const auto i = static_cast<unsigned>(__builtin_ctz(rest));
    const double x = round_integral(load_float(w, op, i), op->rounding);
    u64 result = 0;
    if (x != x) {
      // NaN gives zero, or the top bit if one of the types has 64 bits.
      result = wide ? u64{1} << (63 - bits_left(to)) : 0;
    } else if (x <= static_cast<double>(least(to))) {
      result = static_cast<u64>(least(to));
    } else if (x >= static_cast<double>(most(to))) {
      result = most(to);
    } else {
      result = x < 0 ? static_cast<u64>(static_cast<s64>(x)) : static_cast<u64>(x);
    }
    const unsigned down = bits_left(to);
    result <<= down;
    result = to.is_signed ? static_cast<u64>(static_cast<s64>(result) >> down) : result >> down;
    switch (op->count) {
      case 2:
        dst<u16>(w, op->d)[i] = static_cast<u16>(result);
        break;
      case 4:
        dst<u32>(w, op->d)[i] = static_cast<u32>(result);
        break;
      default:
        dst<u64>(w, op->d)[i] = result;
        break;
    }
  }
  return op + 1;
}

template <class From>
const Op* int_to_float(Warp& w, const Op* op, u32 mask) {
  const From* a = src<From>(w, op->a);
  lanes(dst<float>(w, op->d), mask, [&](unsigned i) { return static_cast<float>(a[i]); });
  return op + 1;
}

/// Integers of up to 53 bits are exact as doubles; longer ones keep what is cut off as a sticky lowest bit.
KC_INLINE double widen_integer(u64 magnitude, bool negative) {
  if (magnitude >> 53 != 0) {
    magnitude = (magnitude & ~u64{0xfff}) | ((magnitude & 0xfffU) != 0 ? 0x800U : 0U);
  }
  const auto x = static_cast<double>(magnitude);
  return negative ? -x : x;
}

template <class F>
__attribute__((noinline)) void convert_exactly(Rounding rounding, F f) {
  const HostRounding mode(rounding);
  f();
}

KC_INLINE void store_float(Warp& w, const Op* op, unsigned i, double x) {
  const u32 flags = op->flags;
  // This clamps -0 as well.
  if ((flags & flag::relu) != 0 && x <= 0) {
    x = 0;
  }
  if ((flags & flag::sat) != 0) {
    x = saturate(x);
  }
  const Rounding rounding = op->rounding == Rounding::none ? Rounding::rn : op->rounding;
  const bool finite = (flags & flag::sat_finite) != 0;
  switch (op->type) {
    case Type::f16:
      dst<u16>(w, op->d)[i] = static_cast<u16>(encode(x, f16_format, rounding, finite));
      break;
    case Type::bf16:
      dst<u16>(w, op->d)[i] = static_cast<u16>(encode(x, bf16_format, rounding, finite));
      break;
    case Type::f32: {
      const float y = bits_as<float>(encode(x, f32_format, rounding, false));
      const bool ftz = (flags & flag::ftz) != 0;
      dst<float>(w, op->d)[i] =
          ftz ? flush_result(y, bits_as<float>(encode(x * 0x1p32, f32_format, rounding, false))) : y;
      break;
    }
    default:
      dst<double>(w, op->d)[i] = x;
      break;
  }
}

/// A NaN of f64 in a narrower format: sign and upper payload stay, and it becomes quiet.
KC_INLINE u32 narrow_nan(u64 bits, const FloatFormat& format) {
  const auto sign = static_cast<u32>(bits >> 63) << (format.exponent_bits + format.mantissa_bits);
  const u32 exponent = ((1U << format.exponent_bits) - 1) << format.mantissa_bits;
  const auto payload = static_cast<u32>((bits & 0xfffffffffffffULL) >> (52 - format.mantissa_bits));
  return sign | exponent | payload | 1U << (format.mantissa_bits - 1);
}

/// Every conversion to a float that has no fast form.
const Op* any_to_float(Warp& w, const Op* op, u32 mask) {
  const IntegerType from = integer_type(op->source);
  if (from.bits == 0) {
    for (u32 rest = mask; rest != 0; rest &= rest - 1) {
      const auto i = static_cast<unsigned>(__builtin_ctz(rest));
      double x = load_float(w, op, i);
      if ((op->flags & flag::to_integer) != 0) {
        x = round_integral(x, op->rounding);
      }
      if (x != x && op->source == Type::f64 && op->type != Type::f64 && (op->flags & flag::sat) == 0) {
        const u64 bits = bits_as<u64>(x);
        if (op->type == Type::f32) {
          dst<u32>(w, op->d)[i] = narrow_nan(bits, f32_format);
        } else {
          dst<u16>(w, op->d)[i] =
              static_cast<u16>(narrow_nan(bits, op->type == Type::f16 ? f16_format : bf16_format));
        }
        continue;
      }
      store_float(w, op, i, x);
    }
    return op + 1;
  }
  for (u32 rest = mask; rest != 0; rest &= rest - 1) {
    const auto i = static_cast<unsigned>(__builtin_ctz(rest));
    u64 x = op->width == 2   ? src<u16>(w, op->a)[i]
            : op->width == 4 ? src<u32>(w, op->a)[i]
                             : src<u64>(w, op->a)[i];
    const unsigned up = bits_left(from);
    x <<= up;
    x = from.is_signed ? static_cast<u64>(static_cast<s64>(x) >> up) : x >> up;
    const bool negative = from.is_signed && static_cast<s64>(x) < 0;
    if (op->type == Type::f64) {
      double* d = dst<double>(w, op->d) + i;
      convert_exactly(op->rounding, [&] {
        u64 volatile hidden = x;
        const u64 value = hidden;
        // Clang converts by a difference of doubles, which is -0 for 0 when rounding down.
        *d = value == 0 ? 0.0
             : negative ? static_cast<double>(static_cast<s64>(value))
                        : static_cast<double>(value);
      });
      if ((op->flags & flag::sat) != 0) {
        *d = saturate(*d);
      }
      continue;
    }
    store_float(w, op, i, widen_integer(negative ? ~x + 1 : x, negative));
  }
  return op + 1;
}

const Op* bf16_to_float(Warp& w, const Op* op, u32 mask) {
  const u16* a = src<u16>(w, op->a);
  // The subnormals of both formats are the same numbers.
  const u32 least = (op->flags & flag::ftz) != 0 ? 0x00800000U : 0U;
  lanes(dst<u32>(w, op->d), mask, [&](unsigned i) {
    const u32 bits = static_cast<u32>(a[i]) << 16;
    return (bits & 0x7fffffffU) < least ? bits & 0x80000000U : bits;
  });
  return op + 1;
}

const Op* f16_to_float(Warp& w, const Op* op, u32 mask) {
  const u16* a = src<u16>(w, op->a);
  lanes(dst<float>(w, op->d), mask, [&](unsigned i) { return canonical(f16_to_f32(a[i])); });
  return op + 1;
}

const Op* float_to_bf16(Warp& w, const Op* op, u32 mask) {
  const float* a = src<float>(w, op->a);
  lanes(dst<u16>(w, op->d), mask, [&](unsigned i) { return f32_to_bf16(a[i]); });
  return op + 1;
}

const Op* float_to_f16(Warp& w, const Op* op, u32 mask) {
  const float* a = src<float>(w, op->a);
  lanes(dst<u16>(w, op->d), mask, [&](unsigned i) { return f32_to_f16(a[i]); });
  return op + 1;
}

const Op* float_to_double(Warp& w, const Op* op, u32 mask) {
  const float* a = src<float>(w, op->a);
  const bool ftz = (op->flags & flag::ftz) != 0;
  lanes(dst<double>(w, op->d), mask,
        [&](unsigned i) { return static_cast<double>(ftz ? flush(a[i]) : a[i]); });
  return op + 1;
}

const Op* double_to_float(Warp& w, const Op* op, u32 mask) {
  const double* a = src<double>(w, op->a);
  const bool ftz = (op->flags & flag::ftz) != 0;
  lanes(dst<float>(w, op->d), mask, [&](unsigned i) {
    // The host narrows NaNs as the device does: see narrow_nan.
    const auto x = static_cast<float>(a[i]);
    return ftz ? flush_result(x, static_cast<float>(a[i] * 0x1p32)) : x;
  });
  return op + 1;
}

/// Floats with 10 bits of mantissa in 32-bit registers: the other 13 become zeros.
const Op* float_to_tf32(Warp& w, const Op* op, u32 mask) {
  const u32* a = src<u32>(w, op->a);
  const u32 flags = op->flags;
  const bool nearest = op->rounding == Rounding::rn;
  const bool away = op->rounding == Rounding::rna;
  lanes(dst<u32>(w, op->d), mask, [&](unsigned i) {
    const u32 bits = a[i];
    const u32 magnitude = bits & 0x7fffffffU;
    const u32 up = away ? 0x1000U : nearest ? 0xfffU + (bits >> 13 & 1U) : 0U;
    u32 result = (magnitude < 0x7f800000U ? magnitude + up : magnitude) & ~0x1fffU;
    // Ties away take a NaN for a number beyond infinity, as Hopper does.
    const u32 most = away ? result - 0x2000U : 0x7f7fe000U;
    result = (flags & flag::sat_finite) != 0 && result >= 0x7f800000U ? most : result;
    result |= bits & 0x80000000U;
    result = (flags & flag::relu) != 0 && (bits & 0x80000000U) != 0 ? 0U : result;
    return magnitude > 0x7f800000U && !away ? 0x7fffe000U : result;
  });
  return op + 1;
}

template <Rounding R>
const Op* float_to_integral(Warp& w, const Op* op, u32 mask) {
  const float* a = src<float>(w, op->a);
  const bool ftz = (op->flags & flag::ftz) != 0;
  lanes(dst<float>(w, op->d), mask,
        [&](unsigned i) { return canonical(round_integral(ftz ? flush(a[i]) : a[i], R)); });
  return op + 1;
}

template <class To>
Handler float_to_int_by_rounding(Rounding rounding) {
  switch (rounding) {
    case Rounding::rz:
      return float_to_int<To, Rounding::rz>;
    case Rounding::rm:
      return float_to_int<To, Rounding::rm>;
    case Rounding::rp:
      return float_to_int<To, Rounding::rp>;
    default:
      return float_to_int<To, Rounding::rn>;
  }
}

Handler select_conversion(const Op& op) {
  const bool from_integer = integer_type(op.source).bits != 0;
  const bool to_integer = integer_type(op.type).bits != 0;
  const u32 special = op.flags & ~flag::ftz;
  const bool nearest = op.rounding == Rounding::rn || op.rounding == Rounding::none;
  if (op.type == Type::tf32) {
    return float_to_tf32;
  }
  if (from_integer && to_integer) {
    return select_integers(op);
  }
  if (to_integer) {
    if (op.source == Type::f32 && op.count == 4 && (op.flags & flag::ftz) == 0) {
      if (op.type == Type::s32) {
        return float_to_int_by_rounding<s32>(op.rounding);
      }
      if (op.type == Type::u32) {
        return float_to_int_by_rounding<u32>(op.rounding);
      }
    }
    return any_float_to_int;
  }
  if (from_integer) {
    if (op.type == Type::f32 && special == 0 && nearest && op.width * 8U == integer_type(op.source).bits) {
      switch (op.source) {
        case Type::u16:
          return int_to_float<u16>;
        case Type::s16:
          return int_to_float<s16>;
        case Type::u32:
          return int_to_float<u32>;
        case Type::s32:
          return int_to_float<s32>;
        default:
          break;
      }
    }
    return any_to_float;
  }
  if (special == 0 && nearest) {
    if (op.type == Type::f32) {
      switch (op.source) {
        case Type::bf16:
          return bf16_to_float;
        case Type::f16:
          return f16_to_float;
        case Type::f64:
          return double_to_float;
        default:
          break;
      }
    }
    if (op.source == Type::f32 && op.flags == 0) {
      switch (op.type) {
        case Type::bf16:
          return float_to_bf16;
        case Type::f16:
          return float_to_f16;
        default:
          break;
      }
    }
    if (op.source == Type::f32 && op.type == Type::f64) {
      return float_to_double;
    }
  }
  if (special == flag::to_integer && op.source == Type::f32 && op.type == Type::f32) {
    switch (op.rounding) {
      case Rounding::rz:
        return float_to_integral<Rounding::rz>;
      case Rounding::rm:
        return float_to_integral<Rounding::rm>;
      case Rounding::rp:
        return float_to_integral<Rounding::rp>;
      default:
        return float_to_integral<Rounding::rn>;
    }
  }
  return any_to_float;
}

}  // namespace

Handler select_convert(const Op& op) {
  switch (op.code) {
    case Code::cvt:
      return select_conversion(op);
    case Code::cvt_pack:
      return select_pack(op);
    case Code::cvt_unpack:
      return select_unpack(op);
    case Code::cvt_pack_int:
      return pack_integers;
    default:
      return nullptr;
  }
}

}  // namespace kerncast::simulator::KERNCAST_SIM_LEVEL
