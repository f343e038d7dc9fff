#include "tests/simulator/conformance/form.hpp"
#include "tests/simulator/conformance/form_target.hpp"

// f32, f64 and f32x2: everything the ISA determines to the bit.
namespace kerncast::conformance {

namespace {

struct RoundingName {
  const char* name;
  Mode mode;
};

constexpr std::array<RoundingName, 4> modes{
    {{".rn", Mode::rn}, {".rz", Mode::rz}, {".rm", Mode::rm}, {".rp", Mode::rp}}};

/// A result of an operation on numbers before it is rounded.
using Exact = std::function<Number(const std::array<Number, 3>&, Mode)>;

struct Scalar {
  Format format;
  std::string name;
  unsigned bytes;
  Nan nan;
};

const Scalar single_scalar{f32_format, "f32", 4, Nan::exact};
const Scalar double_scalar{f64_format, "f64", 8, Nan::any_f64};

Number exact_sum(const std::array<Number, 3>& x, Mode mode) {
  return sum(x[0], x[1], mode);
}
Number exact_difference(const std::array<Number, 3>& x, Mode mode) {
  return sum(x[0], negated(x[1]), mode);
}
Number exact_product(const std::array<Number, 3>& x, Mode) {
  return product(x[0], x[1]);
}
Number exact_fused(const std::array<Number, 3>& x, Mode mode) {
  return sum(product(x[0], x[1]), x[2], mode);
}
Number exact_quotient(const std::array<Number, 3>& x, Mode) {
  return quotient(x[0], x[1]);
}
Number exact_reciprocal(const std::array<Number, 3>& x, Mode) {
  return quotient(integer_number(1, false), x[0]);
}
Number exact_root(const std::array<Number, 3>& x, Mode) {
  return square_root(x[0]);
}

u64 saturated(const Format& format, u64 bits) {
  const u64 one = static_cast<u64>(format.bias()) << format.mantissa;
  if (format.is_nan(bits) || (bits & format.sign()) != 0) {
    return 0;
  }
  return bits > one ? one : bits;
}

u64 computed(const Format& format, const Inputs& in, std::size_t count, const Exact& f, Mode mode, bool ftz,
             bool sat) {
  std::array<Number, 3> x;
  for (std::size_t i = 0; i < count; ++i) {
    x[i] = decode(format, ftz ? format.flush(in[i]) : in[i]);
  }
  const u64 bits = ftz ? encode_flushed(format, f(x, mode), mode) : encode(format, f(x, mode), mode);
  return sat ? saturated(format, bits) : bits;
}

void add_rounded(std::vector<Form>& forms, const Scalar& type, const std::string& base, std::size_t count,
                 const Exact& f, bool needs_mode, bool may_saturate) {
  for (std::size_t m = 0; m <= modes.size(); ++m) {
    // Without a rounding the result goes to the nearest.
    const bool unnamed = m == modes.size();
    if (unnamed && needs_mode) {
      continue;
    }
    const std::string mode_name = unnamed ? "" : modes[m].name;
    const Mode mode = unnamed ? Mode::rn : modes[m].mode;
    for (const bool ftz : {false, true}) {
      for (const bool sat : {false, true}) {
        if ((ftz && type.bytes == 8) || (sat && (type.bytes == 8 || !may_saturate))) {
          continue;
        }
        Form form;
        form.opcode = base + mode_name + (ftz ? ".ftz" : "") + (sat ? ".sat" : "") + "." + type.name;
        form.inputs.assign(count, type.name);
        form.outputs = {type.bytes};
        form.nan = type.nan;
        form.reference = [=, format = type.format](const Inputs& in) {
          return Outputs{computed(format, in, count, f, mode, ftz, sat)};
        };
        forms.push_back(form);
      }
    }
  }
}

/// The lesser or greater, where -0 lies below +0.
u64 chosen(const Format& format, u64 a, u64 b, bool greatest, bool nan_wins) {
  const bool a_nan = format.is_nan(a);
  const bool b_nan = format.is_nan(b);
  if (a_nan || b_nan) {
    return (a_nan && b_nan) || nan_wins ? format.nan() : a_nan ? b : a;
  }
  const int order = compare(decode(format, a), decode(format, b));
  if (order == 0) {
    const bool negative = greatest ? (a & b & format.sign()) != 0 : ((a | b) & format.sign()) != 0;
    return (a & format.magnitude_mask()) | (negative ? format.sign() : 0);
  }
  return (order > 0) == greatest ? a : b;
}

/// Compares magnitudes if `absolute`. Two operands then give the exclusive or of their signs, three do not.
u64 chosen_of(const Format& format, std::vector<u64> x, bool greatest, bool nan_wins, bool absolute) {
  u64 signs = 0;
  for (u64& value : x) {
    signs ^= x.size() == 2 ? value & format.sign() : 0;
    value = absolute ? value & format.magnitude_mask() : value;
  }
  u64 result = x[0];
  for (std::size_t i = 1; i < x.size(); ++i) {
    result = chosen(format, result, x[i], greatest, nan_wins);
  }
  return absolute && !format.is_nan(result) ? result | signs : result;
}

void add_min_max(std::vector<Form>& forms) {
  for (const bool greatest : {false, true}) {
    const std::string base = greatest ? "max" : "min";
    for (const std::size_t count : {std::size_t{2}, std::size_t{3}}) {
      for (unsigned bits = 0; bits < 8; ++bits) {
        const bool ftz = (bits & 1U) != 0;
        const bool nan = (bits & 2U) != 0;
        const bool absolute = (bits & 4U) != 0;
        Form form;
        form.opcode = base + (ftz ? ".ftz" : "") + (nan ? ".NaN" : "") +
                      (!absolute    ? ""
                       : count == 2 ? ".xorsign.abs"
                                    : ".abs") +
                      ".f32";
        form.inputs.assign(count, "f32");
        form.outputs = {4};
        form.reference = [=](const Inputs& in) {
          std::vector<u64> x;
          for (std::size_t i = 0; i < count; ++i) {
            x.push_back(ftz ? f32_format.flush(in[i]) : in[i]);
          }
          return Outputs{chosen_of(f32_format, x, greatest, nan, absolute)};
        };
        forms.push_back(form);
      }
    }
    Form form;
    form.opcode = base + ".f64";
    form.inputs = {"f64", "f64"};
    form.outputs = {8};
    form.nan = Nan::any_f64;
    form.reference = [=](const Inputs& in) {
      return Outputs{chosen(f64_format, in[0], in[1], greatest, false)};
    };
    forms.push_back(form);
  }
}

void add_sign_forms(std::vector<Form>& forms) {
  for (const Scalar& type : {single_scalar, double_scalar}) {
    for (const bool ftz : {false, true}) {
      for (const bool negates : {false, true}) {
        if (ftz && type.bytes == 8) {
          continue;
        }
        Form form;
        form.opcode = std::string(negates ? "neg" : "abs") + (ftz ? ".ftz." : ".") + type.name;
        form.inputs = {type.name};
        form.outputs = {type.bytes};
        form.nan = type.bytes == 8 ? Nan::any_f64 : Nan::any_f32;
        form.reference = [=, format = type.format](const Inputs& in) {
          const u64 x = ftz ? format.flush(in[0]) : in[0];
          return Outputs{negates ? x ^ format.sign() : x & format.magnitude_mask()};
        };
        forms.push_back(form);
      }
    }
    Form copy;
    copy.opcode = "copysign." + type.name;
    copy.inputs = {type.name, type.name};
    copy.outputs = {type.bytes};
    copy.reference = [format = type.format](const Inputs& in) {
      return Outputs{(in[0] & format.sign()) | (in[1] & format.magnitude_mask())};
    };
    forms.push_back(copy);
    for (const std::string test : {"finite", "infinite", "number", "notanumber", "normal", "subnormal"}) {
      Form form;
      form.opcode = "testp." + test + "." + type.name;
      form.inputs = {type.name};
      // NVIDIA's assembler 13.0 makes instructions of it that heed no guard.
      form.guards = !runs_on_driver();
      form.outputs = {0};
      form.reference = [test, format = type.format](const Inputs& in) {
        const Number x = decode(format, in[0]);
        const bool small = format.is_subnormal(in[0]);
        const bool finite = x.kind == Number::Kind::finite || x.is_zero();
        const bool holds = test == "finite"       ? finite
                           : test == "infinite"   ? x.is_infinite()
                           : test == "number"     ? !x.is_nan()
                           : test == "notanumber" ? x.is_nan()
                           : test == "normal"     ? finite && !small
                                                  : small;
        return Outputs{u64{holds}};
      };
      forms.push_back(form);
    }
  }
}

void add_pairs(std::vector<Form>& forms) {
  struct Operation {
    const char* base;
    std::size_t count;
    Number (*f)(const std::array<Number, 3>&, Mode);
  };
  for (const Operation& operation : {Operation{"add", 2, exact_sum}, Operation{"sub", 2, exact_difference},
                                     Operation{"mul", 2, exact_product}, Operation{"fma", 3, exact_fused}}) {
    for (std::size_t m = 0; m <= modes.size(); ++m) {
      const bool unnamed = m == modes.size();
      if (unnamed && operation.count == 3) {
        continue;
      }
      for (const bool ftz : {false, true}) {
        const Mode mode = unnamed ? Mode::rn : modes[m].mode;
        Form form;
        form.opcode =
            std::string(operation.base) + (unnamed ? "" : modes[m].name) + (ftz ? ".ftz" : "") + ".f32x2";
        form.inputs.assign(operation.count, "f32x2");
        form.outputs = {8};
        form.reference = [=](const Inputs& in) {
          u64 result = 0;
          for (unsigned shift = 0; shift < 64; shift += 32) {
            Inputs part{};
            for (std::size_t i = 0; i < operation.count; ++i) {
              part[i] = in[i] >> shift & 0xffffffffU;
            }
            result |= computed(f32_format, part, operation.count, operation.f, mode, ftz, false) << shift;
          }
          return Outputs{result};
        };
        forms.push_back(form);
      }
    }
  }
}

}  // namespace

std::vector<Form> float_forms() {
  std::vector<Form> forms;
  for (const Scalar& type : {single_scalar, double_scalar}) {
    add_rounded(forms, type, "add", 2, exact_sum, false, true);
    add_rounded(forms, type, "sub", 2, exact_difference, false, true);
    add_rounded(forms, type, "mul", 2, exact_product, false, true);
    add_rounded(forms, type, "fma", 3, exact_fused, true, true);
    add_rounded(forms, type, "mad", 3, exact_fused, true, true);
    add_rounded(forms, type, "div", 2, exact_quotient, true, false);
    add_rounded(forms, type, "rcp", 1, exact_reciprocal, true, false);
    add_rounded(forms, type, "sqrt", 1, exact_root, true, false);
  }
  add_min_max(forms);
  add_sign_forms(forms);
  add_pairs(forms);
  return forms;
}

}  // namespace kerncast::conformance
