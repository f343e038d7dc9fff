#include <algorithm>
#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "tests/simulator/kernel_runner.hpp"

using kerncast::simulator::testing::run_op;

namespace {

/// A narrow format described by its value table, so that rounding can be checked by search alone.
struct Narrow {
  int exponent_bits;
  int mantissa_bits;
  bool infinity;
  std::uint32_t codes;  ///< non-negative codes that are finite numbers

  [[nodiscard]] double value(std::uint32_t code) const {
    const int bias = (1 << (exponent_bits - 1)) - 1;
    const int exponent = static_cast<int>(code >> mantissa_bits);
    const auto fraction = static_cast<double>(code & ((1U << mantissa_bits) - 1));
    return exponent == 0
               ? std::ldexp(fraction, 1 - bias - mantissa_bits)
               : std::ldexp(fraction + std::ldexp(1.0, mantissa_bits), exponent - bias - mantissa_bits);
  }
  [[nodiscard]] std::uint32_t sign_bit() const { return 1U << (exponent_bits + mantissa_bits); }

  /// Nearest code, ties to even; beyond the largest number by half a step or more: infinity or, `finite`, the
  /// largest.
  [[nodiscard]] std::uint32_t nearest(double x, bool finite) const {
    const double magnitude = std::fabs(x);
    std::uint32_t low = 0;
    std::uint32_t high = codes;  // value(codes) continues the sequence one step beyond the largest number
    while (high - low > 1) {
      const std::uint32_t middle = (low + high) / 2;
      (value(middle) <= magnitude ? low : high) = middle;
    }
    if (magnitude >= value(codes)) {
      low = codes;
    }
    std::uint32_t best = low;
    if (low < codes) {
      const double below = magnitude - value(low);
      const double above = value(low + 1) - magnitude;
      best = above < below || (above == below && (low & 1) != 0) ? low + 1 : low;
    }
    if (best >= codes) {
      best = finite ? codes - 1 : codes;
    }
    return best | (std::signbit(x) ? sign_bit() : 0U);
  }
};

const Narrow f16_format{5, 10, true, 0x7c00};
const Narrow bf16_format{8, 7, true, 0x7f80};
const Narrow e4m3_format{4, 3, false, 0x7f};
const Narrow e5m2_format{5, 2, true, 0x7c};
const Narrow e2m1_format{2, 1, false, 0x8};

std::vector<float> inputs() {
  std::vector<float> values{0.0F,     -0.0F,    448.0F,   464.0F,        463.9F,        480.0F,
                            65504.0F, 65519.9F, 65520.0F, 57344.0F,      61440.0F,      6.0F,
                            5.0F,     0.25F,    0.75F,    3.4028235e38F, 3.3961775e38F, 1e-45F,
                            1e-40F,   0x1p-24F, 0x1p-25F, 0x1.8p-24F};
  std::uint32_t state = 99;
  for (int i = 0; i < 6000; ++i) {
    state = state * 1664525U + 1013904223U;
    const float x = std::bit_cast<float>(state);
    if (!std::isnan(x)) {
      values.push_back(x);
    }
    // Exponents near the narrow formats' ranges, with mantissas that often tie.
    const std::uint32_t exponent = 100 + (state >> 8) % 50;
    values.push_back(
        std::bit_cast<float>((state & 0x80000000U) | exponent << 23 | (state & 0x00780000U) << (i % 2)));
  }
  return values;
}

template <class F>
void check(const std::string& instruction, const std::vector<float>& a, const std::vector<float>& b,
           F expect) {
  using D = decltype(expect(0.0F, 0.0F));
  const std::vector<D> got = run_op<D>(instruction, a, b, std::vector<float>{}, "sm_120a");
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < a.size() && wrong < 3; ++i) {
    const D want = expect(a[i], b.empty() ? 0.0F : b[i]);
    if (got[i] != want) {
      ++wrong;
      FAIL_CHECK(instruction << " of " << a[i] << ", " << (b.empty() ? 0.0F : b[i]) << " gave " << std::hex
                             << got[i] << ", not " << want);
    }
  }
  CHECK(wrong == 0);
}

/// A result as the exact sum of two numbers; products of two 16-bit floats are exact in a long double.
using Sum = std::pair<long double, long double>;

std::uint32_t code(const Narrow& format, float x, bool finite = false) {
  return format.nearest(static_cast<double>(x), finite);
}

}  // namespace

TEST_CASE("floats round to the narrow formats") {
  const std::vector<float> a = inputs();
  std::vector<float> b(a.rbegin(), a.rend());
  check("cvt.rn.f16.f32 d, a;", a, {},
        [](float x, float) { return static_cast<std::uint16_t>(code(f16_format, x)); });
  check("cvt.rn.bf16.f32 d, a;", a, {},
        [](float x, float) { return static_cast<std::uint16_t>(code(bf16_format, x)); });
  check("cvt.rn.f16x2.f32 d, a, b;", a, b,
        [](float x, float y) { return code(f16_format, x) << 16 | code(f16_format, y); });
  check("cvt.rn.bf16x2.f32 d, a, b;", a, b,
        [](float x, float y) { return code(bf16_format, x) << 16 | code(bf16_format, y); });
  // relu is the greater of the value and +0, and -0 is the lesser of the zeros.
  check("cvt.rn.relu.bf16x2.f32 d, a, b;", a, b, [](float x, float y) {
    return code(bf16_format, x <= 0 ? 0.0F : x) << 16 | code(bf16_format, y <= 0 ? 0.0F : y);
  });
  check("cvt.rn.satfinite.e4m3x2.f32 d, a, b;", a, b, [](float x, float y) {
    return static_cast<std::uint16_t>(code(e4m3_format, x, true) << 8 | code(e4m3_format, y, true));
  });
  check("cvt.rn.satfinite.e5m2x2.f32 d, a, b;", a, b, [](float x, float y) {
    return static_cast<std::uint16_t>(code(e5m2_format, x, true) << 8 | code(e5m2_format, y, true));
  });
  check("{ .reg .b8 t; .reg .b8 z; cvt.rn.satfinite.e2m1x2.f32 t, a, b; mov.b32 d, {t, t, t, t}; }", a, b,
        [](float x, float y) {
          return (code(e2m1_format, x, true) << 4 | code(e2m1_format, y, true)) * 0x01010101U;
        });
  check("{ .reg .b32 h; cvt.rn.f16x2.f32 h, a, b; cvt.rn.satfinite.e4m3x2.f16x2 d, h; }", a, b,
        [](float x, float y) {
          const auto through = [](float v) {
            const std::uint32_t half = code(f16_format, v);
            const double value = (half & 0x7fff) == 0x7c00 ? 1e30 : f16_format.value(half & 0x7fff);
            return e4m3_format.nearest((half & 0x8000) != 0 ? -value : value, true);
          };
          return static_cast<std::uint16_t>(through(x) << 8 | through(y));
        });
}

TEST_CASE("NaN becomes the canonical NaN of each format") {
  const std::vector<float> nan{std::nanf(""), -std::nanf("1")};
  const std::vector<float> one{1.0F, 1.0F};
  for (const auto got : run_op<std::uint16_t>("cvt.rn.f16.f32 d, a;", nan)) {
    CHECK(got == 0x7fff);
  }
  for (const auto got : run_op<std::uint32_t>("cvt.rn.bf16x2.f32 d, a, b;", nan, one)) {
    CHECK(got == 0x7fff3f80);
  }
  for (const auto got : run_op<std::uint16_t>("cvt.rn.satfinite.e4m3x2.f32 d, a, b;", nan, one)) {
    CHECK(got == 0x7f38);
  }
  for (const auto got : run_op<std::uint16_t>("cvt.rn.satfinite.e5m2x2.f32 d, b, a;", nan, one)) {
    CHECK(got == 0x3c7f);
  }
}

TEST_CASE("directed rounding to narrow formats brackets the value") {
  const std::vector<float> a = inputs();
  const auto nearest = run_op<std::uint16_t>("cvt.rn.f16.f32 d, a;", a);
  const auto zero = run_op<std::uint16_t>("cvt.rz.f16.f32 d, a;", a);
  const auto up = run_op<std::uint16_t>("cvt.rp.f16.f32 d, a;", a);
  const auto down = run_op<std::uint16_t>("cvt.rm.f16.f32 d, a;", a);
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto value = [](std::uint16_t bits) {
      const double magnitude = (bits & 0x7fff) == 0x7c00 ? std::numeric_limits<double>::infinity()
                                                         : f16_format.value(bits & 0x7fff);
      return (bits & 0x8000) != 0 ? -magnitude : magnitude;
    };
    const double x = static_cast<double>(a[i]);
    REQUIRE(value(down[i]) <= x);
    REQUIRE(value(up[i]) >= x);
    REQUIRE(std::fabs(value(zero[i])) <= std::fabs(x));
    REQUIRE((nearest[i] == up[i] || nearest[i] == down[i]));
    REQUIRE((zero[i] == up[i] || zero[i] == down[i]));
  }
}

TEST_CASE("every narrow code widens to its value") {
  std::vector<std::uint16_t> all(65536);
  for (std::size_t i = 0; i < all.size(); ++i) {
    all[i] = static_cast<std::uint16_t>(i);
  }
  const auto check_all = [&](const std::string& instruction, const Narrow& format) {
    const auto got = run_op<float>(instruction, all);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < all.size(); ++i) {
      const std::uint32_t magnitude = all[i] & 0x7fffU;
      const bool negative = (all[i] & 0x8000U) != 0;
      if (magnitude > format.codes) {
        wrong += std::isnan(got[i]) ? 0U : 1U;
        continue;
      }
      const double value =
          magnitude == format.codes ? std::numeric_limits<double>::infinity() : format.value(magnitude);
      wrong += static_cast<double>(got[i]) == (negative ? -value : value) && std::signbit(got[i]) == negative
                   ? 0U
                   : 1U;
    }
    INFO(instruction);
    CHECK(wrong == 0);
  };
  check_all("cvt.f32.f16 d, a;", f16_format);
  check_all("cvt.f32.bf16 d, a;", bf16_format);
  const auto pairs = run_op<std::uint32_t>("cvt.rn.f16x2.e4m3x2 d, a;", all);
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (unsigned half = 0; half < 2; ++half) {
      const std::uint32_t byte = static_cast<std::uint32_t>(i) >> (8 * half) & 255;
      const std::uint32_t bits = pairs[i] >> (16 * half) & 0xffff;
      if ((byte & 127) == 127) {
        REQUIRE(bits == 0x7fff);
      } else {
        REQUIRE(f16_format.value(bits & 0x7fff) == e4m3_format.value(byte & 127));
        REQUIRE((bits >> 15) == (byte >> 7));
      }
    }
  }
}

TEST_CASE("16-bit float arithmetic rounds once") {
  std::vector<std::uint16_t> a;
  std::vector<std::uint16_t> b;
  std::vector<std::uint16_t> c;
  std::uint32_t state = 7;
  for (int i = 0; i < 20000; ++i) {
    state = state * 1664525U + 1013904223U;
    a.push_back(static_cast<std::uint16_t>(state >> 16));
    state = state * 1664525U + 1013904223U;
    b.push_back(static_cast<std::uint16_t>(state >> 16));
    state = state * 1664525U + 1013904223U;
    c.push_back(static_cast<std::uint16_t>(state >> 16));
  }
  const auto run = [&](const Narrow& format, const std::string& instruction,
                       const std::function<Sum(long double, long double, long double)>& f) {
    const auto got = run_op<std::uint16_t>(instruction, a, b, c);
    std::size_t wrong = 0;
    std::size_t checked = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
      const auto finite = [&](std::uint16_t x) { return (x & 0x7fffU) < format.codes; };
      if (!finite(a[i]) || !finite(b[i]) || !finite(c[i])) {
        continue;
      }
      const auto value = [&](std::uint16_t x) {
        const double magnitude = format.value(x & 0x7fffU);
        return static_cast<long double>((x & 0x8000U) != 0 ? -magnitude : magnitude);
      };
      const auto [x, y] = f(value(a[i]), value(b[i]), value(c[i]));
      const long double sum = x + y;
      // The sum must fit a double for the search below to be exact too.
      auto as_double = static_cast<double>(sum);
      if (static_cast<long double>(as_double) != sum || sum == 0) {
        continue;
      }
      // The error of the sum is far below a double's last place. It only decides on which side of a tie the
      // exact value is.
      const long double y_part = sum - x;
      const long double lost = (x - (sum - y_part)) + (y - y_part);
      if (lost != 0) {
        as_double = std::nextafter(as_double, lost > 0 ? std::numeric_limits<double>::infinity()
                                                       : -std::numeric_limits<double>::infinity());
      }
      ++checked;
      wrong += got[i] == format.nearest(as_double, false) ? 0U : 1U;
    }
    INFO(instruction);
    CHECK(wrong == 0);
    CHECK(checked > 4000);
  };
  const auto add = [](long double x, long double y, long double) { return Sum{x, y}; };
  const auto mul = [](long double x, long double y, long double) { return Sum{x * y, 0}; };
  const auto fma = [](long double x, long double y, long double z) { return Sum{x * y, z}; };
  run(f16_format, "add.rn.f16 d, a, b;", add);
  run(f16_format, "mul.f16 d, a, b;", mul);
  run(f16_format, "fma.rn.f16 d, a, b, c;", fma);
  run(bf16_format, "add.rn.bf16 d, a, b;", add);
  run(bf16_format, "mul.rn.bf16 d, a, b;", mul);
  run(bf16_format, "fma.rn.bf16 d, a, b, c;", fma);
  run(f16_format,
      "{ .reg .b32 x, y, z; .reg .b16 t; mov.b32 x, {a, b}; mov.b32 y, {b, a}; mov.b32 z, {c, c}; "
      "fma.rn.f16x2 x, x, y, z; mov.b32 {t, d}, x; }",
      fma);
}

TEST_CASE("floats to integers clamp, NaN gives zero or the top bit") {
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<float> a{0.5F, 1.5F, 2.5F, -0.5F,         -1.5F,  1e10F,   -1e10F,
                             3e9F, inf,  -inf, std::nanf(""), 255.7F, -128.9F, 2147483648.0F};
  const auto check_all = [&](const std::string& rounding, float (*round)(float)) {
    const auto got = run_op<std::int32_t>("cvt." + rounding + ".s32.f32 d, a;", a);
    const auto unsigned_got = run_op<std::uint32_t>("cvt." + rounding + ".u32.f32 d, a;", a);
    const auto small =
        run_op<std::int32_t>("{ .reg .b32 t; cvt." + rounding + ".sat.s8.f32 t, a; mov.b32 d, t; }", a);
    const auto wide = run_op<std::int64_t>("cvt." + rounding + ".s64.f32 d, a;", a);
    for (std::size_t i = 0; i < a.size(); ++i) {
      INFO(rounding << " of " << a[i]);
      const double x = static_cast<double>(round(a[i]));
      const bool nan = std::isnan(a[i]);
      CHECK(got[i] == (nan ? 0 : static_cast<std::int32_t>(std::clamp(x, -2147483648.0, 2147483647.0))));
      CHECK(unsigned_got[i] == (nan ? 0U : static_cast<std::uint32_t>(std::clamp(x, 0.0, 4294967295.0))));
      CHECK(small[i] == (nan ? 0 : static_cast<std::int32_t>(std::clamp(x, -128.0, 127.0))));
      CHECK(wide[i] == (nan || x <= -9223372036854775808.0 ? std::numeric_limits<std::int64_t>::min()
                        : x >= 9223372036854775808.0       ? std::numeric_limits<std::int64_t>::max()
                                                           : static_cast<std::int64_t>(x)));
    }
  };
  check_all("rni", [](float x) { return std::nearbyint(x); });
  check_all("rzi", [](float x) { return std::trunc(x); });
  check_all("rmi", [](float x) { return std::floor(x); });
  check_all("rpi", [](float x) { return std::ceil(x); });
}

TEST_CASE("integers to floats") {
  const std::vector<std::uint64_t> a{0,
                                     1,
                                     16777217,
                                     0x7fffffffffffffffULL,
                                     0xffffffffffffffffULL,
                                     0x8000000000000000ULL,
                                     0x8000008000000001ULL,
                                     0xffffff7fffffffffULL,
                                     9007199254740993ULL,
                                     0x100000080ULL};
  const auto f32 = run_op<float>("cvt.rn.f32.u64 d, a;", a);
  const auto s32 = run_op<float>("cvt.rn.f32.s64 d, a;", a);
  const auto f64 = run_op<double>("cvt.rn.f64.u64 d, a;", a);
  const auto toward_zero = run_op<float>("cvt.rz.f32.u64 d, a;", a);
  for (std::size_t i = 0; i < a.size(); ++i) {
    INFO(a[i]);
    CHECK(f32[i] == static_cast<float>(a[i]));
    CHECK(s32[i] == static_cast<float>(static_cast<std::int64_t>(a[i])));
    CHECK(f64[i] == static_cast<double>(a[i]));
    const float nearest = static_cast<float>(a[i]);
    const bool above = nearest >= 18446744073709551616.0F || static_cast<std::uint64_t>(nearest) > a[i];
    CHECK(toward_zero[i] == (above ? std::nextafter(nearest, 0.0F) : nearest));
  }
  const auto half = run_op<std::uint16_t>("{ .reg .b32 t; cvt.u32.u64 t, a; cvt.rn.f16.u32 d, t; }", a);
  CHECK(half[1] == 0x3c00);
  CHECK(half[2] == 0x7c00);
}

TEST_CASE("doubles to floats in every rounding, and integral rounding") {
  const std::vector<double> a{
      1.0 / 3, -1.0 / 3, 1e300, -1e300, 1e-310, 1e-44, 0.1, 16777217.0, 3.4028235677973366e38};
  const auto nearest = run_op<float>("cvt.rn.f32.f64 d, a;", a);
  const auto zero = run_op<float>("cvt.rz.f32.f64 d, a;", a);
  const auto up = run_op<float>("cvt.rp.f32.f64 d, a;", a);
  const auto down = run_op<float>("cvt.rm.f32.f64 d, a;", a);
  for (std::size_t i = 0; i < a.size(); ++i) {
    INFO(a[i]);
    CHECK(nearest[i] == static_cast<float>(a[i]));
    CHECK(static_cast<double>(up[i]) >= a[i]);
    CHECK(static_cast<double>(down[i]) <= a[i]);
    CHECK(zero[i] == (a[i] > 0 ? down[i] : up[i]));
    const bool exact = static_cast<double>(nearest[i]) == a[i];
    CHECK(up[i] == (exact ? down[i] : std::nextafter(down[i], std::numeric_limits<float>::infinity())));
  }
  const std::vector<float> b{0.5F, 1.5F, -2.5F, 1e10F, -0.2F};
  const auto rni = run_op<float>("cvt.rni.f32.f32 d, a;", b);
  const auto rpi = run_op<float>("cvt.rpi.f32.f32 d, a;", b);
  for (std::size_t i = 0; i < b.size(); ++i) {
    CHECK(rni[i] == std::nearbyint(b[i]));
    CHECK(rpi[i] == std::ceil(b[i]));
  }
}
