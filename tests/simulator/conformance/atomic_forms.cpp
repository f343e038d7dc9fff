#include <fmt/format.h>

#include "tests/simulator/conformance/form.hpp"
#include "tests/simulator/conformance/integer_reference.hpp"

// atom and red: every thread works on memory of its own, which is read back.
namespace kerncast::conformance {

namespace {

using Step = std::function<u64(u64 old, u64 b, u64 c)>;

struct Place {
  const char* modifier;
  const char* store;
  const char* address;
};

constexpr std::array<Place, 6> places{{{".global", "global", "gcell"},
                                       {".shared", "shared", "scell"},
                                       {".shared::cta", "shared", "scell"},
                                       {"", "global", "gcell"},
                                       {"", "shared", "scell"},
                                       {".shared::cluster", "shared", "scell"}}};

/// Orders and scopes change nothing that one thread could see; each operation is tried with another one.
constexpr std::array<const char*, 12> orders{"",
                                             ".relaxed.gpu",
                                             ".acq_rel.cta",
                                             ".acquire.sys",
                                             ".release.gpu",
                                             ".relaxed.sys",
                                             ".relaxed.cta",
                                             ".acq_rel.sys",
                                             ".gpu",
                                             ".cta",
                                             ".relaxed.cluster",
                                             ".sys"};

bool red_allows(const std::string& order) {
  return order.find("acq") == std::string::npos;
}

/// The atomic whose operand of `bytes` is at $a in memory; `shared_step` where shared memory differs.
void add_atomic(std::vector<Form>& forms, const std::string& name, const std::string& type,
                const std::string& values, bool has_c, Nan nan, const Step& step, const Step& shared_step,
                bool reduces = true) {
  const unsigned bytes = domain(values).bytes;
  std::size_t turn = forms.size();
  for (const Place& place : places) {
    for (const bool returns : {true, false}) {
      if (!returns && !reduces) {
        continue;
      }
      std::string order = orders[turn++ % orders.size()];
      if (!returns && !red_allows(order)) {
        order = ".release.cta";
      }
      Form form;
      form.opcode = std::string(returns ? "atom" : "red") + order + place.modifier + name + "." + type;
      form.inputs.assign(has_c ? 3 : 2, values);
      form.outputs = returns ? std::vector<unsigned>{bytes, bytes} : std::vector<unsigned>{bytes};
      // Shared addresses are generic ones with the window added.
      const bool generic_shared = *place.modifier == 0 && place.address[0] == 's';
      form.before = fmt::format(
          "st.{}.b{} [{}], $a; {} ", place.store, 8 * bytes, place.address,
          generic_shared ? "cvta.shared.u64 at, scell;" : fmt::format("mov.u64 at, {};", place.address));
      form.operands = fmt::format("{}[at], $b{}", returns ? "$d, " : "", has_c ? ", $c" : "");
      form.after =
          fmt::format(" $Gld.{}.b{} {}, [{}];", place.store, 8 * bytes, returns ? "$f" : "$d", place.address);
      form.nan = nan;
      form.constants = domain(values).constant != nullptr;
      const Step& chosen = place.address[0] == 's' ? shared_step : step;
      form.reference = [=](const Inputs& in) {
        const u64 fresh = chosen(in[0], in[1], in[2]);
        return returns ? Outputs{in[0], fresh} : Outputs{fresh};
      };
      forms.push_back(form);
    }
  }
}

void add_integers(std::vector<Form>& forms) {
  const auto plain = [&](const std::string& name, const std::string& type, bool has_c, const Step& step,
                         bool reduces = true) {
    add_atomic(forms, name, type, type, has_c, Nan::exact, step, step, reduces);
  };
  for (const Integer& type : {u32_integer, s32_integer, u64_integer}) {
    plain(".add", type.name, false, [](u64 old, u64 b, u64) { return old + b; });
  }
  for (const Integer& type : {u32_integer, s32_integer, u64_integer, s64_integer}) {
    plain(".min", type.name, false,
          [type](u64 old, u64 b, u64) { return type.value(old) < type.value(b) ? old : b; });
    plain(".max", type.name, false,
          [type](u64 old, u64 b, u64) { return type.value(old) > type.value(b) ? old : b; });
  }
  plain(".inc", "u32", false, [](u64 old, u64 b, u64) { return old >= b ? 0 : old + 1; });
  plain(".dec", "u32", false, [](u64 old, u64 b, u64) { return old == 0 || old > b ? b : old - 1; });
  for (const char* type : {"b32", "b64"}) {
    plain(".and", type, false, [](u64 old, u64 b, u64) { return old & b; });
    plain(".or", type, false, [](u64 old, u64 b, u64) { return old | b; });
    plain(".xor", type, false, [](u64 old, u64 b, u64) { return old ^ b; });
    plain(".exch", type, false, [](u64, u64 b, u64) { return b; }, false);
  }
  for (const char* type : {"b16", "b32", "b64"}) {
    plain(".cas", type, true, [](u64 old, u64 b, u64 c) { return old == b ? c : old; }, false);
  }
}

u64 float_sum(const Format& format, u64 a, u64 b, bool ftz) {
  const u64 x = ftz ? format.flush(a) : a;
  const u64 y = ftz ? format.flush(b) : b;
  const u64 result = encode(format, sum(decode(format, x), decode(format, y), Mode::rn), Mode::rn);
  return ftz ? format.flush(result) : result;
}

void add_floats(std::vector<Form>& forms) {
  const auto step = [](const Format& format, bool ftz) {
    return [format, ftz](u64 old, u64 b, u64) { return float_sum(format, old, b, ftz); };
  };
  // On global memory subnormals are flushed, on shared memory they are kept.
  add_atomic(forms, ".add", "f32", "f32", false, Nan::exact, step(f32_format, true), step(f32_format, false));
  add_atomic(forms, ".add", "f64", "f64", false, Nan::any_f64, step(f64_format, false),
             step(f64_format, false));
  for (const bool brain : {false, true}) {
    const Format format = brain ? bf16_format : f16_format;
    const std::string type = brain ? "bf16" : "f16";
    add_atomic(forms, ".add.noftz", type, type, false, Nan::exact, step(format, false), step(format, false));
    const Step pair = [format](u64 old, u64 b, u64) {
      return float_sum(format, old & 0xffffU, b & 0xffffU, false) |
             float_sum(format, old >> 16, b >> 16, false) << 16;
    };
    add_atomic(forms, ".add.noftz", type + "x2", type + "x2", false, Nan::exact, pair, pair);
  }
}

u64 half_choice(const Format& f, u64 a, u64 b, bool greatest) {
  if (f.is_nan(a) || f.is_nan(b)) {
    return f.is_nan(a) && f.is_nan(b) ? f.nan() : f.is_nan(a) ? b : a;
  }
  const int order = compare(decode(f, a), decode(f, b));
  const bool a_first = order != 0 ? order < 0 : (a & f.sign()) != 0;
  return a_first != greatest ? a : b;
}

/// Names of `count` registers, as a vector operand.
std::string listed(const std::string& letter, unsigned count) {
  std::string text = "{";
  for (unsigned i = 0; i < count; ++i) {
    text += fmt::format("{}{}{}", i == 0 ? "" : ", ", letter, i);
  }
  return text + "}";
}

/// The registers of `total` bytes spread over elements of `bytes`, eight bytes to a move.
std::string moves(const std::string& letter, unsigned bytes, unsigned total,
                  const std::array<const char*, 2>& wholes, bool splits) {
  std::string text;
  for (unsigned at = 0; at < total; at += 8) {
    const unsigned whole = std::min(8U, total - at);
    std::string parts = "{";
    for (unsigned i = 0; i < whole / bytes; ++i) {
      parts += fmt::format("{}{}{}", i == 0 ? "" : ", ", letter, at / bytes + i);
    }
    parts += '}';
    if (whole == bytes) {
      parts = parts.substr(1, parts.size() - 2);
    }
    const char* name = wholes[at / 8];
    text += splits ? fmt::format("mov.b{} {}, {}; ", 8 * whole, parts, name)
                   : fmt::format("mov.b{} {}, {}; ", 8 * whole, name, parts);
  }
  return text;
}

void add_vector(std::vector<Form>& forms, const std::string& name, const std::string& type,
                const std::string& packed, const Format& format, unsigned count, unsigned element,
                unsigned bytes, int what) {
  // what: 0 add, 1 min, 2 max; f32 flushes, and 16-bit types do not.
  const unsigned total = count * bytes;
  const auto step = [=](u64 old, u64 b) {
    u64 result = 0;
    for (unsigned shift = 0; shift < 8 * std::min(total, 8U); shift += 8 * element) {
      const u64 mask = (u64{1} << (8 * element)) - 1;
      const u64 x = old >> shift & mask;
      const u64 y = b >> shift & mask;
      result |= (what == 0 ? float_sum(format, x, y, element == 4) : half_choice(format, x, y, what == 2))
                << shift;
    }
    return result;
  };
  const bool wide = total > 8;
  for (const bool returns : {true, false}) {
    for (const char* space : {".global", ""}) {
      Form form;
      form.opcode =
          std::string(returns ? "atom" : "red") + space + name + ".v" + std::to_string(count) + "." + type;
      form.inputs = wide ? std::vector<std::string>{packed, packed, packed, packed}
                         : std::vector<std::string>{packed, packed};
      const unsigned out = total < 8 ? total : 8;
      form.outputs = wide ? std::vector<unsigned>{8, 8} : std::vector<unsigned>{out};
      form.constants = false;
      form.guards = false;
      std::string text =
          fmt::format("{{ .reg .b{} x<8>, y<8>; st.global.b{} [gcell], $a; ", 8 * bytes, 8 * out);
      if (wide) {
        text += "st.global.b64 [gcell+8], $b; ";
      }
      text += moves("x", bytes, total, {wide ? "$c" : "$b", "$e"}, true);
      text += form.opcode + (returns ? " " + listed("y", count) + "," : "") + " [gcell], " +
              listed("x", count) + "; ";
      text += returns ? moves("y", bytes, total, {"$d", "$f"}, false)
                      : fmt::format("ld.global.b{} $d, [gcell]; {}", 8 * out,
                                    wide ? "ld.global.b64 $f, [gcell+8];" : "");
      form.text = text + "}";
      form.reference = [=](const Inputs& in) {
        if (returns) {
          return Outputs{in[0], in[1]};
        }
        return wide ? Outputs{step(in[0], in[2]), step(in[1], in[3])} : Outputs{step(in[0], in[1])};
      };
      forms.push_back(form);
    }
  }
}

void add_wide_exchanges(std::vector<Form>& forms) {
  for (const Place& place : places) {
    if (*place.modifier == 0 && place.address[0] == 's') {
      continue;
    }
    const std::string cell = place.address;
    Form form;
    form.opcode = std::string("atom") + place.modifier + ".exch.b128";
    form.inputs = {"b64", "b64"};
    form.outputs = {8, 8};
    form.constants = false;
    form.guards = false;
    const std::string begin =
        fmt::format("{{ .reg .b128 x, y, z; .reg .b64 u, v; st.{0}.b64 [{1}], $a; st.{0}.b64 [{1}+8], $b; ",
                    place.store, cell);
    const std::string end =
        fmt::format("ld.{0}.b64 $d, [{1}]; ld.{0}.b64 $f, [{1}+8]; }}", place.store, cell);
    // The old value, put back by a second exchange, must be there at the end.
    form.text = begin + "mov.b128 x, {$b, $a}; " + form.opcode + " y, [" + cell +
                "], x; mov.b128 {u, v}, y; " + "mov.b128 z, {v, u}; " + form.opcode + " y, [" + cell +
                "], z; mov.b128 {u, v}, y; xor.b64 u, u, $b; " + end;
    form.reference = [](const Inputs& in) { return Outputs{in[1], in[0]}; };
    forms.push_back(form);
    form.opcode = std::string("atom") + place.modifier + ".cas.b128";
    form.inputs = {"b64", "b64", "b64", "pred"};
    form.text = begin + "selp.b64 u, 0, 1, $e; shl.b64 u, u, 63; xor.b64 u, u, $b; mov.b128 x, {$a, u}; " +
                "not.b64 v, $c; mov.b128 z, {$c, v}; " + form.opcode + " y, [" + cell + "], x, z; " + end;
    form.reference = [](const Inputs& in) {
      return in[3] != 0 ? Outputs{in[2], ~in[2]} : Outputs{in[0], in[1]};
    };
    forms.push_back(form);
  }
}

}  // namespace

std::vector<Form> atomic_forms() {
  std::vector<Form> forms;
  add_integers(forms);
  add_floats(forms);
  add_wide_exchanges(forms);
  return forms;
}

std::vector<Form> atomic_vector_forms() {
  std::vector<Form> forms;
  for (const unsigned count : {2U, 4U}) {
    add_vector(forms, ".add", "f32", "f32x2", f32_format, count, 4, 4, 0);
  }
  static constexpr std::array<const char*, 3> names{".add.noftz", ".min.noftz", ".max.noftz"};
  for (const bool brain : {false, true}) {
    const Format format = brain ? bf16_format : f16_format;
    const std::string type = brain ? "bf16" : "f16";
    for (int what = 0; what < 3; ++what) {
      const std::string name = names[static_cast<std::size_t>(what)];
      for (const unsigned count : {2U, 4U, 8U}) {
        add_vector(forms, name, type, count == 2 ? type + "x2" : type + "x4", format, count, 2, 2, what);
      }
      for (const unsigned count : {2U, 4U}) {
        add_vector(forms, name, type + "x2", type + "x4", format, count, 2, 4, what);
      }
    }
  }
  return forms;
}

}  // namespace kerncast::conformance
