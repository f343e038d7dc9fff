#include "tests/simulator/conformance/form.hpp"
#include "tests/simulator/conformance/integer_reference.hpp"

// cvt between the types of single registers.
namespace kerncast::conformance {

namespace {

struct Float {
  std::string name;
  Format format;
  unsigned bytes;
  Nan any_nan;
};

const std::array<Float, 4> floats{{{"f16", f16_format, 2, Nan::any_f16},
                                   {"bf16", bf16_format, 2, Nan::any_bf16},
                                   {"f32", f32_format, 4, Nan::any_f32},
                                   {"f64", f64_format, 8, Nan::any_f64}}};

struct RoundingName {
  const char* name;
  Mode mode;
};

constexpr std::array<RoundingName, 4> modes{
    {{".rn", Mode::rn}, {".rz", Mode::rz}, {".rm", Mode::rm}, {".rp", Mode::rp}}};
constexpr std::array<RoundingName, 4> integral_modes{
    {{".rni", Mode::rn}, {".rzi", Mode::rz}, {".rmi", Mode::rm}, {".rpi", Mode::rp}}};

u64 saturated(const Format& format, u64 bits) {
  const u64 one = static_cast<u64>(format.bias()) << format.mantissa;
  return format.is_nan(bits) || (bits & format.sign()) != 0 ? 0 : bits > one ? one : bits;
}

std::string register_domain(unsigned bytes) {
  return "u" + std::to_string(8 * bytes);
}

std::string source_domain(const Float& from) {
  return from.bytes == 2 ? "every16" : "cut_" + from.name;
}

/// Integers lie in registers of their size or in wider ones: narrow sources are cut out of them and results
/// extended to them.
void add_integers(std::vector<Form>& forms) {
  for (const Integer& from : all_integers) {
    for (const Integer& to : all_integers) {
      const bool fits = from.least() >= to.least() && from.most() <= to.most();
      for (const bool sat : {false, true}) {
        if (sat && fits) {
          continue;
        }
        for (const unsigned source : {2U, 4U, 8U}) {
          for (const unsigned target : {2U, 4U, 8U}) {
            if (source * 8 < from.bits || target * 8 < to.bits) {
              continue;
            }
            Form form;
            form.opcode = std::string("cvt.") + (sat ? "sat." : "") + to.name + "." + from.name;
            form.inputs = {register_domain(source)};
            form.outputs = {target};
            form.reference = [=](const Inputs& in) {
              const s128 value = from.value(in[0]);
              const u64 result = sat ? to.clamped(value) : static_cast<u64>(value);
              return Outputs{static_cast<u64>(to.value(result))};
            };
            forms.push_back(form);
          }
        }
      }
    }
  }
}

void add_from_integers(std::vector<Form>& forms) {
  for (const Integer& from : all_integers) {
    for (const Float& to : floats) {
      for (const RoundingName& rounding : modes) {
        for (const bool sat : {false, true}) {
          for (const unsigned source : {2U, 4U, 8U}) {
            if (source * 8 < from.bits ||
                (to.name == "bf16" && (sat || from.bits == 8 || source * 8 != from.bits))) {
              continue;
            }
            Form form;
            form.opcode =
                std::string("cvt") + rounding.name + (sat ? ".sat." : ".") + to.name + "." + from.name;
            form.inputs = {"cut_" + register_domain(source)};
            form.outputs = {to.bytes};
            form.reference = [=, mode = rounding.mode](const Inputs& in) {
              const s128 value = from.value(in[0]);
              const bool negative = value < 0;
              const u64 bits = encode(
                  to.format, integer_number(static_cast<u64>(negative ? -value : value), negative), mode);
              return Outputs{sat ? saturated(to.format, bits) : bits};
            };
            forms.push_back(form);
          }
        }
      }
    }
  }
}

u64 to_integer(const Integer& to, const Number& x, bool wide) {
  if (x.is_nan()) {
    // Zero, or the highest bit if the source is f64 or the destination has 64 bits.
    return wide ? u64{1} << (to.bits - 1) : 0;
  }
  if (x.is_infinite() || (!x.is_zero() && x.exponent + bit_length(x.magnitude) > 66)) {
    return static_cast<u64>(x.negative ? to.least() : to.most());
  }
  if (x.is_zero()) {
    return 0;
  }
  const u128 magnitude = x.exponent >= 0 ? x.magnitude << x.exponent : x.magnitude >> -x.exponent;
  return to.clamped(x.negative ? -static_cast<s128>(magnitude) : static_cast<s128>(magnitude));
}

void add_to_integers(std::vector<Form>& forms) {
  for (const Float& from : floats) {
    for (const Integer& to : all_integers) {
      for (const RoundingName& rounding : integral_modes) {
        for (const bool ftz : {false, true}) {
          for (const bool sat : {false, true}) {
            for (const unsigned target : {2U, 4U, 8U}) {
              if ((ftz && from.name != "f32") || target * 8 < to.bits ||
                  (from.name == "bf16" && (sat || to.bits == 8 || target * 8 != to.bits))) {
                continue;
              }
              Form form;
              form.opcode = std::string("cvt") + rounding.name + (ftz ? ".ftz" : "") + (sat ? ".sat." : ".") +
                            to.name + "." + from.name;
              form.inputs = {source_domain(from)};
              form.outputs = {target};
              form.reference = [=, mode = rounding.mode](const Inputs& in) {
                const Number x = decode(from.format, ftz ? from.format.flush(in[0]) : in[0]);
                const u64 result = to_integer(to, to_integral(x, mode), from.bytes == 8 || to.bits == 64);
                return Outputs{static_cast<u64>(to.value(result))};
              };
              forms.push_back(form);
            }
          }
        }
      }
    }
  }
}

void add_float_form(std::vector<Form>& forms, const Float& from, const Float& to,
                    const std::string& modifiers, Mode mode, bool integral, bool ftz, bool sat, bool relu,
                    bool finite) {
  Form form;
  form.opcode = "cvt" + modifiers + (ftz ? ".ftz" : "") + (sat ? ".sat" : "") + (relu ? ".relu" : "") +
                (finite ? ".satfinite" : "") + "." + to.name + "." + from.name;
  form.inputs = {source_domain(from)};
  form.outputs = {to.bytes};
  // The payload of a NaN that is only widened is left open for bf16, whose widening is a move.
  form.nan = to.bytes == 8 || from.name == "bf16" || from.name == to.name ? to.any_nan : Nan::exact;
  form.reference = [=](const Inputs& in) {
    // Devices do not flush subnormals when they round to f16.
    const bool flushes = ftz && from.bytes == 4 && to.name != "f16";
    const Number x = decode(from.format, flushes ? from.format.flush(in[0]) : in[0]);
    if (x.is_nan() && from.bytes == 8 && to.bytes < 8 && !sat) {
      // The sign and what fits of the payload stay.
      const u64 payload = (in[0] & ((u64{1} << 52) - 1)) >> (52 - to.format.mantissa);
      return Outputs{(in[0] >> 63 != 0 ? to.format.sign() : 0) | to.format.infinity() | payload |
                     u64{1} << (to.format.mantissa - 1)};
    }
    const Number rounded = integral ? to_integral(x, mode) : x;
    u64 bits = ftz && to.bytes == 4 ? encode_flushed(to.format, rounded, mode)
                                    : encode(to.format, rounded, mode, finite);
    bits = sat ? saturated(to.format, bits) : bits;
    return Outputs{relu && (bits & to.format.sign()) != 0 && !to.format.is_nan(bits) ? 0 : bits};
  };
  forms.push_back(form);
}

bool widens(const Float& from, const Float& to) {
  return to.format.exponent >= from.format.exponent && to.format.mantissa >= from.format.mantissa;
}

void add_floats(std::vector<Form>& forms) {
  for (const Float& from : floats) {
    for (const Float& to : floats) {
      const bool single = from.name == "f32" || to.name == "f32";
      for (const bool ftz : {false, true}) {
        for (const bool sat : {false, true}) {
          if ((ftz && !single) || (sat && (from.name == "bf16" || to.name == "bf16"))) {
            continue;
          }
          if (widens(from, to)) {
            add_float_form(forms, from, to, "", Mode::rn, false, ftz, sat, false, false);
          } else {
            for (const RoundingName& rounding : modes) {
              add_float_form(forms, from, to, rounding.name, rounding.mode, false, ftz, sat, false, false);
            }
          }
          if (from.name == to.name) {
            for (const RoundingName& rounding : integral_modes) {
              add_float_form(forms, from, to, rounding.name, rounding.mode, true, ftz, sat, false, false);
            }
          }
        }
      }
      if (from.name == "f32" && to.bytes == 2) {
        for (const RoundingName& rounding : {modes[0], modes[1]}) {
          add_float_form(forms, from, to, rounding.name, rounding.mode, false, false, false, true, false);
          add_float_form(forms, from, to, rounding.name, rounding.mode, false, false, false, false, true);
          add_float_form(forms, from, to, rounding.name, rounding.mode, false, false, false, true, true);
        }
      }
    }
  }
}

void add_tf32(std::vector<Form>& forms) {
  for (const RoundingName& rounding :
       {RoundingName{".rn", Mode::rn}, RoundingName{".rz", Mode::rz}, RoundingName{".rna", Mode::rna}}) {
    for (const bool finite : {false, true}) {
      for (const bool relu : {false, true}) {
        if (relu && rounding.mode == Mode::rna) {
          continue;
        }
        Form form;
        form.opcode = std::string("cvt") + rounding.name + (relu ? ".relu" : "") +
                      (finite ? ".satfinite" : "") + ".tf32.f32";
        form.inputs = {"cut_f32"};
        form.outputs = {4};
        form.reference = [=, mode = rounding.mode](const Inputs& in) {
          const Number x = decode(f32_format, in[0]);
          const u64 cut = in[0] & ~u64{0x1fff};
          if (x.is_nan()) {
            // On devices, rounding ties away takes a NaN for a number beyond infinity.
            return Outputs{mode != Mode::rna ? 0x7fffe000 : finite ? cut - 0x2000 : cut};
          }
          const u64 bits = encode(tf32_format, x, mode, finite) << 13;
          return Outputs{relu && (bits >> 31) != 0 ? 0 : bits};
        };
        forms.push_back(form);
      }
    }
  }
}

}  // namespace

std::vector<Form> convert_forms() {
  std::vector<Form> forms;
  add_integers(forms);
  add_from_integers(forms);
  add_to_integers(forms);
  add_floats(forms);
  add_tf32(forms);
  return forms;
}

}  // namespace kerncast::conformance
