#include <algorithm>
#include <bit>
#include <catch2/catch.hpp>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "tests/simulator/kernel_runner.hpp"

using kerncast::simulator::testing::all_pairs;
using kerncast::simulator::testing::run_op;

namespace {

template <class T>
std::vector<T> edges() {
  std::vector<T> values{T(0),
                        T(1),
                        T(2),
                        T(3),
                        T(7),
                        T(31),
                        T(32),
                        T(33),
                        T(100),
                        T(255),
                        static_cast<T>(~T(0)),
                        static_cast<T>(~T(0) - 1),
                        T(T(1) << (sizeof(T) * 8 - 1)),
                        static_cast<T>((T(1) << (sizeof(T) * 8 - 1)) - 1),
                        static_cast<T>(0x5a5a5a5a5a5a5a5aULL),
                        static_cast<T>(0x123456789abcdef1ULL),
                        static_cast<T>(0xfedcba9876543210ULL)};
  return values;
}

/// Checks a binary instruction for unsigned T against `expect` on all pairs of edge values.
template <class T, class F>
void check_pairs(const std::string& instruction, F expect) {
  std::vector<T> a;
  std::vector<T> b;
  all_pairs(edges<T>(), a, b);
  using D = decltype(expect(a[0], b[0]));
  const std::vector<D> got = run_op<D>(instruction, a, b);
  for (std::size_t i = 0; i < a.size(); ++i) {
    const D want = expect(a[i], b[i]);
    if (got[i] != want) {
      FAIL_CHECK(instruction << " of " << +a[i] << ", " << +b[i] << " gave " << +got[i] << ", not " << +want);
      break;
    }
  }
  SUCCEED();
}

__extension__ using S128 = __int128;
__extension__ using U128 = unsigned __int128;

template <class T, class S>
void check_width(const std::string& bits) {
  const std::string u = ".u" + bits + " ";
  const std::string s = ".s" + bits + " ";
  const std::string b = ".b" + bits + " ";
  constexpr unsigned bit_count = sizeof(T) * 8;
  const auto as_signed = [](T x) { return static_cast<S>(x); };
  check_pairs<T>("add" + u + "d, a, b;", [](T x, T y) { return static_cast<T>(S128{x} + y); });
  check_pairs<T>("sub" + s + "d, a, b;", [](T x, T y) { return static_cast<T>(S128{x} - y); });
  check_pairs<T>("mul.lo" + s + "d, a, b;", [](T x, T y) { return static_cast<T>(std::uint64_t{x} * y); });
  check_pairs<T>("mul.hi" + u + "d, a, b;",
                 [](T x, T y) { return static_cast<T>((U128{x} * y) >> bit_count); });
  check_pairs<T>("mul.hi" + s + "d, a, b;",
                 [&](T x, T y) { return static_cast<T>((S128{as_signed(x)} * as_signed(y)) >> bit_count); });
  check_pairs<T>("mad.lo" + s + "d, a, b, a;",
                 [](T x, T y) { return static_cast<T>(std::uint64_t{x} * y + std::uint64_t{x}); });
  check_pairs<T>("div" + u + "d, a, b;",
                 [](T x, T y) { return y == 0 ? static_cast<T>(~T(0)) : static_cast<T>(x / y); });
  check_pairs<T>("rem" + u + "d, a, b;", [](T x, T y) { return y == 0 ? x : static_cast<T>(x % y); });
  check_pairs<T>("div" + s + "d, a, b;", [&](T x, T y) {
    return y == 0 ? static_cast<T>(~T(0)) : static_cast<T>(S128{as_signed(x)} / as_signed(y));
  });
  check_pairs<T>("rem" + s + "d, a, b;",
                 [&](T x, T y) { return y == 0 ? x : static_cast<T>(S128{as_signed(x)} % as_signed(y)); });
  check_pairs<T>("min" + s + "d, a, b;", [&](T x, T y) { return as_signed(x) < as_signed(y) ? x : y; });
  check_pairs<T>("max" + u + "d, a, b;", [](T x, T y) { return x > y ? x : y; });
  check_pairs<T>("and" + b + "d, a, b;", [](T x, T y) { return static_cast<T>(x & y); });
  check_pairs<T>("or" + b + "d, a, b;", [](T x, T y) { return static_cast<T>(x | y); });
  check_pairs<T>("xor" + b + "d, a, b;", [](T x, T y) { return static_cast<T>(x ^ y); });
  check_pairs<T>("not" + b + "d, a;", [](T x, T) { return static_cast<T>(~x); });
  check_pairs<T>("cnot" + b + "d, a;", [](T x, T) { return static_cast<T>(x == 0); });
  check_pairs<T>("neg" + s + "d, a;", [](T x, T) { return static_cast<T>(T(0) - x); });
  check_pairs<T>("abs" + s + "d, a;",
                 [&](T x, T) { return as_signed(x) < 0 ? static_cast<T>(T(0) - x) : x; });
  check_pairs<T>("sad" + u + "d, a, b, a;",
                 [](T x, T y) { return static_cast<T>(x + (x > y ? x - y : y - x)); });
  for (const unsigned by : {0U, 1U, 5U, 15U, 16U, 31U, 32U, 63U, 64U, 200U}) {
    const std::string amount = std::to_string(by);
    check_pairs<T>("shl" + b + "d, a, " + amount + ";",
                   [&](T x, T) { return by >= bit_count ? T(0) : static_cast<T>(std::uint64_t{x} << by); });
    check_pairs<T>("shr" + u + "d, a, " + amount + ";",
                   [&](T x, T) { return by >= bit_count ? T(0) : static_cast<T>(x >> by); });
    check_pairs<T>("shr" + s + "d, a, " + amount + ";", [&](T x, T) {
      return static_cast<T>(by >= bit_count ? (as_signed(x) < 0 ? -1 : 0) : as_signed(x) >> by);
    });
  }
  struct Comparison {
    const char* name;
    bool (*of_unsigned)(T, T);
    bool (*of_signed)(S, S);
  };
  const Comparison comparisons[] = {
      {"eq", [](T x, T y) { return x == y; }, [](S x, S y) { return x == y; }},
      {"ne", [](T x, T y) { return x != y; }, [](S x, S y) { return x != y; }},
      {"lt", [](T x, T y) { return x < y; }, [](S x, S y) { return x < y; }},
      {"le", [](T x, T y) { return x <= y; }, [](S x, S y) { return x <= y; }},
      {"gt", [](T x, T y) { return x > y; }, [](S x, S y) { return x > y; }},
      {"ge", [](T x, T y) { return x >= y; }, [](S x, S y) { return x >= y; }},
  };
  for (const Comparison& comparison : comparisons) {
    const std::string select = " selp" + b + "d, 1, 0, p;";
    check_pairs<T>("setp." + std::string(comparison.name) + u + "p, a, b;" + select,
                   [&](T x, T y) { return static_cast<T>(comparison.of_unsigned(x, y)); });
    check_pairs<T>(
        "setp." + std::string(comparison.name) + s + "p|q, a, b; not.pred p, q;" + select,
        [&](T x, T y) { return static_cast<T>(comparison.of_signed(as_signed(x), as_signed(y))); });
  }
  check_pairs<T>("setp.hi" + u + "p, a, b; selp" + b + "d, 1, 0, p;",
                 [](T x, T y) { return static_cast<T>(x > y); });
  check_pairs<T>("setp.ls" + u + "p, a, b; selp" + b + "d, 1, 0, p;",
                 [](T x, T y) { return static_cast<T>(x <= y); });
}

}  // namespace

TEST_CASE("16-bit integer instructions") {
  check_width<std::uint16_t, std::int16_t>("16");
}
TEST_CASE("32-bit integer instructions") {
  check_width<std::uint32_t, std::int32_t>("32");
}
TEST_CASE("64-bit integer instructions") {
  check_width<std::uint64_t, std::int64_t>("64");
}

TEST_CASE("set combines a comparison with a predicate") {
  check_pairs<std::uint32_t>("setp.eq.u32 q, a, 1; setp.lt.and.u32 p, a, b, !q; selp.b32 d, 1, 0, p;",
                             [](std::uint32_t x, std::uint32_t y) { return std::uint32_t(x < y && x != 1); });
  check_pairs<std::uint32_t>("setp.eq.u32 q, a, 1; setp.lt.or.u32 p, a, b, q; selp.b32 d, 1, 0, p;",
                             [](std::uint32_t x, std::uint32_t y) { return std::uint32_t(x < y || x == 1); });
  check_pairs<std::uint32_t>(
      "setp.eq.u32 q, a, 1; setp.lt.xor.u32 p|q, a, b, q; selp.b32 d, 1, 0, q;",
      [](std::uint32_t x, std::uint32_t y) { return std::uint32_t(!(x < y) != (x == 1)); });
  check_pairs<std::uint32_t>("set.gt.u32.s32 d, a, b;", [](std::uint32_t x, std::uint32_t y) {
    return static_cast<std::int32_t>(x) > static_cast<std::int32_t>(y) ? ~0U : 0U;
  });
  check_pairs<std::uint32_t>("set.le.f32.u32 d, a, b;",
                             [](std::uint32_t x, std::uint32_t y) { return x <= y ? 0x3f800000U : 0U; });
  check_pairs<std::uint32_t>("slct.b32.s32 d, a, b, b;", [](std::uint32_t x, std::uint32_t y) {
    return static_cast<std::int32_t>(y) >= 0 ? x : y;
  });
}

TEST_CASE("wide products, 24-bit products and saturating sums") {
  using U32 = std::uint32_t;
  using S32 = std::int32_t;
  check_pairs<U32>("mul.wide.u32 d, a, b;", [](U32 x, U32 y) { return std::uint64_t{x} * y; });
  check_pairs<U32>("mul.wide.s32 d, a, b;", [](U32 x, U32 y) {
    return static_cast<std::uint64_t>(std::int64_t{static_cast<S32>(x)} * static_cast<S32>(y));
  });
  check_pairs<std::uint16_t>("mul.wide.s16 d, a, b;", [](std::uint16_t x, std::uint16_t y) {
    return static_cast<U32>(static_cast<std::int16_t>(x) * static_cast<std::int16_t>(y));
  });
  check_pairs<U32>("mad.wide.u32 d, a, b, 5;", [](U32 x, U32 y) { return std::uint64_t{x} * y + 5; });
  check_pairs<U32>("mul24.lo.u32 d, a, b;", [](U32 x, U32 y) {
    return static_cast<U32>(std::uint64_t{x & 0xffffff} * (y & 0xffffff));
  });
  check_pairs<U32>("mul24.hi.s32 d, a, b;", [](U32 x, U32 y) {
    const std::int64_t p = std::int64_t{static_cast<S32>(x << 8) / 256} * (static_cast<S32>(y << 8) / 256);
    return static_cast<U32>(p >> 16);
  });
  const auto clamp = [](std::int64_t x) {
    return static_cast<U32>(
        std::clamp<std::int64_t>(x, std::numeric_limits<S32>::min(), std::numeric_limits<S32>::max()));
  };
  check_pairs<U32>("add.sat.s32 d, a, b;", [&](U32 x, U32 y) {
    return clamp(std::int64_t{static_cast<S32>(x)} + static_cast<S32>(y));
  });
  check_pairs<U32>("sub.sat.s32 d, a, b;", [&](U32 x, U32 y) {
    return clamp(std::int64_t{static_cast<S32>(x)} - static_cast<S32>(y));
  });
}

TEST_CASE("carries chain into 128-bit sums and products") {
  using U64 = std::uint64_t;
  check_pairs<U64>("add.cc.u64 d, a, b; addc.u64 d, a, b;",
                   [](U64 x, U64 y) { return x + y + ((x + y) < x ? 1 : 0); });
  check_pairs<U64>("sub.cc.u64 d, a, b; subc.u64 d, a, b;",
                   [](U64 x, U64 y) { return x - y - (x < y ? 1 : 0); });
  check_pairs<U64>("mad.lo.cc.u64 d, a, b, b; madc.hi.u64 d, a, b, 0;", [](U64 x, U64 y) {
    const auto product = U128{x} * y + y;
    return static_cast<U64>(product >> 64);
  });
  check_pairs<std::uint32_t>("add.cc.u32 d, a, b; addc.cc.u32 d, b, 0xffffffff; addc.u32 d, 0, 0;",
                             [](std::uint32_t x, std::uint32_t y) {
                               const bool first = x + y < x;
                               return std::uint32_t(std::uint64_t{y} + 0xffffffffU + first > 0xffffffffU);
                             });
}

TEST_CASE("bit manipulation") {
  using U32 = std::uint32_t;
  using U64 = std::uint64_t;
  check_pairs<U32>("popc.b32 d, a;", [](U32 x, U32) { return static_cast<U32>(std::popcount(x)); });
  check_pairs<U64>("{ .reg .b32 t; popc.b64 t, a; cvt.u64.u32 d, t; }",
                   [](U64 x, U64) { return static_cast<U64>(std::popcount(x)); });
  check_pairs<U32>("clz.b32 d, a;", [](U32 x, U32) { return static_cast<U32>(std::countl_zero(x)); });
  check_pairs<U64>("{ .reg .b32 t; clz.b64 t, a; cvt.u64.u32 d, t; }",
                   [](U64 x, U64) { return static_cast<U64>(std::countl_zero(x)); });
  const auto reverse = [](U64 x, unsigned bits) {
    U64 result = 0;
    for (unsigned i = 0; i < bits; ++i) {
      result |= (x >> i & 1) << (bits - 1 - i);
    }
    return result;
  };
  check_pairs<U32>("brev.b32 d, a;", [&](U32 x, U32) { return static_cast<U32>(reverse(x, 32)); });
  check_pairs<U64>("brev.b64 d, a;", [&](U64 x, U64) { return reverse(x, 64); });
  check_pairs<U32>("bfind.u32 d, a;",
                   [](U32 x, U32) { return x == 0 ? ~0U : static_cast<U32>(31 - std::countl_zero(x)); });
  check_pairs<U32>("bfind.s32 d, a;", [](U32 x, U32) {
    const U32 y = static_cast<std::int32_t>(x) < 0 ? ~x : x;
    return y == 0 ? ~0U : static_cast<U32>(31 - std::countl_zero(y));
  });
  check_pairs<U32>("bfind.shiftamt.u32 d, a;",
                   [](U32 x, U32) { return x == 0 ? ~0U : static_cast<U32>(std::countl_zero(x)); });
  for (const U32 position : {0U, 4U, 28U, 31U, 40U}) {
    for (const U32 length : {0U, 1U, 8U, 31U, 32U}) {
      const std::string field = std::to_string(position) + ", " + std::to_string(length) + ";";
      // Bit by bit, as the PTX ISA defines the extraction.
      const auto extract = [&](U32 x, bool is_signed) {
        const U32 top = std::min(position + length - 1, 31U);
        const U32 sign = is_signed && length != 0 ? x >> top & 1 : 0;
        U32 result = 0;
        for (U32 i = 0; i < 32; ++i) {
          result |= (i < length && position + i <= 31 ? x >> (position + i) & 1 : sign) << i;
        }
        return result;
      };
      check_pairs<U32>("bfe.u32 d, a, " + field, [&](U32 x, U32) { return extract(x, false); });
      check_pairs<U32>("bfe.s32 d, a, " + field, [&](U32 x, U32) { return extract(x, true); });
      check_pairs<U32>("bfi.b32 d, a, b, " + field, [&](U32 x, U32 y) {
        for (U32 i = 0; i < length && position + i <= 31; ++i) {
          y = (y & ~(1U << (position + i))) | (x >> i & 1) << (position + i);
        }
        return y;
      });
    }
  }
  check_pairs<U32>("lop3.b32 d, a, b, 0x0ff0ff00, 0xe8;",
                   [](U32 x, U32 y) { return (x & y) | (x & 0x0ff0ff00U) | (y & 0x0ff0ff00U); });
  check_pairs<U32>("lop3.b32 d, a, b, 0x0ff0ff00, 0x96;", [](U32 x, U32 y) { return x ^ y ^ 0x0ff0ff00U; });
  check_pairs<U32>("lop3.b32 d, a, b, 0x0ff0ff00, 0x2a;",
                   [](U32 x, U32 y) { return ~(x & y) & 0x0ff0ff00U; });
  for (const U32 by : {0U, 1U, 17U, 31U, 32U, 40U}) {
    const std::string amount = std::to_string(by) + ";";
    const auto both = [](U32 x, U32 y) { return std::uint64_t{y} << 32 | x; };
    check_pairs<U32>("shf.l.wrap.b32 d, a, b, " + amount,
                     [&](U32 x, U32 y) { return static_cast<U32>(both(x, y) << (by & 31) >> 32); });
    check_pairs<U32>("shf.r.clamp.b32 d, a, b, " + amount,
                     [&](U32 x, U32 y) { return static_cast<U32>(both(x, y) >> std::min(by, 32U)); });
  }
}

TEST_CASE("prmt picks bytes and replicates signs") {
  using U32 = std::uint32_t;
  const auto pick = [](U32 x, U32 y, U32 selectors) {
    U32 result = 0;
    for (unsigned i = 0; i < 4; ++i) {
      const U32 selector = selectors >> (4 * i) & 15;
      U32 byte = (selector & 4) != 0 ? y >> (8 * (selector & 3)) & 255 : x >> (8 * (selector & 3)) & 255;
      if ((selector & 8) != 0) {
        byte = byte >= 128 ? 255 : 0;
      }
      result |= byte << (8 * i);
    }
    return result;
  };
  for (const U32 selectors : {0x3210U, 0x7654U, 0x0123U, 0x5410U, 0x8a3fU}) {
    check_pairs<U32>("prmt.b32 d, a, b, " + std::to_string(selectors) + ";",
                     [&](U32 x, U32 y) { return pick(x, y, selectors); });
  }
  check_pairs<U32>("prmt.b32 d, a, 0x11223344, b;", [&](U32 x, U32 y) { return pick(x, 0x11223344U, y); });
  check_pairs<U32>("prmt.b32.rc8 d, a, b, 2;", [&](U32 x, U32) { return (x >> 16 & 255) * 0x01010101U; });
  check_pairs<U32>("prmt.b32.b4e d, a, b, 0;", [&](U32 x, U32 y) { return pick(x, y, 0x5670U); });
}

TEST_CASE("dot products of bytes") {
  using U32 = std::uint32_t;
  check_pairs<U32>("dp4a.s32.u32 d, a, b, a;", [](U32 x, U32 y) {
    U32 sum = x;
    for (unsigned i = 0; i < 4; ++i) {
      sum += static_cast<U32>(static_cast<std::int8_t>(x >> (8 * i)) * static_cast<int>(y >> (8 * i) & 255));
    }
    return sum;
  });
  check_pairs<U32>("dp2a.hi.s32.s32 d, a, b, 1;", [](U32 x, U32 y) {
    return 1U + static_cast<U32>(static_cast<std::int16_t>(x) * static_cast<std::int8_t>(y >> 16)) +
           static_cast<U32>(static_cast<std::int16_t>(x >> 16) * static_cast<std::int8_t>(y >> 24));
  });
}

TEST_CASE("integer conversions extend, cut and clamp") {
  using U32 = std::uint32_t;
  using U64 = std::uint64_t;
  using S64 = std::int64_t;
  check_pairs<U32>("cvt.s64.s32 d, a;",
                   [](U32 x, U32) { return static_cast<U64>(S64{static_cast<std::int32_t>(x)}); });
  check_pairs<U32>("cvt.u64.u32 d, a;", [](U32 x, U32) { return U64{x}; });
  check_pairs<U64>("{ .reg .b32 t; cvt.u32.u64 t, a; cvt.u64.u32 d, t; }",
                   [](U64 x, U64) { return x & 0xffffffffU; });
  check_pairs<U32>("cvt.s32.s8 d, a;",
                   [](U32 x, U32) { return static_cast<U32>(static_cast<std::int8_t>(x)); });
  check_pairs<U32>("cvt.u32.u8 d, a;", [](U32 x, U32) { return x & 255; });
  check_pairs<U32>("cvt.sat.s8.s32 d, a;", [](U32 x, U32) {
    return static_cast<U32>(std::clamp<std::int32_t>(static_cast<std::int32_t>(x), -128, 127));
  });
  check_pairs<U32>("cvt.sat.u8.s32 d, a;", [](U32 x, U32) {
    return static_cast<U32>(std::clamp<std::int32_t>(static_cast<std::int32_t>(x), 0, 255));
  });
  check_pairs<U64>("{ .reg .b32 t; cvt.sat.s32.s64 t, a; cvt.s64.s32 d, t; }", [](U64 x, U64) {
    return static_cast<U64>(std::clamp<S64>(static_cast<S64>(x), std::numeric_limits<std::int32_t>::min(),
                                            std::numeric_limits<std::int32_t>::max()));
  });
  check_pairs<U32>("cvt.pack.sat.s8.s32.b32 d, a, b, a;", [](U32 x, U32 y) {
    const auto clamp = [](U32 v) {
      return static_cast<U32>(std::clamp(static_cast<std::int32_t>(v), -128, 127)) & 255;
    };
    return x << 16 | clamp(x) << 8 | clamp(y);
  });
}

TEST_CASE("vectors pack and unpack") {
  using U32 = std::uint32_t;
  using U64 = std::uint64_t;
  check_pairs<U32>("mov.b64 d, {a, b};", [](U32 x, U32 y) { return U64{y} << 32 | x; });
  check_pairs<U64>("{ .reg .b32 l, h; mov.b64 {l, h}, a; mov.b64 d, {h, l}; }",
                   [](U64 x, U64) { return x << 32 | x >> 32; });
  check_pairs<U64>(
      "{ .reg .b16 w<4>; mov.b64 {w0, w1, w2, w3}, a; mov.b64 d, {w3, w2, w1, w0}; }",
      [](U64 x, U64) { return x << 48 | (x & 0xffff0000U) << 16 | (x >> 16 & 0xffff0000U) | x >> 48; });
  check_pairs<U32>("{ .reg .b16 h; mov.b32 {_, h}, a; mov.b32 d, {h, h}; }",
                   [](U32 x, U32) { return x >> 16 | (x & 0xffff0000U); });
  check_pairs<U64>(
      "{ .reg .b128 q; mov.b128 q, {a, b}; .reg .b64 l, h; mov.b128 {l, h}, q; sub.u64 d, l, h; }",
      [](U64 x, U64 y) { return x - y; });
}
