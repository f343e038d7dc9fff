#include <cmath>
#include <numbers>

#include "tests/simulator/conformance/form.hpp"
#include "tests/simulator/conformance/form_target.hpp"

// The .approx and .full functions, within the error the ISA states. The reference is the host's long double.
namespace kerncast::conformance {

namespace {

using Real = long double;
using Function = std::function<Real(const std::array<Real, 2>&)>;

Real value_of(const Format& format, u64 bits) {
  const Number x = decode(format, bits);
  const Real magnitude = x.is_nan()        ? std::nanl("")
                         : x.is_infinite() ? std::numeric_limits<Real>::infinity()
                                           : std::ldexp(static_cast<Real>(x.magnitude), x.exponent);
  return (bits & format.sign()) != 0 ? -magnitude : magnitude;
}

struct Bound {
  Real relative = 0;
  Real absolute = 0;
};

/// True if `got` is within the bound of `exact`, or next to it if the result is subnormal. Special values
/// must be hit exactly.
bool within(const Format& format, u64 got, Real exact, const Bound& bound, bool ftz) {
  const u64 sign = std::signbit(exact) ? format.sign() : 0;
  if (std::isnan(exact)) {
    return format.mantissa == 52 ? format.is_nan(got) : got == format.nan();
  }
  if (std::isinf(exact)) {
    return got == (sign | format.infinity());
  }
  if (exact == 0) {
    return got == sign;
  }
  const Real magnitude = std::fabs(exact);
  const Real quantum = std::ldexp(Real{1}, 1 - format.bias() - format.mantissa);
  const Real error = std::fmax(bound.relative * magnitude + bound.absolute, 2 * quantum);
  const Real least = value_of(format, format.least_normal());
  const Real most = value_of(format, format.largest());
  if (ftz && magnitude + error < least) {
    return got == sign;
  }
  if (magnitude - error > most + std::ldexp(most, -format.mantissa)) {
    return got == (sign | format.infinity());
  }
  if (format.is_nan(got)) {
    return false;
  }
  const Real value = value_of(format, got);
  if (std::isinf(value)) {
    return magnitude + error >= most && std::signbit(value) == std::signbit(exact);
  }
  return std::fabs(value - exact) <= error || (ftz && value == 0 && magnitude - error < least);
}

Real power(int exponent) {
  return std::ldexp(Real{1}, exponent);
}

struct Approximation {
  std::string opcode;  ///< without .ftz and the type
  Function f;
  std::function<Bound(Real)> bound;  ///< by the first operand
};

Form make_form(const std::string& opcode, const Format& format, std::vector<std::string> inputs,
               unsigned bytes, bool pair, bool ftz, const Approximation& what) {
  Form form;
  form.opcode = opcode;
  form.inputs = std::move(inputs);
  form.outputs = {bytes};
  form.accepts = [=, count = form.inputs.size()](const Inputs& in, const Outputs& got) {
    for (unsigned shift = 0; shift < (pair ? 32U : 1U); shift += 16) {
      std::array<Real, 2> x{};
      for (std::size_t i = 0; i < count; ++i) {
        const u64 bits = pair ? in[i] >> shift & 0xffffU : in[i];
        x[i] = value_of(format, ftz ? format.flush(bits) : bits);
      }
      if (!within(format, pair ? got[0] >> shift & 0xffffU : got[0], what.f(x), what.bound(x[0]), ftz)) {
        return false;
      }
    }
    return true;
  };
  return form;
}

std::function<Bound(Real)> relative(Real error) {
  return [error](Real) { return Bound{error, 0}; };
}

Real exponential(const std::array<Real, 2>& x) {
  return std::exp2(x[0]);
}
Real hyperbolic(const std::array<Real, 2>& x) {
  return std::tanh(x[0]);
}

void add_singles(std::vector<Form>& forms) {
  const auto wave = [](Real x) {
    // Beyond 100 pi the ISA states no bound.
    const Real magnitude = std::fabs(x) / std::numbers::pi_v<Real>;
    return Bound{0, magnitude <= 2     ? std::exp2(Real{-20.5L})
                    : magnitude <= 100 ? std::exp2(Real{-14.7L})
                                       : Real{2}};
  };
  const std::vector<Approximation> all{
      {"rcp.approx", [](const std::array<Real, 2>& x) { return 1 / x[0]; }, relative(power(-23))},
      {"sqrt.approx", [](const std::array<Real, 2>& x) { return std::sqrt(x[0]); }, relative(power(-23))},
      {"rsqrt.approx", [](const std::array<Real, 2>& x) { return 1 / std::sqrt(x[0]); },
       relative(std::exp2(Real{-22.9L}))},
      {"ex2.approx", exponential, relative(power(-22))},
      {"lg2.approx", [](const std::array<Real, 2>& x) { return std::log2(x[0]); },
       [](Real x) { return x > Real{0.5L} && x < 2 ? Bound{0, power(-22)} : Bound{power(-22), 0}; }},
      {"sin.approx", [](const std::array<Real, 2>& x) { return std::sin(x[0]); }, wave},
      {"cos.approx", [](const std::array<Real, 2>& x) { return std::cos(x[0]); }, wave},
      {"tanh.approx", hyperbolic, relative(power(-11))}};
  for (const Approximation& what : all) {
    for (const bool ftz : {false, true}) {
      if (ftz && what.opcode == "tanh.approx") {
        continue;
      }
      for (const char* values : {"f32", "cut_f32"}) {
        forms.push_back(
            make_form(what.opcode + (ftz ? ".ftz.f32" : ".f32"), f32_format, {values}, 4, false, ftz, what));
      }
    }
  }
}

void add_quotients(std::vector<Form>& forms) {
  const Approximation divide{"div", [](const std::array<Real, 2>& x) { return x[0] / x[1]; },
                             relative(power(-22))};
  for (const bool ftz : {false, true}) {
    forms.push_back(make_form(ftz ? "div.full.ftz.f32" : "div.full.f32", f32_format, {"f32", "f32"}, 4, false,
                              ftz, divide));
    Form form = make_form(ftz ? "div.approx.ftz.f32" : "div.approx.f32", f32_format, {"f32", "f32"}, 4, false,
                          ftz, divide);
    form.accepts = [near = form.accepts](const Inputs& in, const Outputs& got) {
      const Number a = decode(f32_format, in[0]);
      const Number b = decode(f32_format, in[1]);
      const Real divisor = std::fabs(value_of(f32_format, in[1]));
      if (a.is_nan() || b.is_nan() || b.is_infinite() || divisor <= power(126)) {
        // No bound is stated for subnormal divisors.
        return f32_format.is_subnormal(in[1]) || near(in, got);
      }
      return a.is_infinite() ? got[0] == f32_format.nan() : (got[0] & f32_format.magnitude_mask()) == 0;
    };
    forms.push_back(form);
  }
}

void add_halves(std::vector<Form>& forms) {
  struct Half {
    const char* name;
    Format format;
    const char* flush;
    Bound exponential;
    Bound hyperbolic;
  };
  const Half f16{"f16", f16_format, "", {std::exp2(Real{-9.9L}), 0}, {0, std::exp2(Real{-10.987L})}};
  // An H100 passes the stated 2^-8 of bf16's tanh by a hair at 0.746.
  const Half bf16{
      "bf16", bf16_format, ".ftz", {power(-7), 0}, {0, power(-8) * (runs_on_driver() ? 1.0001L : 1)}};
  for (const Half& half : {f16, bf16}) {
    for (const bool pair : {false, true}) {
      const std::string type = std::string(half.name) + (pair ? "x2" : "");
      const std::vector<std::string> inputs{pair ? type : "every16"};
      const bool ftz = *half.flush != 0;
      forms.push_back(make_form(std::string("ex2.approx") + half.flush + "." + type, half.format, inputs,
                                pair ? 4 : 2, pair, ftz,
                                {"", exponential, [half](Real) { return half.exponential; }}));
      forms.push_back(make_form("tanh.approx." + type, half.format, inputs, pair ? 4 : 2, pair, false,
                                {"", hyperbolic, [half](Real) { return half.hyperbolic; }}));
    }
  }
}

/// The approximations of f64 with .ftz take and give the upper 32 bits only.
void add_doubles(std::vector<Form>& forms) {
  const auto root = [](const std::array<Real, 2>& x) { return 1 / std::sqrt(x[0]); };
  forms.push_back(make_form("rsqrt.approx.f64", f64_format, {"f64"}, 8, false, false,
                            {"", root, relative(std::exp2(Real{-22.9L}))}));
  for (const bool reciprocal : {true, false}) {
    Form form;
    form.opcode = reciprocal ? "rcp.approx.ftz.f64" : "rsqrt.approx.ftz.f64";
    form.inputs = {"f64"};
    form.outputs = {8};
    form.accepts = [=](const Inputs& in, const Outputs& got) {
      const u64 cut = f64_format.flush(in[0] & ~u64{0xffffffff});
      if (f64_format.is_nan(in[0]) != f64_format.is_nan(cut)) {
        // A NaN in the lower bits only: the ISA says both that they are left out and that NaN gives NaN.
        return true;
      }
      const Real x = value_of(f64_format, cut);
      const bool clean = f64_format.is_nan(got[0]) || (got[0] & 0xffffffffU) == 0;
      return clean && within(f64_format, got[0], reciprocal ? 1 / x : root({x, 0}), {power(-20), 0}, true);
    };
    forms.push_back(form);
  }
}

}  // namespace

std::vector<Form> approximate_forms() {
  std::vector<Form> forms;
  add_singles(forms);
  add_quotients(forms);
  add_halves(forms);
  add_doubles(forms);
  return forms;
}

}  // namespace kerncast::conformance
