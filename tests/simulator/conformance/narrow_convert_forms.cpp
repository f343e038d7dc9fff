#include "tests/simulator/conformance/form.hpp"
#include "tests/simulator/conformance/integer_reference.hpp"

// cvt to and from pairs in one register: f16x2, bf16x2, fp8, fp6, fp4 and powers of two.
namespace kerncast::conformance {

namespace {

struct Narrow {
  const char* name;
  Format format;
  unsigned bits;  ///< of an element's place in the pair
};

constexpr Narrow e4m3x2{"e4m3x2", e4m3_format, 8};
constexpr Narrow e5m2x2{"e5m2x2", e5m2_format, 8};
constexpr Narrow e2m3x2{"e2m3x2", e2m3_format, 8};
constexpr Narrow e3m2x2{"e3m2x2", e3m2_format, 8};
constexpr Narrow e2m1x2{"e2m1x2", e2m1_format, 4};
constexpr Narrow f16x2{"f16x2", f16_format, 16};
constexpr Narrow bf16x2{"bf16x2", bf16_format, 16};

/// The second element is made of the first, so that both take every value without all pairs being tried.
constexpr u64 scramble = 0x9e3779b1;
constexpr const char* second_single_operand = "mul.lo.u32 t, $a, 0x9e3779b1; ";
constexpr const char* both_halves = "mul.lo.u16 g2, $a, 0x79b1; mov.b32 t, {$a, g2}; ";

u64 second_single(u64 a) {
  return a * scramble & 0xffffffffU;
}
u64 second_half(u64 a) {
  return a * 0x79b1U & 0xffffU;
}

u64 packed_element(const Format& to, const Number& x, Mode mode, bool relu, bool finite) {
  const u64 bits = encode(to, x, mode, finite);
  return relu && !x.is_nan() && (bits & to.sign()) != 0 ? 0 : bits;
}

using Element = std::function<u64(u64)>;

/// A packing form of element function `f`: from two floats or from a pair of halves.
void add_packing(std::vector<Form>& forms, const std::string& opcode, unsigned bits, bool from_pair,
                 const Element& f) {
  for (const bool swapped : {false, true}) {
    if (swapped && from_pair) {
      continue;
    }
    Form form;
    form.opcode = opcode;
    form.inputs = {from_pair ? "every16" : "cut_f32"};
    form.outputs = {bits == 16 ? 4U : 2U};
    form.before = from_pair ? both_halves : second_single_operand;
    const std::string operands = from_pair ? "t" : swapped ? "t, $a" : "$a, t";
    form.operands = "$d, " + operands;
    // fp4 pairs lie in byte registers, which take and leave the lower half of d.
    const bool byte = bits == 4;
    if (byte) {
      form.before += "{ .reg .b8 x, y; mov.b16 {x, y}, $d; ";
      form.operands = "x, " + operands;
      form.after = " mov.b16 $d, {x, y}; }";
    }
    form.reference = [=](const Inputs& in) {
      const u64 first = in[0];
      const u64 second = from_pair ? second_half(first) : second_single(first);
      const u64 upper = from_pair || swapped ? second : first;
      const u64 lower = from_pair || swapped ? first : second;
      return Outputs{f(upper) << bits | f(lower) | (byte ? 0x6900U : 0U)};
    };
    forms.push_back(form);
  }
}

void add_float_packing(std::vector<Form>& forms) {
  for (const Narrow& to : {e4m3x2, e5m2x2, e2m3x2, e3m2x2, e2m1x2}) {
    for (const bool relu : {false, true}) {
      const std::string opcode = std::string("cvt.rn.satfinite") + (relu ? ".relu." : ".") + to.name;
      add_packing(forms, opcode + ".f32", to.bits, false, [=](u64 bits) {
        return packed_element(to.format, decode(f32_format, bits), Mode::rn, relu, true);
      });
      if (to.format.specials != Specials::numbers) {
        add_packing(forms, opcode + ".f16x2", to.bits, true, [=](u64 bits) {
          return packed_element(to.format, decode(f16_format, bits), Mode::rn, relu, true);
        });
      }
    }
  }
  for (const Narrow& to : {f16x2, bf16x2}) {
    for (const Mode mode : {Mode::rn, Mode::rz}) {
      for (const bool relu : {false, true}) {
        for (const bool finite : {false, true}) {
          add_packing(forms,
                      std::string("cvt.") + (mode == Mode::rn ? "rn" : "rz") + (relu ? ".relu" : "") +
                          (finite ? ".satfinite." : ".") + to.name + ".f32",
                      16, false, [=](u64 bits) {
                        return packed_element(to.format, decode(f32_format, bits), mode, relu, finite);
                      });
        }
      }
    }
  }
}

/// The exponent of the power of two at or under `x`, or with `up` at or over it, biased by 127. Signs are
/// left out: what a negative number becomes is not specified.
u64 power_of_two(const Number& x, bool up, bool finite) {
  if (x.is_nan()) {
    return 0xff;
  }
  if (x.is_infinite()) {
    return finite ? 0xfe : 0xff;
  }
  if (x.is_zero()) {
    return 0;
  }
  const int top = x.exponent + bit_length(x.magnitude) - 1;
  const bool exact = (x.magnitude & (x.magnitude - 1)) == 0;
  const int code = top + 127 + (up && !exact ? 1 : 0);
  return code < 0 ? 0 : code > 254 ? (finite ? 0xfe : 0xff) : static_cast<u64>(code);
}

void add_powers(std::vector<Form>& forms) {
  for (const bool up : {false, true}) {
    for (const bool finite : {false, true}) {
      for (const bool from_pair : {false, true}) {
        Form form;
        form.opcode = std::string("cvt.") + (up ? "rp" : "rz") + (finite ? ".satfinite" : "") + ".ue8m0x2." +
                      (from_pair ? "bf16x2" : "f32");
        form.inputs = {from_pair ? "every16" : "cut_f32"};
        form.outputs = {2};
        form.before =
            from_pair
                ? std::string(both_halves) + "and.b32 t, t, 0x7fff7fff; "
                : "and.b32 t, $a, 0x7fffffff; mul.lo.u32 g4, $a, 0x9e3779b1; and.b32 g4, g4, 0x7fffffff; ";
        form.operands = from_pair ? "$d, t" : "$d, t, g4";
        form.reference = [=](const Inputs& in) {
          const Format& format = from_pair ? bf16_format : f32_format;
          const u64 second = from_pair ? second_half(in[0]) : second_single(in[0]);
          const auto element = [&](u64 bits) {
            return power_of_two(decode(format, bits & format.magnitude_mask()), up, finite);
          };
          return Outputs{from_pair ? element(second) << 8 | element(in[0])
                                   : element(in[0]) << 8 | element(second)};
        };
        forms.push_back(form);
      }
    }
  }
  Form form;
  form.opcode = "cvt.rn.bf16x2.ue8m0x2";
  form.inputs = {"every16"};
  form.outputs = {4};
  form.reference = [](const Inputs& in) {
    const auto element = [](u64 code) {
      return code == 0xff
                 ? bf16_format.nan()
                 : encode(bf16_format, Number{Number::Kind::finite, false, 1, static_cast<int>(code) - 127},
                          Mode::rn);
    };
    return Outputs{element(in[0] >> 8) << 16 | element(in[0] & 0xffU)};
  };
  forms.push_back(form);
}

void add_unpacking(std::vector<Form>& forms) {
  for (const Narrow& from : {e4m3x2, e5m2x2, e2m3x2, e3m2x2, e2m1x2}) {
    for (const bool relu : {false, true}) {
      Form form;
      form.opcode = std::string("cvt.rn") + (relu ? ".relu" : "") + ".f16x2." + from.name;
      form.inputs = {"every16"};
      form.outputs = {4};
      if (from.bits == 4) {
        form.before = "{ .reg .b8 x, y; mov.b16 {x, y}, $a; ";
        form.operands = "$d, x";
        form.after = " }";
      }
      form.reference = [=](const Inputs& in) {
        const u64 mask = (u64{1} << from.bits) - 1;
        const auto element = [&](u64 bits) {
          return packed_element(f16_format, decode(from.format, bits & mask), Mode::rn, relu, false);
        };
        return Outputs{element(in[0] >> from.bits) << 16 | element(in[0])};
      };
      forms.push_back(form);
    }
  }
}

void add_integer_packing(std::vector<Form>& forms) {
  for (const Integer& to : {u16_integer, s16_integer, u8_integer, s8_integer}) {
    const bool bytes = to.bits == 8;
    Form form;
    form.opcode = std::string("cvt.pack.sat.") + to.name + ".s32" + (bytes ? ".b32" : "");
    form.inputs.assign(bytes ? 3 : 2, "s32");
    form.outputs = {4};
    form.reference = [=](const Inputs& in) {
      const u64 mask = (u64{1} << to.bits) - 1;
      const u64 pair = (to.clamped(s32_integer.value(in[0])) & mask) << to.bits |
                       (to.clamped(s32_integer.value(in[1])) & mask);
      return Outputs{bytes ? in[2] << 16 | pair : pair};
    };
    forms.push_back(form);
  }
}

}  // namespace

std::vector<Form> narrow_convert_forms() {
  std::vector<Form> forms;
  add_float_packing(forms);
  add_powers(forms);
  add_unpacking(forms);
  add_integer_packing(forms);
  return forms;
}

}  // namespace kerncast::conformance
