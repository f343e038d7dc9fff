#include <bit>
#include <catch2/catch.hpp>
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "tests/simulator/kernel_runner.hpp"

using kerncast::simulator::testing::all_pairs;
using kerncast::simulator::testing::run_op;

namespace {

std::vector<float> float_edges() {
  const float inf = std::numeric_limits<float>::infinity();
  std::vector<float> values{0.0F,           -0.0F,
                            1.0F,           -1.0F,
                            1.5F,           3.0F,
                            -7.25F,         1e-3F,
                            3.1415927F,     1e20F,
                            -1e30F,         3.4028235e38F,
                            -3.4028235e38F, 1.17549435e-38F,
                            1e-40F,         -1e-45F,
                            1.1754942e-38F, inf,
                            -inf,           std::numeric_limits<float>::quiet_NaN(),
                            0.33333334F,    16777217.0F,
                            0x1p126F,       0x1.8p127F};
  return values;
}

std::vector<double> double_edges() {
  const double inf = std::numeric_limits<double>::infinity();
  return {0.0,
          -0.0,
          1.0,
          -3.0,
          0.1,
          1.0 / 3,
          1e300,
          -1e-300,
          5e-324,
          2.2250738585072014e-308,
          1.7976931348623157e308,
          inf,
          -inf,
          std::numeric_limits<double>::quiet_NaN(),
          9007199254740993.0,
          123456.789};
}

bool same(float got, float want) {
  return std::isnan(want) ? std::bit_cast<std::uint32_t>(got) == 0x7fffffffU
                          : std::bit_cast<std::uint32_t>(got) == std::bit_cast<std::uint32_t>(want);
}
bool same(double got, double want) {
  return std::isnan(want) ? std::isnan(got)
                          : std::bit_cast<std::uint64_t>(got) == std::bit_cast<std::uint64_t>(want);
}

float ftz(float x) {
  return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0F, x) : x;
}

template <class T, class F>
void check_pairs(const std::vector<T>& values, const std::string& instruction, F expect) {
  std::vector<T> a;
  std::vector<T> b;
  all_pairs(values, a, b);
  const std::vector<T> got = run_op<T>(instruction, a, b);
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < a.size() && wrong < 3; ++i) {
    const T want = expect(a[i], b[i]);
    if (!same(got[i], want)) {
      ++wrong;
      FAIL_CHECK(instruction << " of " << a[i] << ", " << b[i] << " gave " << got[i] << ", not " << want);
    }
  }
  CHECK(wrong == 0);
}

/// Computes in the host's rounding mode; volatile keeps the compiler from folding across the mode switch.
template <class T, class F>
T rounded(int mode, F f, T a, T b) {
  volatile T x = a;
  volatile T y = b;
  const int saved = std::fegetround();
  std::fesetround(mode);
  volatile T result = f(x, y);
  std::fesetround(saved);
  return result;
}

struct Mode {
  const char* name;
  int host;
};
const Mode modes[] = {{"rn", FE_TONEAREST}, {"rz", FE_TOWARDZERO}, {"rm", FE_DOWNWARD}, {"rp", FE_UPWARD}};

template <class T>
void check_arithmetic(const std::vector<T>& values, const std::string& type) {
  for (const Mode& mode : modes) {
    const std::string tail = std::string(".") + mode.name + type + " d, a, b;";
    check_pairs(values, "add" + tail,
                [&](T x, T y) { return rounded<T>(mode.host, [](T p, T q) { return p + q; }, x, y); });
    check_pairs(values, "sub" + tail,
                [&](T x, T y) { return rounded<T>(mode.host, [](T p, T q) { return p - q; }, x, y); });
    check_pairs(values, "mul" + tail,
                [&](T x, T y) { return rounded<T>(mode.host, [](T p, T q) { return p * q; }, x, y); });
    check_pairs(values, "div" + tail,
                [&](T x, T y) { return rounded<T>(mode.host, [](T p, T q) { return p / q; }, x, y); });
    check_pairs(values, "fma." + std::string(mode.name) + type + " d, a, b, a;", [&](T x, T y) {
      return rounded<T>(mode.host, [](T p, T q) { return std::fma(p, q, p); }, x, y);
    });
    check_pairs(values, "sqrt." + std::string(mode.name) + type + " d, a;",
                [&](T x, T y) { return rounded<T>(mode.host, [](T p, T) { return std::sqrt(p); }, x, y); });
    check_pairs(values, "rcp." + std::string(mode.name) + type + " d, a;",
                [&](T x, T y) { return rounded<T>(mode.host, [](T p, T) { return T(1) / p; }, x, y); });
  }
  const auto least = [](T x, T y) {
    return std::isnan(x) ? y : std::isnan(y) ? x : x == y ? (std::signbit(x) ? x : y) : x < y ? x : y;
  };
  const auto most = [](T x, T y) {
    return std::isnan(x) ? y : std::isnan(y) ? x : x == y ? (std::signbit(x) ? y : x) : x > y ? x : y;
  };
  check_pairs(values, "min" + type + " d, a, b;", least);
  check_pairs(values, "max" + type + " d, a, b;", most);
  // A NaN keeps its payload here, so the bits must be the same.
  std::vector<T> a;
  std::vector<T> b;
  all_pairs(values, a, b);
  const std::vector<T> got = run_op<T>("copysign" + type + " d, a, b;", a, b);
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  for (std::size_t i = 0; i < a.size(); ++i) {
    CHECK(std::bit_cast<Bits>(got[i]) == std::bit_cast<Bits>(std::copysign(b[i], a[i])));
  }
}

}  // namespace

TEST_CASE("f32 arithmetic in every rounding") {
  check_arithmetic(float_edges(), ".f32");
}
TEST_CASE("f64 arithmetic in every rounding") {
  check_arithmetic(double_edges(), ".f64");
}

TEST_CASE("fused multiply-add rounds once") {
  // Products and sums whose intermediate rounding in a wider format would change the result.
  std::vector<float> a;
  std::vector<float> b;
  std::vector<float> c;
  std::uint32_t state = 12345;
  const auto next = [&] { return state = state * 1664525U + 1013904223U; };
  for (int i = 0; i < 20000; ++i) {
    const auto shape = [&](std::uint32_t exponent) {
      return std::bit_cast<float>((next() & 0x807fffffU) | exponent << 23);
    };
    a.push_back(shape(100 + next() % 54));
    b.push_back(shape(100 + next() % 54));
    c.push_back(shape(next() % 3 == 0 ? next() % 4 : 60 + next() % 140));
  }
  const auto got = run_op<float>("fma.rn.f32 d, a, b, c;", a, b, c);
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    wrong += same(got[i], std::fma(a[i], b[i], c[i])) ? 0U : 1U;
  }
  CHECK(wrong == 0);
}

TEST_CASE("ftz flushes subnormal inputs and results, sat clamps to the unit interval") {
  const auto values = float_edges();
  check_pairs(values, "add.ftz.f32 d, a, b;", [](float x, float y) { return ftz(ftz(x) + ftz(y)); });
  check_pairs(values, "mul.rn.ftz.f32 d, a, b;", [](float x, float y) { return ftz(ftz(x) * ftz(y)); });
  check_pairs(values, "fma.rn.ftz.f32 d, a, b, a;",
              [](float x, float y) { return ftz(std::fma(ftz(x), ftz(y), ftz(x))); });
  check_pairs(values, "max.ftz.f32 d, a, 0f80000000;", [](float x, float) {
    const float y = ftz(x);
    return std::isnan(y) || y < 0 || (y == 0 && std::signbit(y)) ? -0.0F : y;
  });
  const auto sat = [](float x) { return x > 0 ? std::min(x, 1.0F) : 0.0F; };
  check_pairs(values, "add.sat.f32 d, a, b;", [&](float x, float y) { return sat(x + y); });
  check_pairs(values, "mul.ftz.sat.f32 d, a, b;",
              [&](float x, float y) { return sat(ftz(ftz(x) * ftz(y))); });
  // The PTX ISA leaves open which NaN an absolute value gives.
  const auto absolute = run_op<float>("abs.ftz.f32 d, a;", values);
  for (std::size_t i = 0; i < values.size(); ++i) {
    CHECK((std::isnan(values[i]) ? std::isnan(absolute[i]) : same(absolute[i], std::fabs(ftz(values[i])))));
  }
}

TEST_CASE("max.NaN and xorsign.abs") {
  const auto values = float_edges();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  check_pairs(values, "max.NaN.f32 d, a, b;", [&](float x, float y) {
    return std::isnan(x) || std::isnan(y) ? nan : x == y ? (std::signbit(x) ? y : x) : std::max(x, y);
  });
  check_pairs(values, "min.xorsign.abs.f32 d, a, b;", [&](float x, float y) {
    if (std::isnan(x) && std::isnan(y)) {
      return nan;
    }
    const float magnitude = std::isnan(x)   ? std::fabs(y)
                            : std::isnan(y) ? std::fabs(x)
                                            : std::min(std::fabs(x), std::fabs(y));
    return std::signbit(x) != std::signbit(y) ? -magnitude : magnitude;
  });
}

TEST_CASE("float comparisons, ordered and unordered") {
  struct Comparison {
    const char* name;
    bool (*holds)(float, float);
  };
  const Comparison comparisons[] = {
      {"eq", [](float x, float y) { return x == y; }},
      {"ne", [](float x, float y) { return x < y || x > y; }},
      {"lt", [](float x, float y) { return x < y; }},
      {"le", [](float x, float y) { return x <= y; }},
      {"gt", [](float x, float y) { return x > y; }},
      {"ge", [](float x, float y) { return x >= y; }},
      {"equ", [](float x, float y) { return !(x < y || x > y); }},
      {"neu", [](float x, float y) { return !(x == y); }},
      {"ltu", [](float x, float y) { return !(x >= y); }},
      {"leu", [](float x, float y) { return !(x > y); }},
      {"gtu", [](float x, float y) { return !(x <= y); }},
      {"geu", [](float x, float y) { return !(x < y); }},
      {"num", [](float x, float y) { return !std::isnan(x) && !std::isnan(y); }},
      {"nan", [](float x, float y) { return std::isnan(x) || std::isnan(y); }},
  };
  for (const Comparison& comparison : comparisons) {
    check_pairs(
        float_edges(),
        "setp." + std::string(comparison.name) + ".f32 p, a, b; selp.f32 d, 0f3f800000, 0f00000000, p;",
        [&](float x, float y) { return comparison.holds(x, y) ? 1.0F : 0.0F; });
    check_pairs(double_edges(),
                "{ .reg .f32 x, y; cvt.rn.f32.f64 x, a; cvt.rn.f32.f64 y, b; setp." +
                    std::string(comparison.name) +
                    ".f64 p, a, b; selp.f64 d, 0d3ff0000000000000, 0d0000000000000000, p; }",
                [&](double x, double y) {
                  // The float comparison of the ranks: equal ranks only for equal doubles.
                  const auto rank = [](double v) {
                    return std::isnan(v) ? std::nanf("") : std::isinf(v) ? static_cast<float>(v) : 0.0F;
                  };
                  if (std::isnan(x) || std::isnan(y) || (std::isinf(x) && std::isinf(y))) {
                    return comparison.holds(rank(x), rank(y)) ? 1.0 : 0.0;
                  }
                  return comparison.holds(x < y ? -1.0F : x > y ? 1.0F : 0.0F, 0.0F) ? 1.0 : 0.0;
                });
  }
}

TEST_CASE("testp classifies") {
  const auto values = float_edges();
  const auto check = [&](const char* name, bool (*holds)(float)) {
    check_pairs(values, std::string("testp.") + name + ".f32 p, a; selp.f32 d, 0f3f800000, 0f00000000, p;",
                [&](float x, float) { return holds(x) ? 1.0F : 0.0F; });
  };
  check("finite", [](float x) { return std::isfinite(x); });
  check("infinite", [](float x) { return std::isinf(x); });
  check("notanumber", [](float x) { return std::isnan(x); });
  check("normal", [](float x) { return std::isnormal(x) || x == 0; });
  check("subnormal", [](float x) { return std::fpclassify(x) == FP_SUBNORMAL; });
}

TEST_CASE("approximate functions stay within the PTX ISA's errors") {
  std::vector<float> values;
  for (int i = -2000; i <= 2000; ++i) {
    values.push_back(static_cast<float>(i) * 0.0731F);
  }
  const auto check = [&](const std::string& instruction, double (*exact)(double), double relative,
                         double absolute, double from, double to) {
    const auto got = run_op<float>(instruction, values);
    double worst = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double x = static_cast<double>(values[i]);
      if (x < from || x > to) {
        continue;
      }
      const double want = exact(x);
      const double error = std::fabs(static_cast<double>(got[i]) - want);
      const double allowed = std::max(std::fabs(want) * relative, absolute);
      worst = std::max(worst, error / allowed);
    }
    INFO(instruction);
    CHECK(worst <= 1.0);
  };
  const double ulp = 0x1p-23;
  check("ex2.approx.f32 d, a;", [](double x) { return std::exp2(x); }, 2 * ulp, 1e-44, -130, 127);
  check("ex2.approx.ftz.f32 d, a;", [](double x) { return std::exp2(x); }, 2 * ulp, 1e-44, -125, 127);
  check("lg2.approx.f32 d, a;", [](double x) { return std::log2(x); }, 2 * ulp, 0x1p-22, 1e-3, 1e9);
  check("sin.approx.f32 d, a;", [](double x) { return std::sin(x); }, 0, 0x1p-20, -3.2, 3.2);
  check("cos.approx.f32 d, a;", [](double x) { return std::cos(x); }, 0, 0x1p-20, -3.2, 3.2);
  check("tanh.approx.f32 d, a;", [](double x) { return std::tanh(x); }, 0x1p-11, 1e-30, -100, 100);
  check("rcp.approx.f32 d, a;", [](double x) { return 1 / x; }, ulp, 1e-44, 0.01, 1e9);
  check("rsqrt.approx.f32 d, a;", [](double x) { return 1 / std::sqrt(x); }, 0x1p-22, 1e-44, 0.01, 1e9);
  check("sqrt.approx.f32 d, a;", [](double x) { return std::sqrt(x); }, 0x1p-22, 1e-44, 0.01, 1e9);
  check("div.full.f32 d, a, 0f40400000;", [](double x) { return x / 3; }, 2 * ulp, 1e-44, -1e9, 1e9);
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<float> special{inf, -inf, 0.0F, -0.0F, -1.0F, std::nanf("")};
  const auto ex2 = run_op<float>("ex2.approx.f32 d, a;", special);
  CHECK(ex2[0] == inf);
  CHECK(ex2[1] == 0.0F);
  CHECK(ex2[2] == 1.0F);
  CHECK(std::isnan(ex2[5]));
  const auto lg2 = run_op<float>("lg2.approx.f32 d, a;", special);
  CHECK(lg2[0] == inf);
  CHECK(std::isnan(lg2[1]));
  CHECK(lg2[2] == -inf);
  CHECK(lg2[3] == -inf);
  CHECK(std::isnan(lg2[4]));
  // Divisors from 2^126 to 2^128 have reciprocals that flush to zero.
  const auto approx = run_op<float>("div.approx.f32 d, a, 0f7f000000;", std::vector<float>{1.0F, inf});
  CHECK(approx[0] == 0.0F);
  CHECK(std::isnan(approx[1]));
}
