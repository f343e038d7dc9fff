#include <catch2/catch.hpp>

#include <bit>
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include "tests/simulator/cuda/cuda_source.hpp"
#include "tests/simulator/kernel_runner.hpp"

// The math library as NVRTC compiles it, function by function, within the errors the CUDA documentation
// states.
namespace kerncast::simulator::testing {

namespace {

template <class T>
using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;

/// Distance in representable values; NaN is at distance 0 from NaN and far from all else, -0 is +0.
template <class T>
double ulps_apart(T x, T y) {
  if (std::isnan(x) || std::isnan(y)) {
    return std::isnan(x) && std::isnan(y) ? 0 : 1e30;
  }
  const auto order = [](T value) {
    const auto bits = static_cast<std::int64_t>(std::bit_cast<Bits<T>>(std::fabs(value)));
    return static_cast<long double>(value < 0 ? -bits : bits);
  };
  return static_cast<double>(std::fabs(order(x) - order(y)));
}

template <class T>
std::vector<T> inputs(bool specials, double least, double most) {
  std::vector<T> values;
  if (specials) {
    using Limits = std::numeric_limits<T>;
    values = {T{0},
              -T{0},
              Limits::denorm_min(),
              -Limits::denorm_min(),
              Limits::min(),
              -Limits::min(),
              Limits::max(),
              -Limits::max(),
              Limits::infinity(),
              -Limits::infinity(),
              Limits::quiet_NaN(),
              T{1},
              T{-1},
              T{0.5},
              T{-0.5},
              T{2},
              T{1.5},
              T{-2.5},
              T{3},
              T{1} + Limits::epsilon(),
              Limits::min() / 4};
  }
  std::mt19937_64 random(11);
  std::uniform_real_distribution<double> flat(least, most);
  std::uniform_real_distribution<double> exponent(-30, 6);
  for (int i = 0; i < 200; ++i) {
    values.push_back(static_cast<T>(flat(random)));
    const double small = std::exp2(exponent(random));
    if (small > least && small < most) {
      values.push_back(static_cast<T>(small));
    }
    if (-small > least && -small < most) {
      values.push_back(static_cast<T>(-small));
    }
  }
  return values;
}

struct Machine {
  std::unique_ptr<Runner> runner;
  std::string arch;
};

template <class T>
std::vector<T> run(Machine& machine, const std::string& kernel, const std::vector<T>& a,
                   const std::vector<T>& b) {
  Runner& runner = *machine.runner;
  T* d = runner.zeros<T>(a.size());
  const Fault fault =
      runner.run(kernel.c_str(), {static_cast<std::uint32_t>((a.size() + 127) / 128), 1, 1}, {128, 1, 1}, 0,
                 d, runner.upload(a), runner.upload(b), static_cast<int>(a.size()));
  if (fault.kind != FaultKind::none) {
    throw std::runtime_error(fault.message);
  }
  return Runner::download(d, a.size());
}

/// Every pair of the first values of `a`, then `a` against itself shuffled.
template <class T>
void pair_up(const std::vector<T>& values, std::vector<T>& a, std::vector<T>& b) {
  const std::size_t head = std::min<std::size_t>(values.size(), 21);
  for (std::size_t i = 0; i < head; ++i) {
    for (std::size_t j = 0; j < head; ++j) {
      a.push_back(values[i]);
      b.push_back(values[j]);
    }
  }
  for (std::size_t i = head; i < values.size(); ++i) {
    a.push_back(values[i]);
    b.push_back(values[head + (i * 37 + 5) % (values.size() - head)]);
  }
}

template <class T, class F>
void check(Machine& machine, const std::string& kernel, const std::vector<T>& a, const std::vector<T>& b,
           double ulps, const F& reference) {
  const std::vector<T> d = run(machine, kernel, a, b);
  for (std::size_t i = 0; i < a.size(); ++i) {
    const T wanted = reference(a[i], b[i]);
    if (!(ulps_apart(d[i], wanted) <= ulps)) {
      CAPTURE(machine.arch, kernel, a[i], b[i], d[i], wanted);
      CHECK(ulps_apart(d[i], wanted) <= ulps);
    }
  }
  CHECK(d.size() == a.size());
}

std::vector<Machine> machines() {
  std::string why;
  const auto compiler = CudaCompiler::find(why);
  std::vector<Machine> all;
  if (compiler == nullptr) {
    WARN("skipped: " << why);
    return all;
  }
  for (const Arch& arch : compiler->known({"75", "90", "100", "120"})) {
    all.push_back({std::make_unique<Runner>(compiler->ptx("math.cu", arch), arch.sm), arch.name});
  }
  return all;
}

/// A function computed in a wider type and rounded, with its allowed errors.
struct Approximated {
  const char* name;
  double ulps32;
  double ulps64;
  double least;
  double most;
  std::function<long double(long double, long double)> f;
};

const std::vector<Approximated>& approximated() {
  static const std::vector<Approximated> all{
      {"sin", 2, 2, -1e5, 1e5, [](auto x, auto) { return std::sin(x); }},
      {"cos", 2, 2, -1e5, 1e5, [](auto x, auto) { return std::cos(x); }},
      {"tan", 4, 2, -1e5, 1e5, [](auto x, auto) { return std::tan(x); }},
      {"asin", 2, 2, -1, 1, [](auto x, auto) { return std::asin(x); }},
      {"acos", 2, 2, -1, 1, [](auto x, auto) { return std::acos(x); }},
      {"atan", 2, 2, -50, 50, [](auto x, auto) { return std::atan(x); }},
      {"sinh", 3, 2, -20, 20, [](auto x, auto) { return std::sinh(x); }},
      {"cosh", 2, 1, -20, 20, [](auto x, auto) { return std::cosh(x); }},
      {"tanh", 2, 1, -5, 5, [](auto x, auto) { return std::tanh(x); }},
      {"asinh", 3, 3, -50, 50, [](auto x, auto) { return std::asinh(x); }},
      {"acosh", 4, 3, 1, 50, [](auto x, auto) { return std::acosh(x); }},
      {"atanh", 3, 2, -1, 1, [](auto x, auto) { return std::atanh(x); }},
      {"exp", 2, 1, -80, 80, [](auto x, auto) { return std::exp(x); }},
      {"exp2", 2, 1, -140, 120, [](auto x, auto) { return std::exp2(x); }},
      {"expm1", 1, 1, -10, 80, [](auto x, auto) { return std::expm1(x); }},
      {"log", 1, 1, 0, 1e6, [](auto x, auto) { return std::log(x); }},
      {"log2", 1, 1, 0, 1e6, [](auto x, auto) { return std::log2(x); }},
      {"log10", 2, 1, 0, 1e6, [](auto x, auto) { return std::log10(x); }},
      {"log1p", 1, 1, -1, 1e3, [](auto x, auto) { return std::log1p(x); }},
      {"rsqrt", 2, 1, 0, 1e6, [](auto x, auto) { return 1 / std::sqrt(x); }},
      {"cbrt", 1, 1, -1e6, 1e6, [](auto x, auto) { return std::cbrt(x); }},
      {"erf", 2, 2, -4, 4, [](auto x, auto) { return std::erf(x); }},
      {"erfc", 4, 5, -4, 9, [](auto x, auto) { return std::erfc(x); }},
      {"tgamma", 5, 10, 0, 30, [](auto x, auto) { return std::tgamma(x); }},
      {"pow", 4, 2, 0, 20, [](auto x, auto y) { return std::pow(x, y); }},
      {"atan2", 3, 2, -20, 20, [](auto x, auto y) { return std::atan2(x, y); }},
      {"hypot", 3, 2, -1e3, 1e3, [](auto x, auto y) { return std::hypot(x, y); }},
  };
  return all;
}

template <class T>
void check_approximated(Machine& machine) {
  const std::string prefix = sizeof(T) == 4 ? "f32_" : "f64_";
  for (const Approximated& entry : approximated()) {
    std::vector<T> a;
    std::vector<T> b;
    pair_up(inputs<T>(true, entry.least, entry.most), a, b);
    check<T>(machine, prefix + entry.name, a, b, sizeof(T) == 4 ? entry.ulps32 : entry.ulps64,
             [&](T x, T y) { return static_cast<T>(entry.f(x, y)); });
  }
}

/// Functions whose results are exact or correctly rounded.
template <class T>
void check_exact(Machine& machine) {
  struct Exact {
    const char* name;
    std::function<T(T, T)> f;
  };
  const auto flag = [](bool value) { return static_cast<T>(value ? 1 : 0); };
  const std::vector<Exact> all{
      {"floor", [](T x, T) { return std::floor(x); }},
      {"ceil", [](T x, T) { return std::ceil(x); }},
      {"trunc", [](T x, T) { return std::trunc(x); }},
      {"round", [](T x, T) { return std::round(x); }},
      {"rint", [](T x, T) { return std::rint(x); }},
      {"nearbyint", [](T x, T) { return std::nearbyint(x); }},
      {"fabs", [](T x, T) { return std::fabs(x); }},
      {"logb", [](T x, T) { return std::logb(x); }},
      {"sqrt", [](T x, T) { return std::sqrt(x); }},
      {"rcp", [](T x, T) { return T{1} / x; }},
      {"add", [](T x, T y) { return x + y; }},
      {"sub", [](T x, T y) { return x - y; }},
      {"mul", [](T x, T y) { return x * y; }},
      {"div", [](T x, T y) { return x / y; }},
      {"fmod", [](T x, T y) { return std::fmod(x, y); }},
      {"remainder", [](T x, T y) { return std::remainder(x, y); }},
      {"fdim", [](T x, T y) { return std::fdim(x, y); }},
      {"fmin", [](T x, T y) { return std::fmin(x, y); }},
      {"fmax", [](T x, T y) { return std::fmax(x, y); }},
      {"copysign", [](T x, T y) { return std::copysign(x, y); }},
      {"nextafter", [](T x, T y) { return std::nextafter(x, y); }},
      {"fma", [](T x, T y) { return std::fma(x, y, x); }},
      {"isnan", [&](T x, T) { return flag(std::isnan(x)); }},
      {"isinf", [&](T x, T) { return flag(std::isinf(x)); }},
      {"isfinite", [&](T x, T) { return flag(std::isfinite(x)); }},
      {"signbit", [&](T x, T) { return flag(std::signbit(x)); }},
  };
  std::vector<T> a;
  std::vector<T> b;
  pair_up(inputs<T>(true, -1000, 1000), a, b);
  const std::string prefix = sizeof(T) == 4 ? "f32_" : "f64_";
  for (const Exact& entry : all) {
    check<T>(machine, prefix + entry.name, a, b, 0, entry.f);
  }
  const std::vector<T> tame = inputs<T>(false, -1000, 1000);
  check<T>(machine, prefix + "ldexp", tame, tame, 0,
           [](T x, T y) { return std::ldexp(x, static_cast<int>(y)); });
  check<T>(machine, prefix + "ilogb", tame, tame, 0, [](T x, T) { return static_cast<T>(std::ilogb(x)); });
  check<T>(machine, prefix + "lrint", tame, tame, 0, [](T x, T) { return static_cast<T>(std::lrint(x)); });
  check<T>(machine, prefix + "llround", tame, tame, 0,
           [](T x, T) { return static_cast<T>(std::llround(x)); });
}

template <class T, class F>
std::function<T(T, T)> directed(int mode, F f) {
  return [mode, f](T x, T y) {
    const int before = std::fegetround();
    std::fesetround(mode);
    const volatile T p = x;
    const volatile T q = y;
    const volatile T result = f(p, q);
    std::fesetround(before);
    return T{result};
  };
}

}  // namespace

TEST_CASE("The math library's approximations stay within their documented errors") {
  for (Machine& machine : machines()) {
    check_approximated<float>(machine);
    check_approximated<double>(machine);
  }
}

TEST_CASE("The math library's exact functions are exact") {
  for (Machine& machine : machines()) {
    check_exact<float>(machine);
    check_exact<double>(machine);
  }
}

TEST_CASE("Intrinsics with a rounding mode are rounded that way") {
  struct Rounded {
    const char* name;
    std::function<float(float, float)> f;
  };
  const auto plus = [](float x, float y) { return x + y; };
  const auto times = [](float x, float y) { return x * y; };
  const auto over = [](float x, float y) { return x / y; };
  const auto root = [](float x, float) { return std::sqrt(x); };
  const auto fused = [](float x, float y) { return std::fma(x, y, x); };
  std::vector<Rounded> all;
  for (const auto& [suffix, mode] :
       {std::pair{"_rz", FE_TOWARDZERO}, std::pair{"_ru", FE_UPWARD}, std::pair{"_rd", FE_DOWNWARD}}) {
    static std::vector<std::string> names;
    names.reserve(64);
    const auto add = [&](const char* name, auto f) {
      names.push_back(std::string(name) + suffix);
      all.push_back({names.back().c_str(), directed<float>(mode, f)});
    };
    add("add", plus);
    add("mul", times);
    add("div", over);
    add("sqrt", root);
    add("fma", fused);
  }
  for (Machine& machine : machines()) {
    std::vector<float> a;
    std::vector<float> b;
    pair_up(inputs<float>(true, -1000, 1000), a, b);
    for (const Rounded& entry : all) {
      check<float>(machine, entry.name, a, b, 0, entry.f);
    }
    std::vector<double> x;
    std::vector<double> y;
    pair_up(inputs<double>(true, -1000, 1000), x, y);
    check<double>(machine, "dadd_rz", x, y, 0,
                  directed<double>(FE_TOWARDZERO, [](double p, double q) { return p + q; }));
    check<double>(machine, "dmul_ru", x, y, 0,
                  directed<double>(FE_UPWARD, [](double p, double q) { return p * q; }));
    check<double>(machine, "ddiv_rd", x, y, 0,
                  directed<double>(FE_DOWNWARD, [](double p, double q) { return p / q; }));
    check<double>(machine, "dsqrt_rz", x, y, 0,
                  directed<double>(FE_TOWARDZERO, [](double p, double) { return std::sqrt(p); }));
    check<double>(machine, "dfma_ru", x, y, 0,
                  directed<double>(FE_UPWARD, [](double p, double q) { return std::fma(p, q, p); }));
  }
}

TEST_CASE("Fast intrinsics stay within their documented errors") {
  for (Machine& machine : machines()) {
    const std::vector<float> around_zero = inputs<float>(false, -3.14159, 3.14159);
    const auto absolute = [&](const std::string& kernel, double bound, auto f) {
      const auto d = run(machine, kernel, around_zero, around_zero);
      for (std::size_t i = 0; i < d.size(); ++i) {
        CAPTURE(machine.arch, kernel, around_zero[i], d[i]);
        CHECK(std::fabs(static_cast<double>(d[i]) - f(static_cast<double>(around_zero[i]))) <= bound);
      }
    };
    absolute("fast_sin", std::exp2(-21.41), [](double x) { return std::sin(x); });
    absolute("fast_cos", std::exp2(-21.19), [](double x) { return std::cos(x); });
    const std::vector<float> moderate = inputs<float>(false, -80, 80);
    const auto exponentials = run(machine, "fast_exp", moderate, moderate);
    for (std::size_t i = 0; i < moderate.size(); ++i) {
      const double wanted = std::exp(static_cast<double>(moderate[i]));
      const double ulps = 2 + std::floor(std::fabs(1.173 * static_cast<double>(moderate[i])));
      CAPTURE(machine.arch, moderate[i], exponentials[i]);
      CHECK(ulps_apart(exponentials[i], static_cast<float>(wanted)) <= ulps);
    }
    std::vector<float> a;
    std::vector<float> b;
    pair_up(inputs<float>(false, -1000, 1000), a, b);
    check<float>(machine, "fast_div", a, b, 2, [](float x, float y) { return x / y; });
    check<float>(machine, "fast_rsqrt", a, b, 0,
                 [](float x, float) { return static_cast<float>(1 / std::sqrt(static_cast<double>(x))); });
    check<float>(machine, "saturate", a, b, 0,
                 [](float x, float) { return x > 0 ? std::fmin(x, 1.0F) : 0.0F; });
  }
}

}  // namespace kerncast::simulator::testing
