#pragma once

#include "runtime/simulator/exec/formats.hpp"
#include "runtime/simulator/exec/integer_type.hpp"

/// Conversions to and from packed pairs. The first operand is the upper element.
namespace kerncast::simulator::KERNCAST_SIM_LEVEL {

namespace {

const Op* pack_bf16(Warp& w, const Op* op, u32 mask) {
  const float* a = src<float>(w, op->a);
  const float* b = src<float>(w, op->b);
  lanes(dst<u32>(w, op->d), mask, [&](unsigned i) {
    return static_cast<u32>(f32_to_bf16(a[i])) << 16 | static_cast<u32>(f32_to_bf16(b[i]));
  });
  return op + 1;
}

const Op* pack_f16(Warp& w, const Op* op, u32 mask) {
  const float* a = src<float>(w, op->a);
  const float* b = src<float>(w, op->b);
  lanes(dst<u32>(w, op->d), mask, [&](unsigned i) {
    return static_cast<u32>(f32_to_f16(a[i])) << 16 | static_cast<u32>(f32_to_f16(b[i]));
  });
  return op + 1;
}

template <bool E4m3>
const Op* pack_f8(Warp& w, const Op* op, u32 mask) {
  const float* a = src<float>(w, op->a);
  const float* b = src<float>(w, op->b);
  alignas(64) u32 packed[lane_count];
  KC_LANES {
    packed[i] =
        E4m3 ? f32_to_e4m3(a[i]) << 8 | f32_to_e4m3(b[i]) : f32_to_e5m2(a[i]) << 8 | f32_to_e5m2(b[i]);
  }
  lanes(dst<u16>(w, op->d), mask, [&](unsigned i) { return static_cast<u16>(packed[i]); });
  return op + 1;
}

/// Packs to unsigned powers of two with bias 127; the magnitude is rounded towards zero or up.
KC_INLINE u32 to_ue8m0(float a, Rounding rounding, bool finite) {
  const u32 bits = bits_as<u32>(a);
  const u32 magnitude = bits & 0x7fffffffU;
  if (magnitude > 0x7f800000U) {
    return 0xffU;
  }
  if (magnitude == 0x7f800000U) {
    return finite ? 0xfeU : 0xffU;
  }
  const u32 exponent = magnitude >> 23;
  const u32 fraction = magnitude & 0x7fffffU;
  if (exponent == 0) {
    // Subnormals below 2^-127 become 2^-127; above it rounding up reaches 2^-126.
    return rounding == Rounding::rp && fraction > 0x400000U ? 1U : 0U;
  }
  const u32 result = exponent + (rounding == Rounding::rp && fraction != 0 ? 1U : 0U);
  return result > 0xfeU ? (finite ? 0xfeU : 0xffU) : result;
}

u32 encode_element(const Op* op, float x) {
  const bool finite = (op->flags & flag::sat_finite) != 0;
  if ((op->flags & flag::relu) != 0 && x <= 0) {
    x = 0;
  }
  const auto value = static_cast<double>(x);
  switch (op->type) {
    case Type::f16x2:
      return encode(value, f16_format, op->rounding, finite);
    case Type::bf16x2:
      return encode(value, bf16_format, op->rounding, finite);
    case Type::e4m3x2:
      return encode(value, e4m3_format, op->rounding, finite);
    case Type::e5m2x2:
      return encode(value, e5m2_format, op->rounding, finite);
    case Type::e2m1x2:
      return encode(value, e2m1_format, op->rounding, true);
    case Type::e2m3x2:
      return encode(value, e2m3_format, op->rounding, true);
    case Type::e3m2x2:
      return encode(value, e3m2_format, op->rounding, true);
    default:
      return to_ue8m0(x, op->rounding, finite);
  }
}

/// Packs in all forms that have no fast path.
const Op* pack_any(Warp& w, const Op* op, u32 mask) {
  const unsigned shift = op->type == Type::e2m1x2                              ? 4
                         : op->type == Type::f16x2 || op->type == Type::bf16x2 ? 16
                                                                               : 8;
  for (u32 rest = mask; rest != 0; rest &= rest - 1) {
    const auto i = static_cast<unsigned>(__builtin_ctz(rest));
    float high = 0;
    float low = 0;
    if (op->source == Type::f32) {
      high = src<float>(w, op->a)[i];
      low = src<float>(w, op->b)[i];
    } else {
      const u32 both = src<u32>(w, op->a)[i];
      const auto upper = static_cast<u16>(both >> 16);
      const auto lower = static_cast<u16>(both);
      high = op->source == Type::f16x2 ? f16_to_f32(upper) : bf16_to_f32(upper);
      low = op->source == Type::f16x2 ? f16_to_f32(lower) : bf16_to_f32(lower);
    }
    const u32 packed = encode_element(op, high) << shift | encode_element(op, low);
    if (shift == 16) {
      dst<u32>(w, op->d)[i] = packed;
    } else {
      dst<u16>(w, op->d)[i] = static_cast<u16>(packed);
    }
  }
  return op + 1;
}

Handler select_pack(const Op& op) {
  if (op.source == Type::f32 && op.rounding == Rounding::rn) {
    if (op.flags == 0 && op.type == Type::bf16x2) {
      return pack_bf16;
    }
    if (op.flags == 0 && op.type == Type::f16x2) {
      return pack_f16;
    }
    if (op.flags == flag::sat_finite && op.type == Type::e4m3x2) {
      return pack_f8<true>;
    }
    if (op.flags == flag::sat_finite && op.type == Type::e5m2x2) {
      return pack_f8<false>;
    }
  }
  return pack_any;
}

u32 decode_element(const Op* op, u32 bits) {
  double value = 0;
  switch (op->source) {
    case Type::e4m3x2:
      value = decode(bits & 0xffU, e4m3_format);
      break;
    case Type::e5m2x2:
      value = decode(bits & 0xffU, e5m2_format);
      break;
    case Type::e2m1x2:
      value = decode(bits & 0xfU, e2m1_format);
      break;
    case Type::e2m3x2:
      value = decode(bits & 0x3fU, e2m3_format);
      break;
    case Type::e3m2x2:
      value = decode(bits & 0x3fU, e3m2_format);
      break;
    default:
      value = (bits & 0xffU) == 0xffU
                  ? __builtin_nan("")
                  : bits_as<double>(static_cast<u64>((bits & 0xffU) + 1023U - 127U) << 52);
      break;
  }
  if ((op->flags & flag::relu) != 0 && value <= 0) {
    value = 0;
  }
  return encode(value, op->type == Type::f16x2 ? f16_format : bf16_format, Rounding::rn, false);
}

const Op* unpack_any(Warp& w, const Op* op, u32 mask) {
  const u16* a = src<u16>(w, op->a);
  const unsigned shift = op->source == Type::e2m1x2 ? 4 : 8;
  each(dst<u32>(w, op->d), mask, [&](unsigned i) {
    return decode_element(op, static_cast<u32>(a[i]) >> shift) << 16 | decode_element(op, a[i]);
  });
  return op + 1;
}

Handler select_unpack(const Op&) {
  return unpack_any;
}

/// Packs two s32, clamped to the type. 8-bit results are followed by the lower half of the third operand.
const Op* pack_integers(Warp& w, const Op* op, u32 mask) {
  const s32* a = src<s32>(w, op->a);
  const s32* b = src<s32>(w, op->b);
  const IntegerType to = integer_type(op->type);
  const u32* c = to.bits == 8 ? src<u32>(w, op->c) : nullptr;
  const auto clamp = [&](s32 x) {
    const s64 low = least(to);
    const auto high = static_cast<s64>(most(to));
    const s64 y = x < low ? low : x > high ? high : x;
    return static_cast<u32>(y) & ((1U << to.bits) - 1);
  };
  each(dst<u32>(w, op->d), mask, [&](unsigned i) {
    const u32 pair = clamp(a[i]) << to.bits | clamp(b[i]);
    return to.bits == 8 ? (c[i] << 16 | pair) : pair;
  });
  return op + 1;
}

}  // namespace

}  // namespace kerncast::simulator::KERNCAST_SIM_LEVEL
