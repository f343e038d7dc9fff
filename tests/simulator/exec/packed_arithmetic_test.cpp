#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "tests/simulator/kernel_runner.hpp"

namespace kerncast::simulator::testing {

namespace {

using U16 = std::uint16_t;
using U32 = std::uint32_t;
using U64 = std::uint64_t;

/// Encodings with zeros, subnormals, powers and their neighbours, infinities and NaN of several payloads.
const std::vector<U32> floats{0x00000000, 0x80000000, 0x00000001, 0x807fffff, 0x00800000,
                              0x80800001, 0x3f800000, 0xbf800000, 0x3f800001, 0x3dcccccd,
                              0x4b800000, 0xcb7fffff, 0x33800000, 0x7f7fffff, 0xff7fffff,
                              0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001, 0xffffffff};

float as_float(U32 bits) {
  return std::bit_cast<float>(bits);
}

bool is_nan(U32 bits) {
  return (bits & 0x7fffffff) > 0x7f800000;
}

U32 flushed(U32 bits) {
  return (bits & 0x7f800000) == 0 ? bits & 0x80000000 : bits;
}

/// f(a, b, c) under `mode`, with the one NaN the machine has.
template <class F>
U32 rounded(int mode, bool ftz, F f, U32 a, U32 b, U32 c) {
  const int before = std::fegetround();
  std::fesetround(mode);
  const volatile float x = as_float(ftz ? flushed(a) : a);
  const volatile float y = as_float(ftz ? flushed(b) : b);
  const volatile float z = as_float(ftz ? flushed(c) : c);
  const volatile float result = f(x, y, z);
  const float copy = result;
  std::fesetround(before);
  const U32 bits = std::bit_cast<U32>(copy);
  return is_nan(bits) ? 0x7fffffff : ftz ? flushed(bits) : bits;
}

/// All pairs of floats, two to a register, the second with its operands exchanged.
void float_pairs(std::vector<U64>& a, std::vector<U64>& b) {
  for (const U32 x : floats) {
    for (const U32 y : floats) {
      a.push_back(U64{y} << 32 | x);
      b.push_back(U64{x} << 32 | y);
    }
  }
}

template <class F>
void check_pairs(const std::string& base, F f) {
  std::vector<U64> a;
  std::vector<U64> b;
  float_pairs(a, b);
  std::vector<U64> c(a.size());
  for (std::size_t i = 0; i < c.size(); ++i) {
    c[i] = a[(i * 7 + 3) % a.size()];
  }
  const bool fused = base == "fma";
  for (const auto& [name, mode] : {std::pair{".rn", FE_TONEAREST}, std::pair{".rz", FE_TOWARDZERO},
                                   std::pair{".rm", FE_DOWNWARD}, std::pair{".rp", FE_UPWARD}}) {
    for (const bool ftz : {false, true}) {
      const std::string instruction =
          base + name + (ftz ? ".ftz" : "") + ".f32x2 d, a, b" + (fused ? ", c;" : ";");
      const auto d = run_op<U64, U64>(instruction, a, b, fused ? c : std::vector<U64>{}, "sm_120");
      for (std::size_t i = 0; i < d.size(); ++i) {
        for (const unsigned shift : {0U, 32U}) {
          const auto part = [&](U64 whole) { return static_cast<U32>(whole >> shift); };
          CAPTURE(instruction, part(a[i]), part(b[i]), part(c[i]));
          CHECK(part(d[i]) == rounded(mode, ftz, f, part(a[i]), part(b[i]), part(c[i])));
        }
      }
    }
  }
}

}  // namespace

TEST_CASE("Arithmetic on pairs of f32 rounds each element as asked") {
  check_pairs("add", [](float x, float y, float) { return x + y; });
  check_pairs("sub", [](float x, float y, float) { return x - y; });
  check_pairs("mul", [](float x, float y, float) { return x * y; });
  check_pairs("fma", [](float x, float y, float z) { return std::fma(x, y, z); });
}

TEST_CASE("Arithmetic on pairs of 16-bit integers wraps and clamps at zero") {
  const std::vector<U16> values{0, 1, 2, 0x7fff, 0x8000, 0x8001, 0xffff, 0x1234};
  std::vector<U32> a;
  std::vector<U32> b;
  for (const U16 x : values) {
    for (const U16 y : values) {
      a.push_back(static_cast<U32>(x) | static_cast<U32>(y) << 16);
      b.push_back(static_cast<U32>(y) | static_cast<U32>(x ^ 5U) << 16);
    }
  }
  const auto check = [&](const std::string& opcode, auto f) {
    const auto d = run_op<U32, U32>(opcode + " d, a, b;", a, b);
    for (std::size_t i = 0; i < d.size(); ++i) {
      CAPTURE(opcode, a[i], b[i]);
      CHECK(d[i] ==
            (static_cast<U32>(static_cast<U16>(f(static_cast<U16>(a[i]), static_cast<U16>(b[i])))) |
             static_cast<U32>(static_cast<U16>(f(static_cast<U16>(a[i] >> 16), static_cast<U16>(b[i] >> 16))))
                 << 16));
    }
  };
  const auto sign = [](int x) { return static_cast<int>(static_cast<std::int16_t>(x)); };
  check("add.u16x2", [](int x, int y) { return x + y; });
  check("add.s16x2", [](int x, int y) { return x + y; });
  check("min.u16x2", [](int x, int y) { return std::min(x, y); });
  check("max.u16x2", [](int x, int y) { return std::max(x, y); });
  check("min.s16x2", [&](int x, int y) { return std::min(sign(x), sign(y)); });
  check("max.s16x2", [&](int x, int y) { return std::max(sign(x), sign(y)); });
  check("min.relu.s16x2", [&](int x, int y) { return std::max(0, std::min(sign(x), sign(y))); });
  check("max.relu.s16x2", [&](int x, int y) { return std::max(0, std::max(sign(x), sign(y))); });
}

TEST_CASE("min and max of s32 clamp at zero with relu") {
  const std::vector<std::int32_t> values{
      0, 1, -1, 77, -77, std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()};
  std::vector<std::int32_t> a;
  std::vector<std::int32_t> b;
  all_pairs(values, a, b);
  const auto low = run_op<std::int32_t, std::int32_t>("min.relu.s32 d, a, b;", a, b);
  const auto high = run_op<std::int32_t, std::int32_t>("max.relu.s32 d, a, b;", a, b);
  for (std::size_t i = 0; i < a.size(); ++i) {
    CAPTURE(a[i], b[i]);
    CHECK(low[i] == std::max(0, std::min(a[i], b[i])));
    CHECK(high[i] == std::max(0, std::max(a[i], b[i])));
  }
}

TEST_CASE("min and max of three floats") {
  std::vector<U32> a;
  std::vector<U32> b;
  std::vector<U32> c;
  for (const U32 x : floats) {
    for (const U32 y : floats) {
      for (const U32 z : {0x00000000U, 0x80000000U, 0x40000000U, 0xff800000U, 0x7fc00000U}) {
        a.push_back(x);
        b.push_back(y);
        c.push_back(z);
      }
    }
  }
  // Integers in the order of the floats, in which -0 lies just below +0.
  const auto key = [](U32 bits) {
    return (bits >> 31) != 0 ? -static_cast<std::int64_t>(bits & 0x7fffffff) - 1
                             : static_cast<std::int64_t>(bits);
  };
  for (const bool max : {false, true}) {
    for (const bool nan : {false, true}) {
      const std::string opcode = std::string(max ? "max" : "min") + (nan ? ".NaN" : "") + ".f32 d, a, b, c;";
      const auto d = run_op<U32, U32>(opcode, a, b, c, "sm_120");
      for (std::size_t i = 0; i < d.size(); ++i) {
        std::vector<U32> numbers;
        for (const U32 x : {a[i], b[i], c[i]}) {
          if (!is_nan(x)) {
            numbers.push_back(x);
          }
        }
        std::sort(numbers.begin(), numbers.end(), [&](U32 x, U32 y) { return key(x) < key(y); });
        const bool is_none = numbers.empty() || (nan && numbers.size() < 3);
        CAPTURE(opcode, a[i], b[i], c[i]);
        CHECK(d[i] == (is_none ? 0x7fffffffU : max ? numbers.back() : numbers.front()));
      }
    }
  }
}

TEST_CASE("Mixed precision widens its 16-bit operands exactly") {
  const std::vector<U16> halves{0x0000, 0x8000, 0x0001, 0x83ff, 0x0400, 0x3c00,
                                0xbc01, 0x7bff, 0x7c00, 0xfc00, 0x7e00};
  const auto value_of = [](U16 bits, bool brain) -> float {
    if (brain) {
      return as_float(static_cast<U32>(bits) << 16);
    }
    const int exponent = bits >> 10 & 31;
    const int mantissa = bits & 1023;
    const float sign = (bits >> 15) != 0 ? -1.0F : 1.0F;
    if (exponent == 31) {
      return mantissa != 0 ? std::nanf("") : sign * std::numeric_limits<float>::infinity();
    }
    return sign * std::ldexp(static_cast<float>(exponent == 0 ? mantissa : mantissa + 1024),
                             std::max(exponent, 1) - 25);
  };
  std::vector<U16> a;
  std::vector<U32> c;
  for (const U16 x : halves) {
    for (const U32 y : floats) {
      a.push_back(x);
      c.push_back(y);
    }
  }
  std::vector<U32> wide_a(a.begin(), a.end());
  for (const bool brain : {false, true}) {
    const std::string type = brain ? ".bf16" : ".f16";
    for (const auto& [name, mode] : {std::pair{".rn", FE_TONEAREST}, std::pair{".rz", FE_TOWARDZERO},
                                     std::pair{".rm", FE_DOWNWARD}, std::pair{".rp", FE_UPWARD}}) {
      const std::string half = "{ .reg .b16 h; cvt.u16.u32 h, a; ";
      const auto added =
          run_op<U32, U32>(half + "add" + name + ".f32" + type + " d, h, b; }", wide_a, c, {}, "sm_120");
      const auto subtracted =
          run_op<U32, U32>(half + "sub" + name + ".f32" + type + " d, h, b; }", wide_a, c, {}, "sm_120");
      const auto fused =
          run_op<U32, U32>(half + "fma" + name + ".f32" + type + " d, h, h, b; }", wide_a, c, {}, "sm_120");
      for (std::size_t i = 0; i < a.size(); ++i) {
        const U32 x = std::bit_cast<U32>(value_of(a[i], brain));
        CAPTURE(type, name, a[i], c[i]);
        CHECK(added[i] == rounded(mode, false, [](float p, float q, float) { return p + q; }, x, c[i], 0));
        CHECK(subtracted[i] ==
              rounded(mode, false, [](float p, float q, float) { return p - q; }, x, c[i], 0));
        CHECK(fused[i] ==
              rounded(mode, false, [](float p, float, float r) { return std::fma(p, p, r); }, x, 0, c[i]));
      }
    }
  }
}

TEST_CASE("Comparisons of half pairs give a predicate or a value per element") {
  // Encodings whose order as floats is known: from -inf to inf, then NaN.
  const std::vector<U16> ordered{0xfc00, 0xc000, 0x8001, 0x8000, 0x0000, 0x0001, 0x3c00, 0x7c00, 0x7e00};
  std::vector<U32> a;
  std::vector<U32> b;
  std::vector<std::array<int, 4>> ranks;
  const auto rank = [](std::size_t i) { return i == 8 ? -1 : i == 4 ? 3 : static_cast<int>(i); };
  for (std::size_t i = 0; i < ordered.size(); ++i) {
    for (std::size_t j = 0; j < ordered.size(); ++j) {
      const std::size_t k = (i + 2 * j) % ordered.size();
      a.push_back(static_cast<U32>(ordered[i]) | static_cast<U32>(ordered[k]) << 16);
      b.push_back(static_cast<U32>(ordered[j]) | static_cast<U32>(ordered[i]) << 16);
      ranks.push_back({rank(i), rank(j), rank(k), rank(i)});
    }
  }
  const auto less = [](int x, int y) { return x >= 0 && y >= 0 && x < y; };
  const auto not_equal_or_nan = [](int x, int y) { return x < 0 || y < 0 || x != y; };
  const auto predicates =
      run_op<U32, U32>("setp.lt.f16x2 p|q, a, b; selp.u32 d, 1, 0, p; @q add.u32 d, d, 2;", a, b);
  const auto values = run_op<U32, U32>("set.lt.f16x2.f16x2 d, a, b;", a, b);
  const auto masks = run_op<U32, U32>("set.neu.u32.f16x2 d, a, b;", a, b);
  for (std::size_t i = 0; i < a.size(); ++i) {
    const bool low = less(ranks[i][0], ranks[i][1]);
    const bool high = less(ranks[i][2], ranks[i][3]);
    CAPTURE(a[i], b[i]);
    CHECK(predicates[i] == (low ? 1U : 0U) + (high ? 2U : 0U));
    CHECK(values[i] == (low ? 0x3c00U : 0U) + (high ? 0x3c000000U : 0U));
    CHECK(masks[i] == (not_equal_or_nan(ranks[i][0], ranks[i][1]) ? 0xffffU : 0U) +
                          (not_equal_or_nan(ranks[i][2], ranks[i][3]) ? 0xffff0000U : 0U));
  }
}

TEST_CASE("vabsdiff4 takes four absolute differences, or their sum") {
  const std::vector<U32> a{0, 0xffffffff, 0x01020304, 0x80ff7f00};
  const std::vector<U32> b{0, 0x00000000, 0x04030201, 0x7f00ff01};
  const std::vector<U32> c{5, 6, 7, 0xfffffff0};
  const auto apart = run_op<U32, U32>("vabsdiff4.u32.u32.u32 d, a, b, c;", a, b, c);
  const auto sums = run_op<U32, U32>("vabsdiff4.u32.u32.u32.add d, a, b, c;", a, b, c);
  CHECK(apart == std::vector<U32>{0, 0xffffffff, 0x03010103, 0x01ff8001});
  CHECK(sums == std::vector<U32>{5, 6 + 4 * 255, 7 + 8, static_cast<U32>(0xfffffff0U + 1 + 255 + 128 + 1)});
}

TEST_CASE("lop3 combines whether its result is zero with a predicate") {
  const std::vector<U32> a{0, 1, 0, 1};
  const std::vector<U32> b{0, 0, 1, 1};
  const std::string set_q = "setp.ne.u32 q, b, 0; ";
  CHECK(run_op<U32, U32>(set_q + "lop3.or.b32 d|p, a, a, a, 0xf0, q; selp.u32 d, 1, 0, p;", a, b) ==
        std::vector<U32>{0, 1, 1, 1});
  CHECK(run_op<U32, U32>(set_q + "lop3.and.b32 d|p, a, a, a, 0xf0, q; selp.u32 d, 1, 0, p;", a, b) ==
        std::vector<U32>{0, 0, 0, 1});
  CHECK(run_op<U32, U32>(set_q + "lop3.and.b32 _|p, a, a, a, 0xf0, !q; selp.u32 d, 1, 0, p;", a, b) ==
        std::vector<U32>{0, 1, 0, 0});
  CHECK(run_op<U32, U32>(set_q + "lop3.or.b32 d|p, a, b, 3, 0x96, q;", a, b) == std::vector<U32>{3, 2, 2, 3});
}

TEST_CASE("cvt to tf32 rounds to 10 bits of mantissa") {
  std::vector<U32> a = floats;
  for (const U32 low : {0x0fffU, 0x1000U, 0x1001U, 0x1fffU, 0x2fffU, 0x3000U, 0x3001U}) {
    a.push_back(0x3f800000U | low);
    a.push_back(0xbf800000U | low);
    a.push_back(0x7f7fe000U | low);
    a.push_back(low);
  }
  const auto reference = [](U32 bits, char how, bool finite, bool relu) -> U32 {
    if (is_nan(bits)) {
      return how != 'a' ? 0x7fffe000 : (bits & 0xffffe000) - (finite ? 0x2000 : 0);
    }
    const U32 sign = bits & 0x80000000;
    const U32 magnitude = bits & 0x7fffffff;
    U32 result = magnitude >> 13;
    const U32 rest = magnitude & 0x1fff;
    if (how == 'a') {
      result += rest >= 0x1000 ? 1 : 0;
    } else if (how == 'n') {
      result += rest > 0x1000 || (rest == 0x1000 && (result & 1) != 0) ? 1 : 0;
    }
    result <<= 13;
    if (finite && result >= 0x7f800000) {
      result = 0x7f7fe000;
    }
    return relu && sign != 0 ? 0 : sign | result;
  };
  for (const char how : {'a', 'n', 'z'}) {
    for (const bool finite : {false, true}) {
      for (const bool relu : {false, true}) {
        if (how == 'a' && relu) {
          continue;
        }
        const std::string opcode = std::string("cvt.r") +
                                   (how == 'a'   ? "na"
                                    : how == 'n' ? "n"
                                                 : "z") +
                                   (finite ? ".satfinite" : "") + (relu ? ".relu" : "") + ".tf32.f32 d, a;";
        const auto d = run_op<U32, U32>(opcode, a, {}, {}, "sm_100");
        for (std::size_t i = 0; i < a.size(); ++i) {
          CAPTURE(opcode, a[i]);
          CHECK(d[i] == reference(a[i], how, finite, relu));
        }
      }
    }
  }
}

}  // namespace kerncast::simulator::testing
