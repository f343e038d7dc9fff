#include "tests/simulator/conformance/form.hpp"

// f16, bf16 and their pairs, and arithmetic of f32 with 16-bit operands.
namespace kerncast::conformance {

namespace {

struct Half {
  std::string name;
  Format format;
  Nan any_nan;
  bool pair;
};

std::vector<Half> halves() {
  return {{"f16", f16_format, Nan::any_f16, false},
          {"f16x2", f16_format, Nan::any_f16, true},
          {"bf16", bf16_format, Nan::any_bf16, false},
          {"bf16x2", bf16_format, Nan::any_bf16, true}};
}

using Element = std::function<u64(const std::array<u64, 3>&)>;

Form element_form(const Half& type, const std::string& opcode, std::size_t count, Element f) {
  Form form;
  form.opcode = opcode + "." + type.name;
  form.inputs.assign(count, type.name);
  form.outputs = {type.pair ? 4U : 2U};
  form.reference = [pair = type.pair, count, f = std::move(f)](const Inputs& in) {
    u64 result = 0;
    for (unsigned shift = 0; shift < (pair ? 32U : 16U); shift += 16) {
      std::array<u64, 3> part{};
      for (std::size_t i = 0; i < count; ++i) {
        part[i] = in[i] >> shift & 0xffffU;
      }
      result |= f(part) << shift;
    }
    return Outputs{result};
  };
  return form;
}

u64 one(const Format& format) {
  return static_cast<u64>(format.bias()) << format.mantissa;
}

u64 finished(const Format& format, u64 bits, bool sat, bool relu) {
  if (sat) {
    return format.is_nan(bits) || (bits & format.sign()) != 0 ? 0 : bits > one(format) ? one(format) : bits;
  }
  return relu && !format.is_nan(bits) && (bits & format.sign()) != 0 ? 0 : bits;
}

void add_arithmetic(std::vector<Form>& forms, const Half& type) {
  const bool brain = type.format.exponent == 8;
  for (const std::string base : {"add", "sub", "mul", "fma"}) {
    const bool fused = base == "fma";
    for (const bool named : {false, true}) {
      for (const bool ftz : {false, true}) {
        for (const int end : {0, 1, 2}) {
          const bool sat = end == 1;
          const bool relu = end == 2;
          if ((brain && (ftz || sat)) || (fused && !named) || (relu && !fused)) {
            continue;
          }
          const std::string opcode =
              base + (named ? ".rn" : "") + (ftz ? ".ftz" : "") + (sat ? ".sat" : "") + (relu ? ".relu" : "");
          forms.push_back(element_form(
              type, opcode, fused ? 3 : 2, [=, format = type.format](const std::array<u64, 3>& in) {
                std::array<Number, 3> x;
                for (std::size_t i = 0; i < 3; ++i) {
                  x[i] = decode(format, ftz ? format.flush(in[i]) : in[i]);
                }
                const Number exact = base == "add"   ? sum(x[0], x[1], Mode::rn)
                                     : base == "sub" ? sum(x[0], negated(x[1]), Mode::rn)
                                     : base == "mul" ? product(x[0], x[1])
                                                     : sum(product(x[0], x[1]), x[2], Mode::rn);
                const u64 bits =
                    ftz ? encode_flushed(format, exact, Mode::rn) : encode(format, exact, Mode::rn);
                return finished(format, bits, sat, relu);
              }));
        }
      }
    }
  }
}

void add_min_max(std::vector<Form>& forms, const Half& type) {
  const bool brain = type.format.exponent == 8;
  for (const bool greatest : {false, true}) {
    for (unsigned bits = 0; bits < 8; ++bits) {
      const bool ftz = (bits & 1U) != 0;
      const bool nan = (bits & 2U) != 0;
      const bool xorsign = (bits & 4U) != 0;
      if (brain && ftz) {
        continue;
      }
      const std::string opcode = std::string(greatest ? "max" : "min") + (ftz ? ".ftz" : "") +
                                 (nan ? ".NaN" : "") + (xorsign ? ".xorsign.abs" : "");
      forms.push_back(element_form(type, opcode, 2, [=, f = type.format](const std::array<u64, 3>& in) {
        u64 a = ftz ? f.flush(in[0]) : in[0];
        u64 b = ftz ? f.flush(in[1]) : in[1];
        const u64 signs = (a ^ b) & f.sign();
        if (xorsign) {
          a &= f.magnitude_mask();
          b &= f.magnitude_mask();
        }
        if (f.is_nan(a) || f.is_nan(b)) {
          const u64 other = f.is_nan(a) ? b : a;
          if (nan || f.is_nan(other)) {
            return f.nan();
          }
          return xorsign ? other | signs : other;
        }
        const int order = compare(decode(f, a), decode(f, b));
        // Equal values differ at most in the sign of zero, and -0 is the lesser.
        const bool a_first = order != 0 ? order < 0 : (a & f.sign()) != 0;
        const u64 result = a_first != greatest ? a : b;
        return xorsign ? result | signs : result;
      }));
    }
  }
}

void add_signs(std::vector<Form>& forms, const Half& type) {
  const bool brain = type.format.exponent == 8;
  for (const bool negates : {false, true}) {
    for (const bool ftz : {false, true}) {
      if (ftz && brain) {
        continue;
      }
      Form form = element_form(type, std::string(negates ? "neg" : "abs") + (ftz ? ".ftz" : ""), 1,
                               [=, f = type.format](const std::array<u64, 3>& in) {
                                 const u64 a = ftz ? f.flush(in[0]) : in[0];
                                 return negates ? a ^ f.sign() : a & f.magnitude_mask();
                               });
      form.nan = type.any_nan;
      form.inputs[0] = type.pair ? type.name : "every16";
      forms.push_back(form);
    }
  }
}

}  // namespace

std::vector<Form> half_forms() {
  std::vector<Form> forms;
  for (const Half& type : halves()) {
    add_arithmetic(forms, type);
    add_min_max(forms, type);
    add_signs(forms, type);
  }
  return forms;
}

std::vector<Form> mixed_forms() {
  struct RoundingName {
    const char* name;
    Mode mode;
  };
  std::vector<Form> forms;
  for (const bool brain : {false, true}) {
    const Format narrow = brain ? bf16_format : f16_format;
    const std::string type = brain ? "bf16" : "f16";
    for (const std::string base : {"add", "sub", "fma"}) {
      for (const RoundingName& rounding :
           {RoundingName{"", Mode::rn}, RoundingName{".rn", Mode::rn}, RoundingName{".rz", Mode::rz},
            RoundingName{".rm", Mode::rm}, RoundingName{".rp", Mode::rp}}) {
        for (const bool sat : {false, true}) {
          const bool fused = base == "fma";
          if (fused && *rounding.name == 0) {
            continue;
          }
          Form form;
          form.opcode = base + rounding.name + (sat ? ".sat" : "") + ".f32." + type;
          form.inputs =
              fused ? std::vector<std::string>{type, type, "f32"} : std::vector<std::string>{type, "f32"};
          form.outputs = {4};
          form.reference = [=, mode = rounding.mode](const Inputs& in) {
            const Number a = decode(narrow, in[0]);
            const Number exact = fused
                                     ? sum(product(a, decode(narrow, in[1])), decode(f32_format, in[2]), mode)
                                 : base == "add" ? sum(a, decode(f32_format, in[1]), mode)
                                                 : sum(a, negated(decode(f32_format, in[1])), mode);
            return Outputs{finished(f32_format, encode(f32_format, exact, mode), sat, false)};
          };
          forms.push_back(form);
        }
      }
    }
  }
  return forms;
}

}  // namespace kerncast::conformance
