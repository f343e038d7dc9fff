#include "tests/simulator/conformance/form.hpp"
#include "tests/simulator/conformance/integer_reference.hpp"

namespace kerncast::conformance {

namespace {

using Reference = std::function<u64(const Inputs&)>;

void add(std::vector<Form>& forms, const std::string& opcode, std::vector<std::string> inputs, unsigned bytes,
         Reference f) {
  Form form;
  form.opcode = opcode;
  form.inputs = std::move(inputs);
  form.outputs = {bytes};
  form.reference = [f = std::move(f)](const Inputs& in) { return Outputs{f(in)}; };
  forms.push_back(form);
}

bool bit(u64 x, unsigned at) {
  return (x >> at & 1U) != 0;
}

void add_logic(std::vector<Form>& forms) {
  for (const std::string type : {"b16", "b32", "b64", "pred"}) {
    const unsigned bytes = domain(type).bytes;
    add(forms, "and." + type, {type, type}, bytes, [](const Inputs& in) { return in[0] & in[1]; });
    add(forms, "or." + type, {type, type}, bytes, [](const Inputs& in) { return in[0] | in[1]; });
    add(forms, "xor." + type, {type, type}, bytes, [](const Inputs& in) { return in[0] ^ in[1]; });
    add(forms, "not." + type, {type}, bytes, [](const Inputs& in) { return ~in[0]; });
    if (bytes != 0) {
      add(forms, "cnot." + type, {type}, bytes, [](const Inputs& in) { return u64{in[0] == 0}; });
    } else {
      for (const char* base : {"and", "or", "xor"}) {
        Form form;
        form.opcode = std::string(base) + ".pred";
        form.operands = "$d, !$a, !$b";
        form.inputs = {type, type};
        form.outputs = {0};
        form.reference = [base](const Inputs& in) {
          const u64 a = in[0] ^ 1U;
          const u64 b = in[1] ^ 1U;
          return Outputs{*base == 'a' ? a & b : *base == 'o' ? a | b : a ^ b};
        };
        forms.push_back(form);
      }
    }
  }
}

void add_shifts(std::vector<Form>& forms) {
  for (const unsigned bits : {16U, 32U, 64U}) {
    const std::string width = std::to_string(bits);
    const u64 mask = bits == 64 ? ~u64{0} : (u64{1} << bits) - 1;
    add(forms, "shl.b" + width, {"b" + width, "amount"}, bits / 8,
        [bits](const Inputs& in) { return in[1] >= bits ? 0 : in[0] << in[1]; });
    for (const std::string type : {"b", "u"}) {
      add(forms, "shr." + type + width, {type + width, "amount"}, bits / 8,
          [bits, mask](const Inputs& in) { return in[1] >= bits ? 0 : (in[0] & mask) >> in[1]; });
    }
    const Integer type{"", bits, true};
    add(forms, "shr.s" + width, {"s" + width, "amount"}, bits / 8, [type](const Inputs& in) {
      return static_cast<u64>(type.value(in[0]) >> (in[1] >= type.bits ? type.bits - 1 : in[1]));
    });
    // Constant distances of more than 16 bits are cut by the assembler; the hardware test has them.
    for (std::size_t last = 1; last <= 4; ++last) {
      forms[forms.size() - last].constants = bits != 16;
    }
  }
  for (const bool left : {true, false}) {
    for (const bool wrap : {true, false}) {
      add(forms, std::string("shf.") + (left ? "l" : "r") + (wrap ? ".wrap" : ".clamp") + ".b32",
          {"b32", "b32", "amount"}, 4, [left, wrap](const Inputs& in) {
            const u64 by = wrap ? in[2] & 31U : in[2] > 32 ? 32 : in[2];
            const u64 both = in[1] << 32 | in[0];
            return left ? by == 32 ? in[0] : both << by >> 32 : both >> by;
          });
    }
  }
}

void add_fields(std::vector<Form>& forms) {
  for (const Integer& type : {u32_integer, s32_integer, u64_integer, s64_integer}) {
    const unsigned top = type.bits - 1;
    add(forms, std::string("bfe.") + type.name, {type.name, "field", "field"}, type.bits / 8,
        [type, top](const Inputs& in) {
          const auto at = static_cast<unsigned>(in[1] & 0xffU);
          const auto length = static_cast<unsigned>(in[2] & 0xffU);
          const bool fill = type.is_signed && length != 0 && bit(in[0], std::min(at + length - 1, top));
          u64 result = 0;
          for (unsigned i = 0; i <= top; ++i) {
            const bool set = i < length && at + i <= top ? bit(in[0], at + i) : fill;
            result |= u64{set} << i;
          }
          return result;
        });
  }
  for (const unsigned bits : {32U, 64U}) {
    const std::string type = "b" + std::to_string(bits);
    add(forms, "bfi." + type, {type, type, "field", "field"}, bits / 8, [bits](const Inputs& in) {
      const auto at = static_cast<unsigned>(in[2] & 0xffU);
      const auto length = static_cast<unsigned>(in[3] & 0xffU);
      u64 result = in[1];
      for (unsigned i = 0; i < length && at + i < bits; ++i) {
        result = (result & ~(u64{1} << (at + i))) | u64{bit(in[0], i)} << (at + i);
      }
      return result;
    });
  }
  for (const bool wrap : {true, false}) {
    const std::string mode = wrap ? ".wrap" : ".clamp";
    add(forms, "bmsk" + mode + ".b32", {"amount", "amount"}, 4, [wrap](const Inputs& in) {
      // Ones from bit a on, b of them; neither counts past bit 31.
      const u64 at = wrap ? in[0] & 31U : in[0];
      const u64 length = wrap ? in[1] & 31U : in[1];
      u64 result = 0;
      for (u64 i = 0; i < 32; ++i) {
        result |= u64{i >= at && i - at < length} << i;
      }
      return result;
    });
    for (const Integer& type : {u32_integer, s32_integer}) {
      add(forms, "szext" + mode + "." + type.name, {type.name, "amount"}, 4, [wrap, type](const Inputs& in) {
        const u64 length = wrap ? in[1] & 31U : in[1];
        if (length == 0 || length >= 32) {
          return length == 0 ? u64{0} : in[0];
        }
        return static_cast<u64>(Integer{"", static_cast<unsigned>(length), type.is_signed}.value(in[0]));
      });
    }
  }
}

void add_counts(std::vector<Form>& forms) {
  for (const unsigned bits : {32U, 64U}) {
    const std::string type = "b" + std::to_string(bits);
    add(forms, "popc." + type, {type}, 4, [bits](const Inputs& in) {
      u64 count = 0;
      for (unsigned i = 0; i < bits; ++i) {
        count += u64{bit(in[0], i)};
      }
      return count;
    });
    add(forms, "clz." + type, {type}, 4, [bits](const Inputs& in) {
      u64 count = 0;
      while (count < bits && !bit(in[0], bits - 1 - static_cast<unsigned>(count))) {
        ++count;
      }
      return count;
    });
    add(forms, "brev." + type, {type}, bits / 8, [bits](const Inputs& in) {
      u64 result = 0;
      for (unsigned i = 0; i < bits; ++i) {
        result |= u64{bit(in[0], i)} << (bits - 1 - i);
      }
      return result;
    });
  }
  for (const Integer& type : {u32_integer, s32_integer, u64_integer, s64_integer}) {
    for (const bool amount : {false, true}) {
      add(forms, std::string("bfind.") + (amount ? "shiftamt." : "") + type.name, {type.name}, 4,
          [type, amount](const Inputs& in) {
            const s128 value = type.value(in[0]);
            const auto magnitude = static_cast<u64>(value < 0 ? ~value : value);
            for (unsigned i = type.bits; i-- > 0;) {
              if (bit(magnitude, i)) {
                return u64{amount ? type.bits - 1 - i : i};
              }
            }
            return u64{0xffffffff};
          });
    }
  }
  add(forms, "fns.b32", {"b32", "position", "s32"}, 4, [](const Inputs& in) {
    const s128 offset = s32_integer.value(in[2]);
    if (offset == 0) {
      return bit(in[0], static_cast<unsigned>(in[1])) ? in[1] : u64{0xffffffff};
    }
    if (in[2] == 0x80000000U) {
      return u64{0};  // as a device answers; the ISA does not say
    }
    s128 left = offset < 0 ? -offset : offset;
    for (int at = static_cast<int>(in[1]); at >= 0 && at < 32; at += offset > 0 ? 1 : -1) {
      if (bit(in[0], static_cast<unsigned>(at)) && --left == 0) {
        return static_cast<u64>(at);
      }
    }
    return u64{0xffffffff};
  });
}

u64 looked_up(const Inputs& in, unsigned table) {
  u64 result = 0;
  for (unsigned i = 0; i < 32; ++i) {
    const unsigned row = (bit(in[0], i) ? 4U : 0U) | (bit(in[1], i) ? 2U : 0U) | (bit(in[2], i) ? 1U : 0U);
    result |= u64{bit(table, row)} << i;
  }
  return result;
}

void add_lookups(std::vector<Form>& forms) {
  for (unsigned table = 0; table < 256; ++table) {
    Form form;
    form.opcode = "lop3.b32";
    form.operands = "$d, $a, $b, $c, " + std::to_string(table);
    form.inputs = {"b32", "b32", "b32"};
    form.outputs = {4};
    form.constants = table % 16 == 6;
    form.reference = [table](const Inputs& in) { return Outputs{looked_up(in, table)}; };
    forms.push_back(form);
    if (table % 15 != 0) {
      continue;
    }
    for (const bool either : {false, true}) {
      form.opcode = either ? "lop3.or.b32" : "lop3.and.b32";
      const bool inverted = table % 2 != 0;
      form.operands = "$d|$f, $a, $b, $c, " + std::to_string(table) + (inverted ? ", !$e" : ", $e");
      form.inputs = {"b32", "b32", "b32", "pred"};
      form.outputs = {4, 0};
      form.constants = false;
      form.reference = [table, either, inverted](const Inputs& in) {
        const u64 result = looked_up(in, table);
        const bool q = (in[3] != 0) != inverted;
        return Outputs{result, u64{either ? result != 0 || q : result != 0 && q}};
      };
      forms.push_back(form);
    }
  }
}

void add_permutes(std::vector<Form>& forms) {
  add(forms, "prmt.b32", {"bytes", "bytes", "b32"}, 4, [](const Inputs& in) {
    const u64 both = in[1] << 32 | in[0];
    u64 result = 0;
    for (unsigned i = 0; i < 4; ++i) {
      const u64 selector = in[2] >> (4 * i) & 0xfU;
      const u64 byte = both >> (8 * (selector & 7U)) & 0xffU;
      result |= ((selector & 8U) != 0 ? (byte & 0x80U) != 0 ? u64{0xff} : u64{0} : byte) << (8 * i);
    }
    return result;
  });
  struct Mode {
    const char* name;
    std::array<const char*, 4> bytes;  ///< from the highest to the lowest, by the selector
  };
  static constexpr std::array<Mode, 6> modes{{{"f4e", {"3210", "4321", "5432", "6543"}},
                                              {"b4e", {"5670", "6701", "7012", "0123"}},
                                              {"rc8", {"0000", "1111", "2222", "3333"}},
                                              {"ecl", {"3210", "3211", "3222", "3333"}},
                                              {"ecr", {"0000", "1110", "2210", "3210"}},
                                              {"rc16", {"1010", "3232", "1010", "3232"}}}};
  for (const Mode& mode : modes) {
    add(forms, std::string("prmt.b32.") + mode.name, {"bytes", "bytes", "b32"}, 4, [mode](const Inputs& in) {
      const u64 both = in[1] << 32 | in[0];
      u64 result = 0;
      for (unsigned i = 0; i < 4; ++i) {
        const auto from = static_cast<unsigned>(mode.bytes[in[2] & 3U][i] - '0');
        result = result << 8 | (both >> (8 * from) & 0xffU);
      }
      return result;
    });
  }
}

void add_moves(std::vector<Form>& forms) {
  for (const std::string type :
       {"b16", "u16", "s16", "b32", "u32", "s32", "b64", "u64", "s64", "f32", "f64"}) {
    add(forms, "mov." + type, {type}, domain(type).bytes, [](const Inputs& in) { return in[0]; });
  }
  add(forms, "mov.pred", {"pred"}, 0, [](const Inputs& in) { return in[0]; });
  struct Pack {
    unsigned bits;
    std::size_t parts;
  };
  for (const Pack pack : {Pack{32, 2}, Pack{64, 2}, Pack{64, 4}}) {
    const unsigned bits = pack.bits / static_cast<unsigned>(pack.parts);
    const std::string element = "b" + std::to_string(bits);
    Form form;
    form.opcode = "mov.b" + std::to_string(pack.bits);
    form.operands = pack.parts == 2 ? "$d, {$a, $b}" : "$d, {$a, $b, $c, $e}";
    form.inputs.assign(pack.parts, element);
    form.outputs = {pack.bits / 8};
    form.constants = false;
    form.reference = [bits, count = pack.parts](const Inputs& in) {
      u64 result = 0;
      for (std::size_t i = 0; i < count; ++i) {
        result |= in[i] << (i * bits);
      }
      return Outputs{result};
    };
    forms.push_back(form);
    if (pack.parts == 2) {
      form.operands = "{$d, $f}, $a";
      form.inputs = {"b" + std::to_string(pack.bits)};
      form.outputs = {bits / 8, bits / 8};
      form.reference = [bits](const Inputs& in) { return Outputs{in[0], in[0] >> bits}; };
      forms.push_back(form);
      // The sink, and 128 bits there and back.
      form.operands = "{_, $d}, $a";
      form.outputs = {bits / 8};
      form.reference = [bits](const Inputs& in) { return Outputs{in[0] >> bits}; };
      forms.push_back(form);
    }
  }
  Form quad;
  quad.opcode = "mov.b64";
  quad.text = "{ .reg .b16 x, y, z, w; mov.b64 {x, y, z, w}, $a; mov.b64 $d, {w, z, y, x}; }";
  quad.inputs = {"b64"};
  quad.outputs = {8};
  quad.guards = false;
  quad.reference = [](const Inputs& in) {
    return Outputs{in[0] >> 48 | (in[0] >> 32 & 0xffffU) << 16 | (in[0] >> 16 & 0xffffU) << 32 | in[0] << 48};
  };
  forms.push_back(quad);
  Form wide;
  wide.opcode = "mov.b128";
  wide.text = "{ .reg .b128 x, y; mov.b128 x, {$a, $b}; mov.b128 y, x; mov.b128 {$d, $f}, y; }";
  wide.inputs = {"b64", "b64"};
  wide.outputs = {8, 8};
  wide.guards = false;
  wide.constants = false;
  wide.reference = [](const Inputs& in) { return Outputs{in[0], in[1]}; };
  forms.push_back(wide);
}

}  // namespace

std::vector<Form> bit_forms() {
  std::vector<Form> forms;
  add_logic(forms);
  add_shifts(forms);
  add_fields(forms);
  add_counts(forms);
  add_lookups(forms);
  add_permutes(forms);
  add_moves(forms);
  return forms;
}

}  // namespace kerncast::conformance
