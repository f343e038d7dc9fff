#include <functional>

#include "tests/simulator/conformance/form.hpp"
#include "tests/simulator/conformance/integer_reference.hpp"

namespace kerncast::conformance {

namespace {

using Binary = std::function<s128(const Integer&, s128, s128)>;

void add_binary(std::vector<Form>& forms, const std::string& base, const Integer& type, const Binary& f) {
  Form form;
  form.opcode = base + "." + type.name;
  form.inputs = {type.name, type.name};
  form.outputs = {type.bits / 8};
  form.reference = [type, f](const Inputs& in) {
    return Outputs{static_cast<u64>(f(type, type.value(in[0]), type.value(in[1])))};
  };
  forms.push_back(form);
}

/// The ISA leaves division by zero open.
Form without_zero_divisor(Form form) {
  form.accepts = [reference = form.reference, bytes = form.outputs[0], divisor = u64_integer](
                     const Inputs& in, const Outputs& got) {
    const u64 mask = bytes == 8 ? ~u64{0} : (u64{1} << (8 * bytes)) - 1;
    return divisor.value(in[1]) == 0 || (reference(in)[0] & mask) == got[0];
  };
  return form;
}

void add_divisions(std::vector<Form>& forms, const Integer& type) {
  std::vector<Form> divisions;
  const auto guarded = [](s128 (*f)(s128, s128)) {
    return [f](const Integer&, s128 a, s128 b) { return b == 0 ? s128{0} : f(a, b); };
  };
  add_binary(divisions, "div", type, guarded([](s128 a, s128 b) { return a / b; }));
  add_binary(divisions, "rem", type, guarded([](s128 a, s128 b) { return a % b; }));
  for (const Form& form : divisions) {
    forms.push_back(without_zero_divisor(form));
  }
}

void add_unary(std::vector<Form>& forms, const std::string& base, const Integer& type, s128 (*f)(s128)) {
  Form form;
  form.opcode = base + "." + type.name;
  form.inputs = {type.name};
  form.outputs = {type.bits / 8};
  form.reference = [type, f](const Inputs& in) { return Outputs{static_cast<u64>(f(type.value(in[0])))}; };
  forms.push_back(form);
}

void add_halves(std::vector<Form>& forms, const std::string& opcode, const Integer& half, const Binary& f) {
  Form form;
  form.opcode = opcode;
  form.inputs = {"u16x2", "u16x2"};
  form.outputs = {4};
  form.constants = false;
  form.reference = [half, f](const Inputs& in) {
    u64 result = 0;
    for (unsigned shift = 0; shift < 32; shift += 16) {
      const auto part = static_cast<u64>(f(half, half.value(in[0] >> shift), half.value(in[1] >> shift)));
      result |= (part & 0xffffU) << shift;
    }
    return Outputs{result};
  };
  forms.push_back(form);
}

s128 least_of(const Integer&, s128 a, s128 b) {
  return a < b ? a : b;
}
s128 most_of(const Integer&, s128 a, s128 b) {
  return a > b ? a : b;
}
s128 relu(s128 x) {
  return x < 0 ? 0 : x;
}

/// add, sub and mad with a carry that goes in and out: the carry comes from a predicate and is read back.
void add_carries(std::vector<Form>& forms, const Integer& type) {
  struct Kind {
    const char* base;
    bool takes;
    bool gives;
    int what;  ///< 0 add, 1 sub, 2 mad.lo, 3 mad.hi
  };
  static constexpr std::array<Kind, 12> kinds{{{"add.cc", false, true, 0},
                                               {"addc", true, false, 0},
                                               {"addc.cc", true, true, 0},
                                               {"sub.cc", false, true, 1},
                                               {"subc", true, false, 1},
                                               {"subc.cc", true, true, 1},
                                               {"mad.lo.cc", false, true, 2},
                                               {"madc.lo", true, false, 2},
                                               {"madc.lo.cc", true, true, 2},
                                               {"mad.hi.cc", false, true, 3},
                                               {"madc.hi", true, false, 3},
                                               {"madc.hi.cc", true, true, 3}}};
  for (const Kind& kind : kinds) {
    const bool multiplies = kind.what >= 2;
    Form form;
    form.opcode = std::string(kind.base) + "." + type.name;
    form.inputs = multiplies ? std::vector<std::string>{type.name, type.name, type.name, "pred"}
                             : std::vector<std::string>{type.name, type.name, "pred"};
    form.operands = multiplies ? "$d, $a, $b, $c" : "$d, $a, $b";
    form.before =
        std::string("selp.u32 t, 1, 0, ") + (multiplies ? "$e" : "$c") + "; add.cc.u32 t, t, 0xffffffff; ";
    form.after = " $Gaddc.u32 $f, 0, 0;";
    form.outputs = {type.bits / 8, 4};
    form.reference = [type, kind, multiplies](const Inputs& in) {
      const u128 mask = (u128{1} << type.bits) - 1;
      const u64 in_flag = in[multiplies ? 3 : 2];
      // A subtraction sets the flag if it does not borrow. The ISA says only that the flag holds the borrow,
      // but the compiler's 128-bit division mixes it with additions in this way.
      const u64 carry = !kind.takes ? 0 : kind.what == 1 ? 1 - in_flag : in_flag;
      const auto raw = [&](std::size_t i) { return u128{in[i]} & mask; };
      u128 x = raw(0);
      u128 y = raw(1);
      if (multiplies) {
        const u128 whole = static_cast<u128>(type.value(in[0])) * static_cast<u128>(type.value(in[1]));
        x = (kind.what == 2 ? whole : whole >> type.bits) & mask;
        y = raw(2);
      }
      const u128 result = kind.what == 1 ? x - y - carry : x + y + carry;
      const bool out = kind.what == 1 ? x >= y + carry : result > mask;
      return Outputs{static_cast<u64>(result & mask), kind.gives ? static_cast<u64>(out ? 1 : 0) : in_flag};
    };
    forms.push_back(form);
  }
}

void add_byte_differences(std::vector<Form>& forms) {
  for (const bool adds : {false, true}) {
    Form form;
    form.opcode = std::string("vabsdiff4.u32.u32.u32") + (adds ? ".add" : "");
    form.inputs = {"bytes", "bytes", "u32"};
    form.outputs = {4};
    form.constants = false;
    form.reference = [adds](const Inputs& in) {
      u64 packed = 0;
      u64 sum = in[2];
      for (unsigned shift = 0; shift < 32; shift += 8) {
        const s128 apart = u8_integer.value(in[0] >> shift) - u8_integer.value(in[1] >> shift);
        const auto distance = static_cast<u64>(apart < 0 ? -apart : apart);
        packed |= distance << shift;
        sum += distance;
      }
      return Outputs{adds ? sum : packed};
    };
    forms.push_back(form);
  }
}

}  // namespace

std::vector<Form> integer_forms() {
  std::vector<Form> forms;
  const Binary add = [](const Integer&, s128 a, s128 b) { return a + b; };
  const Binary subtract = [](const Integer&, s128 a, s128 b) { return a - b; };
  for (const Integer& type : integers) {
    add_binary(forms, "add", type, add);
    add_binary(forms, "sub", type, subtract);
    add_binary(forms, "min", type, least_of);
    add_binary(forms, "max", type, most_of);
    add_divisions(forms, type);
    if (type.is_signed) {
      add_unary(forms, "neg", type, [](s128 a) { return -a; });
      add_unary(forms, "abs", type, [](s128 a) { return a < 0 ? -a : a; });
    }
    if (type.bits >= 32) {
      add_carries(forms, type);
    }
    Form sad;
    sad.opcode = std::string("sad.") + type.name;
    sad.inputs = {type.name, type.name, type.name};
    sad.outputs = {type.bits / 8};
    sad.reference = [type](const Inputs& in) {
      const s128 apart = type.value(in[0]) - type.value(in[1]);
      return Outputs{static_cast<u64>(type.value(in[2]) + (apart < 0 ? -apart : apart))};
    };
    forms.push_back(sad);
  }
  const Binary clamped_sum = [](const Integer& t, s128 a, s128 b) {
    return s128{static_cast<s64>(t.clamped(a + b))};
  };
  const Binary clamped_difference = [](const Integer& t, s128 a, s128 b) {
    return s128{static_cast<s64>(t.clamped(a - b))};
  };
  add_binary(forms, "add.sat", s32_integer, clamped_sum);
  add_binary(forms, "sub.sat", s32_integer, clamped_difference);
  add_binary(forms, "min.relu", s32_integer,
             [](const Integer& t, s128 a, s128 b) { return relu(least_of(t, a, b)); });
  add_binary(forms, "max.relu", s32_integer,
             [](const Integer& t, s128 a, s128 b) { return relu(most_of(t, a, b)); });
  for (const Integer& half : {u16_integer, s16_integer}) {
    const std::string name = std::string(half.name) + "x2";
    add_halves(forms, "add." + name, half, add);
    add_halves(forms, "min." + name, half, least_of);
    add_halves(forms, "max." + name, half, most_of);
  }
  add_halves(forms, "min.relu.s16x2", s16_integer,
             [](const Integer& t, s128 a, s128 b) { return relu(least_of(t, a, b)); });
  add_halves(forms, "max.relu.s16x2", s16_integer,
             [](const Integer& t, s128 a, s128 b) { return relu(most_of(t, a, b)); });
  add_byte_differences(forms);
  return forms;
}

std::vector<Form> multiply_forms() {
  std::vector<Form> forms;
  const auto add = [&](const std::string& opcode, const Integer& type, std::vector<std::string> inputs,
                       unsigned bytes, std::function<s128(s128, s128, u64)> f) {
    Form form;
    form.opcode = opcode + "." + type.name;
    form.inputs = std::move(inputs);
    form.outputs = {bytes};
    form.reference = [type, f = std::move(f)](const Inputs& in) {
      return Outputs{static_cast<u64>(f(type.value(in[0]), type.value(in[1]), in[2]))};
    };
    forms.push_back(form);
  };
  for (const Integer& type : integers) {
    const std::vector<std::string> two{type.name, type.name};
    const std::vector<std::string> three{type.name, type.name, type.name};
    const unsigned bytes = type.bits / 8;
    // Products of unsigned 64-bit values fill all 128 bits, so the halves are cut as unsigned ones.
    const auto high = [type](s128 a, s128 b) {
      return static_cast<s128>(static_cast<u128>(a) * static_cast<u128>(b) >> type.bits);
    };
    add("mul.lo", type, two, bytes,
        [](s128 a, s128 b, u64) { return static_cast<s128>(static_cast<u128>(a) * static_cast<u128>(b)); });
    add("mul.hi", type, two, bytes, [high](s128 a, s128 b, u64) { return high(a, b); });
    add("mad.lo", type, three, bytes, [](s128 a, s128 b, u64 c) {
      return static_cast<s128>(static_cast<u128>(a) * static_cast<u128>(b) + c);
    });
    add("mad.hi", type, three, bytes,
        [high](s128 a, s128 b, u64 c) { return static_cast<s128>(static_cast<u128>(high(a, b)) + c); });
    if (type.bits < 64) {
      const std::string doubled = (type.is_signed ? "s" : "u") + std::to_string(2 * type.bits);
      add("mul.wide", type, two, 2 * bytes, [](s128 a, s128 b, u64) { return a * b; });
      add("mad.wide", type, {type.name, type.name, doubled}, 2 * bytes,
          [](s128 a, s128 b, u64 c) { return a * b + s128{c}; });
    }
  }
  add("mad.hi.sat", s32_integer, {"s32", "s32", "s32"}, 4, [](s128 a, s128 b, u64 c) {
    return s128{static_cast<s64>(s32_integer.clamped((a * b >> 32) + s32_integer.value(c)))};
  });
  for (const Integer& type : {u32_integer, s32_integer}) {
    const Integer narrow{type.name, 24, type.is_signed};
    const std::vector<std::string> two{type.name, type.name};
    const std::vector<std::string> three{type.name, type.name, type.name};
    const auto whole = [narrow](s128 a, s128 b) {
      return narrow.value(static_cast<u64>(a)) * narrow.value(static_cast<u64>(b));
    };
    add("mul24.lo", type, two, 4, [whole](s128 a, s128 b, u64) { return whole(a, b); });
    add("mul24.hi", type, two, 4, [whole](s128 a, s128 b, u64) { return whole(a, b) >> 16; });
    add("mad24.lo", type, three, 4, [whole](s128 a, s128 b, u64 c) { return whole(a, b) + s128{c}; });
    add("mad24.hi", type, three, 4, [whole](s128 a, s128 b, u64 c) { return (whole(a, b) >> 16) + s128{c}; });
    if (type.is_signed) {
      add("mad24.hi.sat", type, three, 4, [whole](s128 a, s128 b, u64 c) {
        return s128{static_cast<s64>(s32_integer.clamped((whole(a, b) >> 16) + s32_integer.value(c)))};
      });
    }
  }
  for (const Integer& a_type : {u32_integer, s32_integer}) {
    for (const Integer& b_type : {u32_integer, s32_integer}) {
      const std::string types = std::string(".") + a_type.name + "." + b_type.name;
      const Integer a_byte = a_type.is_signed ? s8_integer : u8_integer;
      const Integer b_byte = b_type.is_signed ? s8_integer : u8_integer;
      const Integer a_half = a_type.is_signed ? s16_integer : u16_integer;
      Form form;
      form.opcode = "dp4a" + types;
      form.inputs = {"bytes", "bytes", "u32"};
      form.outputs = {4};
      form.reference = [a_byte, b_byte](const Inputs& in) {
        s128 sum = s128{in[2]};
        for (unsigned shift = 0; shift < 32; shift += 8) {
          sum += a_byte.value(in[0] >> shift) * b_byte.value(in[1] >> shift);
        }
        return Outputs{static_cast<u64>(sum)};
      };
      forms.push_back(form);
      for (const bool upper : {false, true}) {
        form.opcode = std::string(upper ? "dp2a.hi" : "dp2a.lo") + types;
        form.reference = [a_half, b_byte, upper](const Inputs& in) {
          const u64 b = upper ? in[1] >> 16 : in[1];
          const s128 sum = s128{in[2]} + a_half.value(in[0]) * b_byte.value(b) +
                           a_half.value(in[0] >> 16) * b_byte.value(b >> 8);
          return Outputs{static_cast<u64>(sum)};
        };
        forms.push_back(form);
      }
    }
  }
  return forms;
}

}  // namespace kerncast::conformance
