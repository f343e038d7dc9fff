#include <limits>

#include "runtime/simulator/exec/executor.hpp"
#include "runtime/simulator/exec/integer_ops.hpp"
#include "runtime/simulator/exec/lanes.hpp"

namespace kerncast::simulator::KERNCAST_SIM_LEVEL {

namespace {

template <bool Left>
const Op* funnel(Warp& w, const Op* op, u32 mask) {
  const u32* a = src<u32>(w, op->a);
  const u32* b = src<u32>(w, op->b);
  const u32* c = src<u32>(w, op->c);
  const bool wraps = (op->flags & flag::wrap) != 0;
  lanes(dst<u32>(w, op->d), mask, [&](unsigned i) {
    const u32 by = wraps ? c[i] & 31U : (c[i] > 32U ? 32U : c[i]);
    const u64 both = static_cast<u64>(b[i]) << 32 | a[i];
    return static_cast<u32>(Left ? (both << by) >> 32 : both >> by);
  });
  return op + 1;
}

template <class T>
const Op* bit_field_extract(Warp& w, const Op* op, u32 mask) {
  const T* a = src<T>(w, op->a);
  const u32* b = src<u32>(w, op->b);
  const u32* c = src<u32>(w, op->c);
  each(dst<T>(w, op->d), mask, [&](unsigned i) {
    const u32 position = b[i] & 0xffU;
    const u32 length = c[i] & 0xffU;
    if (length == 0) {
      return T{0};
    }
    const T shifted =
        static_cast<T>(position >= bit_count<T> ? (signed_type<T> && a[i] < 0 ? static_cast<T>(~T{0}) : T{0})
                                                : static_cast<T>(a[i] >> position));
    if (length >= bit_count<T>) {
      return shifted;
    }
    const unsigned up = bit_count<T> - length;
    // Beyond the top the field's missing bits are copies of the sign, which the arithmetic shift above
    // supplied.
    return static_cast<T>(static_cast<T>(static_cast<U<T>>(shifted) << up) >> up);
  });
  return op + 1;
}

template <class T>
const Op* bit_field_insert(Warp& w, const Op* op, u32 mask) {
  const T* a = src<T>(w, op->a);
  const T* b = src<T>(w, op->b);
  const u32* c = src<u32>(w, op->c);
  const u32* n = src<u32>(w, w.lists[op->imm]);
  each(dst<T>(w, op->d), mask, [&](unsigned i) {
    const u32 position = c[i] & 0xffU;
    const u32 length = n[i] & 0xffU;
    if (position >= bit_count<T> || length == 0) {
      return b[i];
    }
    const T ones = length >= bit_count<T> ? static_cast<T>(~T{0}) : static_cast<T>((T{1} << length) - 1);
    const T field = static_cast<T>(ones << position);
    return static_cast<T>((b[i] & ~field) | ((a[i] << position) & field));
  });
  return op + 1;
}

const Op* bit_mask(Warp& w, const Op* op, u32 mask) {
  const u32* a = src<u32>(w, op->a);
  const u32* b = src<u32>(w, op->b);
  const bool wraps = (op->flags & flag::wrap) != 0;
  each(dst<u32>(w, op->d), mask, [&](unsigned i) -> u32 {
    const u32 position = wraps ? a[i] & 31U : a[i];
    const u32 length = wraps ? b[i] & 31U : b[i];
    if (position > 31U || length == 0) {
      return 0U;
    }
    return (length > 31U ? ~0U : (1U << length) - 1) << position;
  });
  return op + 1;
}

template <class T>
const Op* sign_extend(Warp& w, const Op* op, u32 mask) {
  const T* a = src<T>(w, op->a);
  const u32* b = src<u32>(w, op->b);
  const bool wraps = (op->flags & flag::wrap) != 0;
  each(dst<T>(w, op->d), mask, [&](unsigned i) -> T {
    const u32 length = wraps ? b[i] & 31U : b[i];
    if (length == 0) {
      return T{0};
    }
    if (length > 31U) {
      return a[i];
    }
    const u32 up = 32U - length;
    return static_cast<T>(static_cast<T>(static_cast<u32>(a[i]) << up) >> up);
  });
  return op + 1;
}

/// Chooses bit by bit with three levels of selection, so that any table costs the same.
const Op* lop3(Warp& w, const Op* op, u32 mask) {
  const u32* a = src<u32>(w, op->a);
  const u32* b = src<u32>(w, op->b);
  const u32* c = src<u32>(w, op->c);
  u32 row[8];
  for (unsigned k = 0; k < 8; ++k) {
    row[k] = (static_cast<u32>(op->imm) >> k & 1U) != 0 ? ~0U : 0U;
  }
  lanes(dst<u32>(w, op->d), mask, [&](unsigned i) {
    const u32 c0 = row[0] ^ ((row[0] ^ row[1]) & c[i]);
    const u32 c1 = row[2] ^ ((row[2] ^ row[3]) & c[i]);
    const u32 c2 = row[4] ^ ((row[4] ^ row[5]) & c[i]);
    const u32 c3 = row[6] ^ ((row[6] ^ row[7]) & c[i]);
    const u32 b0 = c0 ^ ((c0 ^ c1) & b[i]);
    const u32 b1 = c2 ^ ((c2 ^ c3) & b[i]);
    return b0 ^ ((b0 ^ b1) & a[i]);
  });
  return op + 1;
}

KC_INLINE u32 permute_selectors(u32 mode, u32 c) {
  const u32 k = c & 3U;
  switch (mode) {
    case 1:
      return 0x3210U + 0x1111U * k;  // f4e
    case 2:
      return (0x5670U + 0x1111U * k) & 0x7777U;  // b4e
    case 3:
      return 0x1111U * k;  // rc8
    case 4:
      return (3U << 12) | ((k > 2 ? k : 2U) << 8) | ((k > 1 ? k : 1U) << 4) | k;  // ecl
    case 5:
      return ((k < 3 ? k : 3U) << 12) | ((k < 2 ? k : 2U) << 8) | ((k < 1 ? k : 1U) << 4);  // ecr
    default:
      return (k & 1U) != 0 ? 0x3232U : 0x1010U;  // rc16
  }
}

const Op* prmt(Warp& w, const Op* op, u32 mask) {
  const u32* a = src<u32>(w, op->a);
  const u32* b = src<u32>(w, op->b);
  const u32* c = src<u32>(w, op->c);
  if (op->sub == 0 && is_constant(op->c) && (c[0] & 0x8888U) == 0) {
    const u32 selectors = c[0];
    const u32 s0 = (selectors & 7U) * 8;
    const u32 s1 = (selectors >> 4 & 7U) * 8;
    const u32 s2 = (selectors >> 8 & 7U) * 8;
    const u32 s3 = (selectors >> 12 & 7U) * 8;
    lanes(dst<u32>(w, op->d), mask, [&](unsigned i) {
      const u64 both = static_cast<u64>(b[i]) << 32 | a[i];
      return static_cast<u32>((both >> s0 & 0xffU) | (both >> s1 & 0xffU) << 8 | (both >> s2 & 0xffU) << 16 |
                              (both >> s3 & 0xffU) << 24);
    });
    return op + 1;
  }
  lanes(dst<u32>(w, op->d), mask, [&](unsigned i) {
    const u32 selectors = op->sub == 0 ? c[i] : permute_selectors(op->sub, c[i]);
    const u64 both = static_cast<u64>(b[i]) << 32 | a[i];
    u32 result = 0;
    for (unsigned byte = 0; byte < 4; ++byte) {
      const u32 selector = selectors >> (4 * byte) & 0xfU;
      u32 value = static_cast<u32>(both >> ((selector & 7U) * 8) & 0xffU);
      if (op->sub == 0 && (selector & 8U) != 0) {
        value = (value & 0x80U) != 0 ? 0xffU : 0U;
      }
      result |= value << (8 * byte);
    }
    return result;
  });
  return op + 1;
}

template <class T>
const Op* count_ones(Warp& w, const Op* op, u32 mask) {
  const T* a = src<T>(w, op->a);
  lanes(dst<u32>(w, op->d), mask, [&](unsigned i) {
    return static_cast<u32>(sizeof(T) == 8 ? __builtin_popcountll(a[i])
                                           : __builtin_popcount(static_cast<u32>(a[i])));
  });
  return op + 1;
}

KC_INLINE u32 leading_zeros(u32 a) {
  return a == 0 ? 32U : static_cast<u32>(__builtin_clz(a));
}
KC_INLINE u32 leading_zeros(u64 a) {
  return a == 0 ? 64U : static_cast<u32>(__builtin_clzll(a));
}

template <class T>
const Op* count_leading(Warp& w, const Op* op, u32 mask) {
  const T* a = src<T>(w, op->a);
  each(dst<u32>(w, op->d), mask, [&](unsigned i) { return leading_zeros(a[i]); });
  return op + 1;
}

template <class T>
const Op* find_bit(Warp& w, const Op* op, u32 mask) {
  const T* a = src<T>(w, op->a);
  const bool amount = (op->flags & flag::shift_amount) != 0;
  each(dst<u32>(w, op->d), mask, [&](unsigned i) {
    const U<T> value = static_cast<U<T>>(signed_type<T> && a[i] < 0 ? ~a[i] : a[i]);
    const u32 zeros = leading_zeros(value);
    return value == 0 ? ~0U : amount ? zeros : bit_count<T> - 1 - zeros;
  });
  return op + 1;
}

/// Finds the n-th set bit counting from a base position, upward or downward.
const Op* find_nth(Warp& w, const Op* op, u32 mask) {
  const u32* a = src<u32>(w, op->a);
  const u32* b = src<u32>(w, op->b);
  const s32* c = src<s32>(w, op->c);
  each(dst<u32>(w, op->d), mask, [&](unsigned i) {
    const u32 base = b[i];
    const s32 wanted = c[i];
    // The least integer has no magnitude of its own; a device then answers 0.
    if (wanted == std::numeric_limits<s32>::min()) {
      return 0U;
    }
    if (base > 31U) {
      return ~0U;
    }
    if (wanted == 0) {
      return (a[i] >> base & 1U) != 0 ? base : ~0U;
    }
    s32 left = wanted > 0 ? wanted : -wanted;
    for (s32 at = static_cast<s32>(base); at >= 0 && at < 32; at += wanted > 0 ? 1 : -1) {
      if ((a[i] >> at & 1U) != 0 && --left == 0) {
        return static_cast<u32>(at);
      }
    }
    return ~0U;
  });
  return op + 1;
}

KC_INLINE u32 part(u32 value, unsigned shift_by, unsigned bits, bool is_signed) {
  const u32 up = value << (32U - bits - shift_by);
  return is_signed ? static_cast<u32>(static_cast<s32>(up) >> (32U - bits)) : up >> (32U - bits);
}

const Op* dot_product(Warp& w, const Op* op, u32 mask) {
  const u32* a = src<u32>(w, op->a);
  const u32* b = src<u32>(w, op->b);
  const u32* c = src<u32>(w, op->c);
  const bool sa = (op->flags & flag::signed_a) != 0;
  const bool sb = (op->flags & flag::signed_b) != 0;
  const bool two = op->code == Code::dp2a;
  const unsigned upper = (op->flags & flag::high) != 0 ? 16 : 0;
  lanes(dst<u32>(w, op->d), mask, [&](unsigned i) {
    u32 sum = c[i];
    if (two) {
      sum += part(a[i], 0, 16, sa) * part(b[i], upper, 8, sb);
      sum += part(a[i], 16, 16, sa) * part(b[i], upper + 8, 8, sb);
    } else {
      for (unsigned k = 0; k < 4; ++k) {
        sum += part(a[i], 8 * k, 8, sa) * part(b[i], 8 * k, 8, sb);
      }
    }
    return sum;
  });
  return op + 1;
}

}  // namespace

#define KC_32(F) (op.type == Type::s32 ? F<s32> : F<u32>)
#define KC_BY_4_8(F) \
  (op.type == Type::u32 ? F<u32> : op.type == Type::s32 ? F<s32> : op.type == Type::u64 ? F<u64> : F<s64>)

Handler select_bits(const Op& op) {
  switch (op.code) {
    case Code::shf_l:
      return funnel<true>;
    case Code::shf_r:
      return funnel<false>;
    case Code::bfe:
      return KC_BY_4_8(bit_field_extract);
    case Code::bfi:
      return op.type == Type::u32 ? bit_field_insert<u32> : bit_field_insert<u64>;
    case Code::bmsk:
      return bit_mask;
    case Code::szext:
      return KC_32(sign_extend);
    case Code::lop3:
      return lop3;
    case Code::prmt:
      return prmt;
    case Code::popc:
      return op.type == Type::u32 ? count_ones<u32> : count_ones<u64>;
    case Code::clz:
      return op.type == Type::u32 ? count_leading<u32> : count_leading<u64>;
    case Code::bfind:
      return KC_BY_4_8(find_bit);
    case Code::fns:
      return find_nth;
    case Code::dp4a:
    case Code::dp2a:
      return dot_product;
    default:
      return nullptr;
  }
}

}  // namespace kerncast::simulator::KERNCAST_SIM_LEVEL
