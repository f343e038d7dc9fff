#include <catch2/catch.hpp>

#include <algorithm>
#include <bit>
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/simulator/cuda/cuda_source.hpp"
#include "tests/simulator/kernel_runner.hpp"

// The intrinsics of the narrow floats' headers as NVRTC compiles them, against values computed from the
// formats' definitions.
namespace kerncast::simulator::testing {

namespace {

using U16 = std::uint16_t;
using U32 = std::uint32_t;

/// A float format of the given widths. Without infinity the top exponent holds numbers, and `nan` is the one
/// encoding that is none (0: there is none).
struct Format {
  int exponent_bits;
  int mantissa_bits;
  bool infinity;
  U32 nan;
};

constexpr Format half{5, 10, true, 0x7fff};
constexpr Format brain{8, 7, true, 0x7fff};
constexpr Format e4m3{4, 3, false, 0x7f};
constexpr Format e5m2{5, 2, true, 0x7f};
constexpr Format e2m1{2, 1, false, 0};
constexpr Format e2m3{2, 3, false, 0};
constexpr Format e3m2{3, 2, false, 0};

double value_of(U32 bits, const Format& format) {
  const int width = format.exponent_bits + format.mantissa_bits;
  const double sign = (bits >> width & 1U) != 0 ? -1.0 : 1.0;
  const U32 magnitude = bits & ((1U << width) - 1);
  const auto exponent = static_cast<int>(magnitude >> format.mantissa_bits);
  const U32 mantissa = magnitude & ((1U << format.mantissa_bits) - 1);
  if (format.infinity && exponent == (1 << format.exponent_bits) - 1) {
    return mantissa == 0 ? sign * std::numeric_limits<double>::infinity() : std::nan("");
  }
  if (format.nan != 0 && magnitude == format.nan) {
    return std::nan("");
  }
  const int bias = (1 << (format.exponent_bits - 1)) - 1;
  return sign * std::ldexp(exponent == 0 ? mantissa : mantissa + (1U << format.mantissa_bits),
                           std::max(exponent, 1) - bias - format.mantissa_bits);
}

U32 largest(const Format& format) {
  const U32 top = (1U << (format.exponent_bits + format.mantissa_bits)) - 1;
  return format.infinity   ? (((1U << format.exponent_bits) - 1) << format.mantissa_bits) - 1
         : format.nan != 0 ? top - 1
                           : top;
}

/// Rounds by searching the format's values: independent of any bit trick. `mode` is a rounding of fenv.
U32 encode(double value, const Format& format, int mode, bool finite) {
  const U32 sign = std::signbit(value) ? 1U << (format.exponent_bits + format.mantissa_bits) : 0;
  if (std::isnan(value)) {
    return format.nan != 0 ? format.nan : largest(format);
  }
  const double magnitude = std::fabs(value);
  const U32 most = largest(format);
  U32 low = 0;
  U32 high = most;
  while (low < high) {
    const U32 middle = (low + high + 1) / 2;
    (value_of(middle, format) <= magnitude ? low : high) =
        value_of(middle, format) <= magnitude ? middle : middle - 1;
  }
  const double below = value_of(low, format);
  // Above the largest value comes the one an unbounded exponent would give.
  const double step = below - value_of(low - (low == 0 ? 0 : 1), format);
  const double above = low < most ? value_of(low + 1, format) : below + step;
  bool up = false;
  if (below != magnitude) {
    const double middle = std::isinf(magnitude) ? 0 : below + (above - below) / 2;
    const bool away = (mode == FE_UPWARD && sign == 0) || (mode == FE_DOWNWARD && sign != 0);
    up = std::isinf(magnitude) || away ||
         (mode == FE_TONEAREST && (magnitude > middle || (magnitude == middle && (low & 1U) != 0)));
  }
  if (low + (up ? 1 : 0) > most) {
    return sign | (finite ? most : format.infinity ? most + 1 : format.nan);
  }
  return sign | (low + (up ? 1U : 0U));
}

/// Values worth trying for any conversion: each format's edges and halfway points, and extremes.
std::vector<float> floats() {
  std::vector<float> values{0.0F,
                            1e-45F,
                            1e-40F,
                            1e-30F,
                            1e30F,
                            3e38F,
                            std::numeric_limits<float>::infinity(),
                            std::numeric_limits<float>::quiet_NaN(),
                            0x1p-126F,
                            0x1p-127F,
                            0x1.8p-127F};
  for (const Format& format : {half, brain, e4m3, e5m2, e2m1, e2m3, e3m2}) {
    const U32 most = largest(format);
    const U32 step = most > 300 ? most / 97 : 1;
    for (U32 bits = 0; bits <= most; bits += step) {
      const auto x = static_cast<float>(value_of(bits, format));
      const auto next = static_cast<float>(value_of(bits + 1 <= most ? bits + 1 : bits, format));
      const float middle = x + (next - x) / 2;
      for (const float y : {x, middle, std::nextafter(middle, 1e38F), std::nextafter(middle, -1e38F)}) {
        values.push_back(y);
      }
    }
    const auto top = static_cast<float>(value_of(most, format));
    if (top < 1e38F) {
      values.insert(values.end(),
                    {top * 1.03F, top * 1.0625F, top * 1.07F, top * 1.25F, top * 1.26F, top * 2});
    }
  }
  const std::size_t count = values.size();
  for (std::size_t i = 0; i < count; ++i) {
    values.push_back(-values[i]);
  }
  return values;
}

template <class F>
void for_archs(const std::string& file, F f) {
  std::string why;
  const auto compiler = CudaCompiler::find(why);
  if (compiler == nullptr) {
    WARN("skipped: " << why);
    return;
  }
  for (const Arch& arch :
       compiler->known({"75", "80", "86", "89", "90a", "100a", "103a", "110a", "120a", "121a"})) {
    CAPTURE(arch.name);
    Runner runner(compiler->ptx(file, arch), arch.sm);
    f(runner, arch);
  }
}

template <class D, class A, class... More>
std::vector<D> run(Runner& runner, const std::string& kernel, const std::vector<A>& a, const More&... more) {
  D* d = runner.zeros<D>(a.size());
  const Fault fault =
      runner.run(kernel.c_str(), {static_cast<U32>((a.size() + 127) / 128), 1, 1}, {128, 1, 1}, 0, d,
                 runner.upload(a), runner.upload(more)..., static_cast<int>(a.size()));
  INFO(kernel << ": " << fault.message);
  CHECK(fault.kind == FaultKind::none);
  return Runner::download(d, a.size());
}

/// Checks kernel(a, b) element by element.
template <class D, class A, class F>
void check(Runner& runner, const std::string& kernel, const std::vector<A>& a, F reference) {
  std::vector<A> b(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    b[i] = a[(i * 5 + 11) % a.size()];
  }
  const std::vector<D> d = run<D>(runner, kernel, a, b);
  for (std::size_t i = 0; i < a.size(); ++i) {
    const D wanted = reference(a[i], b[i]);
    if (d[i] != wanted) {
      CAPTURE(kernel, a[i], b[i], d[i], wanted);
      CHECK(d[i] == wanted);
    }
  }
}

template <class T>
std::vector<T> all_bits(U32 count) {
  std::vector<T> values(count);
  for (U32 i = 0; i < count; ++i) {
    values[i] = static_cast<T>(i);
  }
  return values;
}

/// NaN encodings are many; any stands for any.
U16 one_nan(U32 bits, const Format& format) {
  return std::isnan(value_of(bits, format)) ? U16{0x7fff} : static_cast<U16>(bits);
}

}  // namespace

TEST_CASE("Conversions of the 8-, 6- and 4-bit floats") {
  using Byte = std::uint8_t;
  for_archs("narrow.cu", [](Runner& runner, const Arch&) {
    const std::vector<float> a = floats();
    const auto to = [](const Format& format) {
      return [&format](float x, float) {
        // The headers give NaN without a sign in every format.
        return static_cast<Byte>(encode(static_cast<double>(x), format, FE_TONEAREST, true));
      };
    };
    check<Byte>(runner, "e4m3_from_float", a, to(e4m3));
    check<Byte>(runner, "e5m2_from_float", a, to(e5m2));
    check<Byte>(runner, "e2m1_from_float", a, to(e2m1));
    check<Byte>(runner, "e2m3_from_float", a, to(e2m3));
    check<Byte>(runner, "e3m2_from_float", a, to(e3m2));
    const auto pair = [](const Format& format, int shift) {
      return [&format, shift](float x, float y) {
        return static_cast<U16>(encode(static_cast<double>(x), format, FE_TONEAREST, true) |
                                encode(static_cast<double>(y), format, FE_TONEAREST, true) << shift);
      };
    };
    check<U16>(runner, "e4m3x2_from_floats", a, pair(e4m3, 8));
    check<U16>(runner, "e5m2x2_from_floats", a, pair(e5m2, 8));
    check<Byte>(runner, "e2m1x2_from_floats", a,
                [&](float x, float y) { return static_cast<Byte>(pair(e2m1, 4)(x, y)); });

    const std::vector<U16> halves = all_bits<U16>(65536);
    check<Byte>(runner, "e4m3_from_half", halves, [](U16 x, U16) {
      return static_cast<Byte>(encode(value_of(x, half), e4m3, FE_TONEAREST, true));
    });
    check<Byte>(runner, "e5m2_from_half", halves, [](U16 x, U16) {
      return static_cast<Byte>(encode(value_of(x, half), e5m2, FE_TONEAREST, true));
    });
    check<Byte>(runner, "e4m3_from_bf16", halves, [](U16 x, U16) {
      return static_cast<Byte>(encode(value_of(x, brain), e4m3, FE_TONEAREST, true));
    });
    check<Byte>(runner, "e2m1_from_half", halves, [](U16 x, U16) {
      return static_cast<Byte>(encode(value_of(x, half), e2m1, FE_TONEAREST, true));
    });

    const auto widen = [](const Format& format) {
      return [&format](Byte x, Byte) {
        return one_nan(encode(value_of(x, format), half, FE_TONEAREST, false), half);
      };
    };
    const std::vector<Byte> bytes = all_bits<Byte>(256);
    const auto check_widening = [&](const std::string& kernel, const Format& format, U32 count) {
      std::vector<Byte> some(bytes.begin(), bytes.begin() + count);
      const std::vector<U16> d = run<U16>(runner, kernel, some, some);
      for (std::size_t i = 0; i < some.size(); ++i) {
        CAPTURE(kernel, i);
        CHECK(one_nan(d[i], half) == widen(format)(some[i], 0));
      }
    };
    check_widening("half_from_e4m3", e4m3, 256);
    check_widening("half_from_e5m2", e5m2, 256);
    check_widening("half_from_e2m1", e2m1, 16);
    check_widening("half_from_e2m3", e2m3, 64);
    check_widening("half_from_e3m2", e3m2, 64);
    const std::vector<U32> d = run<U32>(runner, "half2_from_e2m1x2", bytes, bytes);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      CHECK(d[i] ==
            (static_cast<U32>(encode(value_of(static_cast<U32>(i) & 15U, e2m1), half, FE_TONEAREST, false)) |
             static_cast<U32>(encode(value_of(static_cast<U32>(i) >> 4, e2m1), half, FE_TONEAREST, false))
                 << 16));
    }

    // Powers of two with bias 127, of the magnitude; 255 is NaN.
    const auto scale = [](bool up) {
      return [up](float x, float) {
        if (std::isnan(x)) {
          return Byte{255};
        }
        const double magnitude = std::fabs(static_cast<double>(x));
        int exponent = -127;
        while (exponent < 127 && std::exp2(exponent + 1) <= magnitude) {
          ++exponent;
        }
        exponent += up && magnitude > std::exp2(exponent) && exponent < 127 ? 1 : 0;
        return static_cast<Byte>(exponent + 127);
      };
    };
    check<Byte>(runner, "e8m0_from_float_rz", a, scale(false));
    check<Byte>(runner, "e8m0_from_float_rp", a, scale(true));
    check<U16>(runner, "bf16_from_e8m0", bytes, [](Byte x, Byte) {
      return x == 255
                 ? U16{0x7fff}
                 : static_cast<U16>(encode(std::exp2(static_cast<int>(x) - 127), brain, FE_TONEAREST, false));
    });
  });
}

namespace {

struct Widths {
  const char* prefix;
  const Format& format;
};

const std::vector<Widths> both_halves{{"f16_", half}, {"bf16_", brain}};

std::vector<U16> edge_halves(const Format& format) {
  const U32 infinity = largest(format) + 1;
  const U32 one = ((1U << (format.exponent_bits - 1)) - 1) << format.mantissa_bits;
  std::vector<U16> values;
  for (const U32 bits :
       {0U, 1U, (1U << format.mantissa_bits) - 1, 1U << format.mantissa_bits, one, one + 1, one - 1,
        one + (1U << format.mantissa_bits), one + 77, one / 2, largest(format), infinity, infinity + 1,
        one + (3U << format.mantissa_bits) + 5, one - (4U << format.mantissa_bits) + 3}) {
    values.push_back(static_cast<U16>(bits));
    values.push_back(static_cast<U16>(bits | 0x8000U));
  }
  return values;
}

/// Exact sum of a product and an addend, rounded to odd in double, so that rounding again is rounding once.
double fused(double x, double y, double z) {
  const int before = std::fegetround();
  std::fesetround(FE_TOWARDZERO);
  const volatile double p = x;
  const volatile double q = y;
  const volatile double r = z;
  const volatile double low = std::fma(p, q, r);
  std::fesetround(FE_UPWARD);
  const volatile double up = std::fma(p, q, r);
  std::fesetround(FE_DOWNWARD);
  const volatile double down = std::fma(p, q, r);
  std::fesetround(before);
  if (up == down || std::isnan(low)) {
    // The sign of an exact zero is that of rounding to nearest.
    return std::fma(x, y, z);
  }
  const double truncated = low;
  return std::bit_cast<double>(std::bit_cast<std::uint64_t>(truncated) | 1U);
}

double clamped(double x) {
  return x > 0 ? std::fmin(x, 1.0) : 0.0;
}

}  // namespace

TEST_CASE("Arithmetic of half and bfloat16 is rounded once") {
  for_archs("half.cu", [](Runner& runner, const Arch& arch) {
    for (const Widths& width : both_halves) {
      const Format& format = width.format;
      const std::string prefix = width.prefix;
      std::vector<U16> a;
      std::vector<U16> b;
      std::vector<U16> c;
      const std::vector<U16> edges = edge_halves(format);
      for (const U16 x : edges) {
        for (const U16 y : edges) {
          a.push_back(x);
          b.push_back(y);
          c.push_back(edges[(static_cast<std::size_t>(x) * 7 + y) % edges.size()]);
        }
      }
      const auto check_one = [&](const std::string& name,
                                 const std::function<double(double, double, double)>& f) {
        const auto d = run<U16>(runner, prefix + name, a, b, c);
        for (std::size_t i = 0; i < a.size(); ++i) {
          const U32 wanted = encode(f(value_of(a[i], format), value_of(b[i], format), value_of(c[i], format)),
                                    format, FE_TONEAREST, false);
          if (one_nan(d[i], format) != one_nan(wanted, format)) {
            CAPTURE(prefix + name, a[i], b[i], c[i], d[i], wanted);
            CHECK(one_nan(d[i], format) == one_nan(wanted, format));
          }
        }
      };
      check_one("add", [](double x, double y, double) { return fused(x, 1, y); });
      check_one("sub", [](double x, double y, double) { return fused(-1, y, x); });
      check_one("mul", [](double x, double y, double) { return x * y; });
      check_one("add_sat", [](double x, double y, double) { return clamped(x + y); });
      check_one("neg", [](double x, double, double) { return -x; });
      check_one("abs", [](double x, double, double) { return std::fabs(x); });
      check_one("floor", [](double x, double, double) { return std::floor(x); });
      check_one("ceil", [](double x, double, double) { return std::ceil(x); });
      check_one("trunc", [](double x, double, double) { return std::trunc(x); });
      check_one("rint", [](double x, double, double) { return std::nearbyint(x); });
      const auto ordered = [](bool max, bool nan) {
        return [max, nan](double x, double y, double) {
          if (std::isnan(x) || std::isnan(y)) {
            return nan || (std::isnan(x) && std::isnan(y)) ? std::nan("") : std::isnan(x) ? y : x;
          }
          if (x == 0 && y == 0) {
            return std::signbit(x) == std::signbit(y) ? x : max ? 0.0 : -0.0;
          }
          return (max ? x > y : x < y) ? x : y;
        };
      };
      check_one("max", ordered(true, false));
      check_one("min", ordered(false, false));
      if (arch.sm >= 80 || format.exponent_bits == 5) {
        check_one("fma", fused);
        check_one("fma_relu", [](double x, double y, double z) {
          const double r = fused(x, y, z);
          return r < 0 || (r == 0 && std::signbit(r)) ? 0.0 : r;
        });
        check_one("max_nan", ordered(true, true));
        check_one("min_nan", ordered(false, true));
      }
      // Approximations: within one unit of the format.
      const auto near = [&](const std::string& name, double (*f)(double)) {
        const auto d = run<U16>(runner, prefix + name, edges, edges, edges);
        for (std::size_t i = 0; i < edges.size(); ++i) {
          const double wanted = f(value_of(edges[i], format));
          const U32 rounded = encode(wanted, format, FE_TONEAREST, false);
          const int apart =
              std::abs(static_cast<int>(one_nan(d[i], format)) - static_cast<int>(one_nan(rounded, format)));
          CAPTURE(prefix + name, edges[i], d[i], rounded);
          CHECK(apart <= 1);
        }
      };
      near("sqrt", [](double x) { return std::sqrt(x); });
      near("rsqrt", [](double x) { return 1 / std::sqrt(x); });
      near("rcp", [](double x) { return 1 / x; });
      near("exp2", [](double x) { return std::exp2(x); });
      near("log2", [](double x) { return std::log2(x); });
      near("exp", [](double x) { return std::exp(x); });
      near("log", [](double x) { return std::log(x); });
    }
  });
}

TEST_CASE("Pairs of half and bfloat16 compute each element") {
  for_archs("half.cu", [](Runner& runner, const Arch& arch) {
    for (const Widths& width : {Widths{"f16x2_", half}, Widths{"bf16x2_", brain}}) {
      const Format& format = width.format;
      const std::string prefix = width.prefix;
      const std::vector<U16> edges = edge_halves(format);
      std::vector<U32> a;
      std::vector<U32> b;
      std::vector<U32> c;
      for (std::size_t i = 0; i < edges.size(); ++i) {
        for (std::size_t j = 0; j < edges.size(); ++j) {
          a.push_back(static_cast<U32>(edges[i]) | static_cast<U32>(edges[j]) << 16);
          b.push_back(static_cast<U32>(edges[j]) | static_cast<U32>(edges[(i + j) % edges.size()]) << 16);
          c.push_back(static_cast<U32>(edges[(i * 3 + j) % edges.size()]) |
                      static_cast<U32>(edges[(i + 7 * j) % edges.size()]) << 16);
        }
      }
      const auto check_pairs = [&](const std::string& name, auto f) {
        const auto d = run<U32>(runner, prefix + name, a, b, c);
        for (std::size_t i = 0; i < a.size(); ++i) {
          for (const unsigned shift : {0U, 16U}) {
            const auto part = [&](U32 whole) { return static_cast<U16>(whole >> shift); };
            const double result =
                f(value_of(part(a[i]), format), value_of(part(b[i]), format), value_of(part(c[i]), format));
            const U32 wanted = encode(result, format, FE_TONEAREST, false);
            if (one_nan(part(d[i]), format) != one_nan(wanted, format)) {
              CAPTURE(prefix + name, a[i], b[i], c[i], d[i], wanted, shift);
              CHECK(one_nan(part(d[i]), format) == one_nan(wanted, format));
            }
          }
        }
      };
      check_pairs("add", [](double x, double y, double) { return fused(x, 1, y); });
      check_pairs("sub", [](double x, double y, double) { return fused(-1, y, x); });
      check_pairs("mul", [](double x, double y, double) { return x * y; });
      check_pairs("neg", [](double x, double, double) { return -x; });
      check_pairs("lt2", [](double x, double y, double) { return x < y ? 1.0 : 0.0; });
      check_pairs("ne2", [](double x, double y, double) { return x < y || x > y ? 1.0 : 0.0; });
      check_pairs("geu2", [](double x, double y, double) { return x < y ? 0.0 : 1.0; });
      check_pairs("isnan2", [](double x, double, double) { return std::isnan(x) ? 1.0 : 0.0; });
      if (arch.sm >= 80 || format.exponent_bits == 5) {
        check_pairs("fma", fused);
        check_pairs("fma_sat", [](double x, double y, double z) { return clamped(fused(x, y, z)); });
      }
      const auto check_masks = [&](const std::string& name, auto holds, U32 both) {
        const auto d = run<U32>(runner, prefix + name, a, b, c);
        for (std::size_t i = 0; i < a.size(); ++i) {
          const bool low = holds(value_of(a[i] & 0xffffU, format), value_of(b[i] & 0xffffU, format));
          const bool high = holds(value_of(a[i] >> 16, format), value_of(b[i] >> 16, format));
          CAPTURE(prefix + name, a[i], b[i]);
          CHECK(d[i] ==
                (both != 0 ? (low && high ? 1U : 0U) : (low ? 0xffffU : 0U) | (high ? 0xffff0000U : 0U)));
        }
      };
      check_masks("le_mask", [](double x, double y) { return x <= y; }, 0);
      check_masks("neu_mask", [](double x, double y) { return !(x == y); }, 0);
      check_masks("all_lt", [](double x, double y) { return x < y; }, 1);
      check_masks("all_eq", [](double x, double y) { return x == y; }, 1);
    }
  });
}

TEST_CASE("Conversions of half and bfloat16") {
  for_archs("half.cu", [](Runner& runner, const Arch&) {
    const std::vector<float> a = floats();
    const auto from_float = [&](const std::string& kernel, const Format& format, int mode) {
      const auto d = run<U16>(runner, kernel, a, a, a);
      for (std::size_t i = 0; i < a.size(); ++i) {
        const U32 wanted = encode(static_cast<double>(a[i]), format, mode, false);
        // Directed roundings stop at the largest value.
        const bool stops = !std::isinf(a[i]) && (mode == FE_TOWARDZERO || (mode == FE_UPWARD && a[i] < 0) ||
                                                 (mode == FE_DOWNWARD && a[i] > 0));
        const U32 bounded = stops && (wanted & 0x7fffU) == largest(format) + 1 ? wanted - 1 : wanted;
        if (one_nan(d[i], format) != one_nan(bounded, format)) {
          CAPTURE(kernel, a[i], d[i], bounded);
          CHECK(one_nan(d[i], format) == one_nan(bounded, format));
        }
      }
    };
    for (const Widths& width : both_halves) {
      const std::string prefix = std::string(width.prefix) + "from_float_";
      from_float(prefix + "rn", width.format, FE_TONEAREST);
      from_float(prefix + "rz", width.format, FE_TOWARDZERO);
      from_float(prefix + "rd", width.format, FE_DOWNWARD);
      from_float(prefix + "ru", width.format, FE_UPWARD);
    }
    const std::vector<U16> all = all_bits<U16>(65536);
    for (const Widths& width : both_halves) {
      const auto d = run<float>(runner, std::string(width.prefix) + "to_float", all, all, all);
      for (std::size_t i = 0; i < all.size(); ++i) {
        const auto wanted = static_cast<float>(value_of(all[i], width.format));
        if (!(d[i] == wanted || (std::isnan(d[i]) && std::isnan(wanted)))) {
          CAPTURE(width.prefix, i, d[i]);
          CHECK(d[i] == wanted);
        }
      }
    }
    const auto to_integer = [&](const std::string& kernel, auto type, double (*round)(double)) {
      using T = decltype(type);
      const auto d = run<T>(runner, kernel, all, all, all);
      for (std::size_t i = 0; i < all.size(); ++i) {
        const double x = round(value_of(all[i], half));
        if (std::isnan(x)) {
          continue;
        }
        const double least = static_cast<double>(std::numeric_limits<T>::min());
        const double most = static_cast<double>(std::numeric_limits<T>::max());
        const T wanted = x <= least  ? std::numeric_limits<T>::min()
                         : x >= most ? std::numeric_limits<T>::max()
                                     : static_cast<T>(x);
        if (d[i] != wanted) {
          CAPTURE(kernel, i, d[i], wanted);
          CHECK(d[i] == wanted);
        }
      }
    };
    to_integer("f16_to_int_rn", std::int32_t{}, [](double x) { return std::nearbyint(x); });
    to_integer("f16_to_int_rz", std::int32_t{}, [](double x) { return std::trunc(x); });
    to_integer("f16_to_uint_ru", std::uint32_t{}, [](double x) { return std::ceil(x); });
    to_integer("f16_to_ll_rd", 0LL, [](double x) { return std::floor(x); });
    to_integer("f16_to_short", std::int16_t{}, [](double x) { return std::trunc(x); });
    to_integer("f16_to_char", std::int8_t{}, [](double x) { return std::trunc(x); });
    std::vector<std::int32_t> integers{0,
                                       1,
                                       -1,
                                       2047,
                                       2048,
                                       2049,
                                       2051,
                                       -2049,
                                       65504,
                                       65519,
                                       65520,
                                       65536,
                                       -65520,
                                       257,
                                       259,
                                       16777217,
                                       std::numeric_limits<std::int32_t>::min(),
                                       std::numeric_limits<std::int32_t>::max()};
    const auto from_integer = [&](const std::string& kernel, const Format& format, int mode) {
      const auto d = run<U16>(runner, kernel, integers, integers, integers);
      for (std::size_t i = 0; i < integers.size(); ++i) {
        U32 wanted = encode(integers[i], format, mode, false);
        wanted -= mode == FE_TOWARDZERO && (wanted & 0x7fffU) == largest(format) + 1 ? 1 : 0;
        CAPTURE(kernel, integers[i]);
        CHECK(d[i] == wanted);
      }
    };
    from_integer("f16_from_int", half, FE_TONEAREST);
    from_integer("f16_from_int_rz", half, FE_TOWARDZERO);
    from_integer("bf16_from_int", brain, FE_TONEAREST);
    std::vector<double> doubles;
    for (const float x : a) {
      doubles.push_back(static_cast<double>(x) * (1 + 0x1p-40));
    }
    for (const Widths& width : both_halves) {
      const auto d = run<U16>(runner, std::string(width.prefix) + "from_double", doubles, doubles, doubles);
      for (std::size_t i = 0; i < doubles.size(); ++i) {
        const U32 wanted = encode(doubles[i], width.format, FE_TONEAREST, false);
        if (one_nan(d[i], width.format) != one_nan(wanted, width.format)) {
          CAPTURE(width.prefix, doubles[i], d[i], wanted);
          CHECK(one_nan(d[i], width.format) == one_nan(wanted, width.format));
        }
      }
    }
  });
}

}  // namespace kerncast::simulator::testing
