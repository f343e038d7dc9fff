#include <catch2/catch.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "tests/simulator/kernel_runner.hpp"

// The .approx functions: within the errors the PTX ISA states, and exactly what its tables of special values
// say.
namespace kerncast::simulator::testing {

namespace {

using U32 = std::uint32_t;
using U64 = std::uint64_t;

U32 bits(float x) {
  return std::bit_cast<U32>(x);
}

std::vector<float> run(const std::string& opcode, const std::vector<float>& a) {
  return run_op<float, float>(opcode + " d, a;", a);
}

/// Random floats of either sign between 2^least and 2^most.
std::vector<float> spread(double least, double most, bool negative_too) {
  std::mt19937_64 random(5);
  std::uniform_real_distribution<double> exponent(least, most);
  std::vector<float> values;
  for (int i = 0; i < 4000; ++i) {
    const auto x = static_cast<float>(std::exp2(exponent(random)));
    values.push_back(negative_too && i % 2 == 0 ? -x : x);
  }
  return values;
}

enum class Error : std::uint8_t { relative, absolute };

void check_error(const std::string& opcode, const std::vector<float>& a, Error kind, double bound,
                 const std::function<double(double)>& f) {
  const std::vector<float> d = run(opcode, a);
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double wanted = f(static_cast<double>(a[i]));
    if (std::fabs(wanted) < std::numeric_limits<float>::min() ||
        std::fabs(wanted) > std::numeric_limits<float>::max()) {
      continue;
    }
    const double error =
        std::fabs(static_cast<double>(d[i]) - wanted) / (kind == Error::relative ? std::fabs(wanted) : 1);
    worst = std::fmax(worst, std::isnan(error) ? 1e9 : error);
  }
  CAPTURE(opcode);
  CHECK(worst <= bound);
}

constexpr float positive_infinity = std::numeric_limits<float>::infinity();
const float nan_value = std::bit_cast<float>(0x7fffffffU);
constexpr float subnormal = 0x1p-130F;

struct Special {
  const char* opcode;
  float a;
  float d;
};

}  // namespace

TEST_CASE("Approximate functions stay within the ISA's errors") {
  check_error("rcp.approx.f32", spread(-120, 120, true), Error::relative, std::exp2(-23),
              [](double x) { return 1 / x; });
  check_error("rcp.approx.ftz.f32", spread(-120, 120, true), Error::relative, std::exp2(-23),
              [](double x) { return 1 / x; });
  check_error("sqrt.approx.f32", spread(-120, 120, false), Error::relative, std::exp2(-23),
              [](double x) { return std::sqrt(x); });
  check_error("rsqrt.approx.f32", spread(-120, 120, false), Error::relative, std::exp2(-22.9),
              [](double x) { return 1 / std::sqrt(x); });
  check_error("ex2.approx.f32", spread(-20, 6.9, true), Error::relative, std::exp2(-22),
              [](double x) { return std::exp2(x); });
  check_error("ex2.approx.ftz.f32", spread(-20, 6.9, true), Error::relative, std::exp2(-22),
              [](double x) { return std::exp2(x); });
  check_error("lg2.approx.f32", spread(-1, 1, false), Error::absolute, std::exp2(-22),
              [](double x) { return std::log2(x); });
  check_error("lg2.approx.f32", spread(-148, -1, false), Error::relative, std::exp2(-22),
              [](double x) { return std::log2(x); });
  check_error("lg2.approx.f32", spread(1, 127, false), Error::relative, std::exp2(-22),
              [](double x) { return std::log2(x); });
  check_error("sin.approx.f32", spread(-20, 2.65, true), Error::absolute, std::exp2(-20.5),
              [](double x) { return std::sin(x); });
  check_error("cos.approx.f32", spread(-20, 2.65, true), Error::absolute, std::exp2(-20.5),
              [](double x) { return std::cos(x); });
  check_error("sin.approx.f32", spread(2.65, 8.2, true), Error::absolute, std::exp2(-14.7),
              [](double x) { return std::sin(x); });
  check_error("cos.approx.f32", spread(2.65, 8.2, true), Error::absolute, std::exp2(-14.7),
              [](double x) { return std::cos(x); });
  check_error("tanh.approx.f32", spread(-30, 6, true), Error::relative, std::exp2(-11),
              [](double x) { return std::tanh(x); });
}

TEST_CASE("Approximate functions give the ISA's special values") {
  const std::vector<Special> table{
      {"rcp.approx.ftz.f32", positive_infinity, 0.0F},
      {"rcp.approx.ftz.f32", -positive_infinity, -0.0F},
      {"rcp.approx.ftz.f32", 0.0F, positive_infinity},
      {"rcp.approx.ftz.f32", -0.0F, -positive_infinity},
      {"rcp.approx.ftz.f32", subnormal, positive_infinity},
      {"rcp.approx.ftz.f32", -subnormal, -positive_infinity},
      {"rcp.approx.f32", nan_value, nan_value},
      {"sqrt.approx.f32", -0.0F, -0.0F},
      {"sqrt.approx.f32", positive_infinity, positive_infinity},
      {"sqrt.approx.f32", -1.0F, nan_value},
      {"sqrt.approx.ftz.f32", subnormal, 0.0F},
      {"sqrt.approx.ftz.f32", -subnormal, -0.0F},
      {"sqrt.approx.f32", -positive_infinity, nan_value},
      {"rsqrt.approx.f32", 0.0F, positive_infinity},
      {"rsqrt.approx.f32", -0.0F, -positive_infinity},
      {"rsqrt.approx.f32", positive_infinity, 0.0F},
      {"rsqrt.approx.f32", -positive_infinity, nan_value},
      {"rsqrt.approx.f32", -2.0F, nan_value},
      {"rsqrt.approx.ftz.f32", subnormal, positive_infinity},
      {"rsqrt.approx.ftz.f32", -subnormal, -positive_infinity},
      {"ex2.approx.f32", -positive_infinity, 0.0F},
      {"ex2.approx.f32", positive_infinity, positive_infinity},
      {"ex2.approx.f32", 0.0F, 1.0F},
      {"ex2.approx.f32", -0.0F, 1.0F},
      {"ex2.approx.ftz.f32", subnormal, 1.0F},
      {"ex2.approx.ftz.f32", -127.5F, 0.0F},
      {"ex2.approx.f32", -149.0F, 0x1p-149F},
      {"ex2.approx.f32", 128.0F, positive_infinity},
      {"ex2.approx.f32", nan_value, nan_value},
      {"lg2.approx.f32", 0.0F, -positive_infinity},
      {"lg2.approx.f32", -0.0F, -positive_infinity},
      {"lg2.approx.f32", positive_infinity, positive_infinity},
      {"lg2.approx.f32", -1.0F, nan_value},
      {"lg2.approx.f32", -positive_infinity, nan_value},
      {"lg2.approx.ftz.f32", subnormal, -positive_infinity},
      {"lg2.approx.ftz.f32", -subnormal, -positive_infinity},
      {"lg2.approx.f32", 1.0F, 0.0F},
      {"lg2.approx.f32", 0x1p-149F, -149.0F},
      {"sin.approx.f32", 0.0F, 0.0F},
      {"sin.approx.f32", -0.0F, -0.0F},
      {"sin.approx.ftz.f32", subnormal, 0.0F},
      {"sin.approx.ftz.f32", -subnormal, -0.0F},
      {"sin.approx.f32", positive_infinity, nan_value},
      {"sin.approx.f32", -positive_infinity, nan_value},
      {"sin.approx.f32", nan_value, nan_value},
      {"cos.approx.f32", 0.0F, 1.0F},
      {"cos.approx.f32", -0.0F, 1.0F},
      {"cos.approx.ftz.f32", subnormal, 1.0F},
      {"cos.approx.f32", positive_infinity, nan_value},
      {"cos.approx.f32", nan_value, nan_value},
      {"tanh.approx.f32", positive_infinity, 1.0F},
      {"tanh.approx.f32", -positive_infinity, -1.0F},
      {"tanh.approx.f32", 0.0F, 0.0F},
      {"tanh.approx.f32", -0.0F, -0.0F},
      {"tanh.approx.f32", nan_value, nan_value},
  };
  for (const Special& entry : table) {
    CAPTURE(entry.opcode, entry.a);
    CHECK(bits(run(entry.opcode, {entry.a})[0]) == bits(entry.d));
  }
}

TEST_CASE("The gross reciprocals of f64 use and give the upper 32 bits") {
  std::vector<double> a{1.0, -3.0, 0x1.23456789abcdep100, 1e-300, 7.5, 2.0};
  for (const bool root : {false, true}) {
    const std::string opcode = root ? "rsqrt.approx.ftz.f64 d, a;" : "rcp.approx.ftz.f64 d, a;";
    const auto d = run_op<double, double>(opcode, a);
    for (std::size_t i = 0; i < a.size(); ++i) {
      const double wanted = root ? 1 / std::sqrt(a[i]) : 1 / a[i];
      CAPTURE(opcode, a[i], d[i]);
      if (std::isnan(wanted)) {
        CHECK(std::isnan(d[i]));
        continue;
      }
      CHECK((std::bit_cast<U64>(d[i]) & 0xffffffffU) == 0);
      CHECK(std::fabs(d[i] - wanted) <= std::exp2(-19) * std::fabs(wanted));
    }
  }
  const double infinity = std::numeric_limits<double>::infinity();
  CHECK(
      run_op<double, double>("rcp.approx.ftz.f64 d, a;", {0.0, -0.0, infinity, -infinity, 1e-310, -1e-310}) ==
      std::vector<double>{infinity, -infinity, 0.0, -0.0, infinity, -infinity});
  CHECK(run_op<double, double>("rsqrt.approx.ftz.f64 d, a;", {0.0, -0.0, infinity, 1e-310}) ==
        std::vector<double>{infinity, -infinity, 0.0, infinity});
}

TEST_CASE("Approximations in half precision stay within the ISA's errors") {
  const auto half_value = [](std::uint16_t x) {
    const int exponent = x >> 10 & 31;
    const int mantissa = x & 1023;
    const double sign = (x >> 15) != 0 ? -1.0 : 1.0;
    return sign * std::ldexp(exponent == 0 ? mantissa : mantissa + 1024, std::max(exponent, 1) - 25);
  };
  const auto brain_value = [](std::uint16_t x) {
    return static_cast<double>(std::bit_cast<float>(static_cast<U32>(x) << 16));
  };
  const auto check = [](const std::string& opcode, auto value, std::uint16_t infinity, double relative,
                        double absolute, double (*f)(double)) {
    std::vector<std::uint16_t> a;
    for (U32 i = 0; i < 65536; ++i) {
      if ((i & 0x7fffU) < infinity) {
        a.push_back(static_cast<std::uint16_t>(i));
      }
    }
    const auto d = run_op<std::uint16_t, std::uint16_t>(opcode + " d, a;", a);
    for (std::size_t i = 0; i < a.size(); ++i) {
      const double wanted = f(value(a[i]));
      const bool normal = wanted < (infinity == 0x7c00 ? 65504.0 : 3e38) &&
                          std::fabs(wanted) > (infinity == 0x7c00 ? 0x1p-14 : 0x1p-126);
      if (normal && !(std::fabs(value(d[i]) - wanted) <= std::fmax(relative * std::fabs(wanted), absolute))) {
        CAPTURE(opcode, a[i], d[i], wanted);
        CHECK(std::fabs(value(d[i]) - wanted) <= std::fmax(relative * std::fabs(wanted), absolute));
      }
    }
    CHECK(d.size() == a.size());
  };
  check("ex2.approx.f16", half_value, 0x7c00, std::exp2(-9.9), 0, [](double x) { return std::exp2(x); });
  check("ex2.approx.ftz.bf16", brain_value, 0x7f80, std::exp2(-7), 0, [](double x) { return std::exp2(x); });
  check("tanh.approx.f16", half_value, 0x7c00, 0, std::exp2(-10.987), [](double x) { return std::tanh(x); });
  check("tanh.approx.bf16", brain_value, 0x7f80, 0, std::exp2(-8), [](double x) { return std::tanh(x); });
}

}  // namespace kerncast::simulator::testing
