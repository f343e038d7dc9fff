#include <fmt/format.h>

#include <string_view>

#include "tests/simulator/conformance/form.hpp"
#include "tests/simulator/conformance/form_target.hpp"
#include "tests/simulator/conformance/integer_reference.hpp"

// ld, ldu and st of every space, width, vector and cache operator.
namespace kerncast::conformance {

namespace {

struct Place {
  const char* space;  ///< in the opcode
  const char* plain;  ///< space of the accesses that set up and read back
  const char* address;
  const char* prepare;  ///< makes the generic address
};

constexpr std::array<Place, 8> places{{{".global", "global", "gcell", "mov.u64 at, gcell; "},
                                       {".shared", "shared", "scell", "mov.u64 at, scell; "},
                                       {".shared::cta", "shared", "scell", "mov.u64 at, scell; "},
                                       {".shared::cluster", "shared", "scell", "mov.u64 at, scell; "},
                                       {".local", "local", "lcell", "mov.u64 at, lcell; "},
                                       {"", "global", "gcell", "mov.u64 at, gcell; "},
                                       {"", "shared", "scell", "cvta.shared.u64 at, scell; "},
                                       {"", "local", "lcell", "cvta.local.u64 at, lcell; "}}};

struct ElementType {
  const char* name;
  unsigned bytes;
  bool is_signed;
  bool only_own_size;  ///< floats take no wider register
};

constexpr std::array<ElementType, 14> types{{{"b8", 1, false, false},
                                             {"u8", 1, false, false},
                                             {"s8", 1, true, false},
                                             {"b16", 2, false, false},
                                             {"u16", 2, false, false},
                                             {"s16", 2, true, false},
                                             {"b32", 4, false, false},
                                             {"u32", 4, false, false},
                                             {"s32", 4, true, false},
                                             {"f32", 4, false, true},
                                             {"b64", 8, false, false},
                                             {"u64", 8, false, false},
                                             {"s64", 8, true, false},
                                             {"f64", 8, false, true}}};

std::string set_up(const Place& place, unsigned words) {
  static constexpr std::array<const char*, 4> word_names{"$a", "$b", "$c", "$e"};
  std::string text;
  for (unsigned i = 0; i < words; ++i) {
    text += fmt::format("st.{}.b64 [{}+{}], {}; ", place.plain, place.address, 8 * i, word_names[i]);
  }
  return text + place.prepare;
}

u64 extended(const ElementType& type, u64 raw) {
  if (type.bytes == 8) {
    return raw;
  }
  return static_cast<u64>(Integer{"", 8 * type.bytes, type.is_signed}.value(raw));
}

/// Loads of one value into a register of its size or a wider one, at an offset that it allows.
void add_scalar_load(std::vector<Form>& forms, const std::string& base, const std::string& modifiers,
                     const Place& place, const ElementType& type, unsigned target,
                     const std::string& hint = "") {
  const unsigned offset = type.bytes == 8 ? 8 : 8 + type.bytes;
  Form form;
  form.opcode = base + modifiers + "." + type.name;
  form.inputs = {"b64", "b64"};
  form.outputs = {target};
  form.constants = false;
  form.before = set_up(place, 2);
  form.operands = fmt::format("$d, [at+{}]{}", offset, hint);
  form.reference = [=](const Inputs& in) { return Outputs{extended(type, in[1] >> (8 * (offset - 8)))}; };
  forms.push_back(form);
}

void add_scalar_loads(std::vector<Form>& forms) {
  for (const Place& place : places) {
    for (const ElementType& type : types) {
      for (const unsigned target : {2U, 4U, 8U}) {
        if (target < type.bytes || (type.only_own_size && target != type.bytes)) {
          continue;
        }
        add_scalar_load(forms, "ld", place.space, place, type, target);
      }
    }
  }
}

/// Cache operators, orders and prefetch hints change no value; each is tried with every type.
void add_modified_loads(std::vector<Form>& forms) {
  const Place& global = places[0];
  const Place& shared = places[1];
  const Place& generic = places[5];
  for (const ElementType& type : types) {
    const unsigned target = type.bytes < 2 ? 4 : type.bytes;
    for (const char* modifiers : {".ca.global",
                                  ".cg.global",
                                  ".cs.global",
                                  ".lu.global",
                                  ".cv.global",
                                  ".global.nc",
                                  ".global.ca.nc",
                                  ".global.cg.nc",
                                  ".global.cs.nc",
                                  ".volatile.global",
                                  ".relaxed.gpu.global",
                                  ".relaxed.sys.global",
                                  ".acquire.gpu.global",
                                  ".acquire.cta.global",
                                  ".acquire.sys.global",
                                  ".relaxed.cluster.global",
                                  ".weak.global",
                                  ".global.L1::no_allocate",
                                  ".global.L1::evict_last",
                                  ".global.L1::evict_first",
                                  ".global.L1::evict_normal",
                                  ".global.L1::evict_unchanged",
                                  ".global.L2::64B",
                                  ".global.L2::128B",
                                  ".global.L2::256B",
                                  ".global.nc.L1::no_allocate.L2::256B",
                                  ".mmio.relaxed.sys.global",
                                  ".weak.global.ca",
                                  ".global.L1::no_allocate.L2::128B"}) {
      // A form's thread has just written what it reads, which a device's non-coherent path need not see.
      if (runs_on_driver() && std::string_view(modifiers).find(".nc") != std::string_view::npos) {
        continue;
      }
      add_scalar_load(forms, "ld", modifiers, global, type, target);
    }
    add_scalar_load(forms, "ldu", ".global", global, type, target);
    add_scalar_load(forms, "ldu", "", generic, type, target);
    for (const char* modifiers :
         {".volatile.shared", ".relaxed.cta.shared", ".acquire.cta.shared", ".weak.shared"}) {
      add_scalar_load(forms, "ld", modifiers, shared, type, target);
    }
    for (const char* modifiers :
         {".volatile", ".relaxed.gpu", ".acquire.gpu", ".weak", ".ca", ".cg", ".cv"}) {
      add_scalar_load(forms, "ld", modifiers, generic, type, target);
    }
    Place hinted = global;
    hinted.prepare = "createpolicy.fractional.L2::evict_last.b64 g8, 1.0; mov.u64 at, gcell; ";
    add_scalar_load(forms, "ld", ".global.L2::cache_hint", hinted, type, target, ", g8");
  }
}

struct Vector {
  unsigned count;
  unsigned bytes;
};

std::string listed(const char* letter, unsigned count) {
  std::string text = "{";
  for (unsigned i = 0; i < count; ++i) {
    text += fmt::format("{}{}{}", i == 0 ? "" : ", ", letter, i);
  }
  return text + "}";
}

/// Each element weighted by its own odd factor, so that none can be missing or out of place.
constexpr std::array<u64, 8> weights{1, 3, 5, 7, 11, 13, 17, 19};

void add_vector_access(std::vector<Form>& forms, const std::string& modifiers, const Place& place,
                       const ElementType& type, unsigned count, unsigned target, bool loads) {
  const unsigned total = count * type.bytes;
  const unsigned words = total <= 8 ? 1 : total / 8;
  Form form;
  form.opcode = std::string(loads ? "ld" : "st") + modifiers + ".v" + std::to_string(count) + "." + type.name;
  form.inputs.assign(words, "b64");
  form.outputs = {8};
  form.constants = false;
  form.guards = false;
  std::string text = fmt::format("{{ .reg .b{} x<8>; .reg .b64 y; ", 8 * target) + set_up(place, words);
  const std::string vector = listed("x", count);
  const auto sum_of_cells = [&] {
    std::string sums = "mov.b64 $d, 0; ";
    for (unsigned i = 0; i < words; ++i) {
      sums += fmt::format("ld.{}.b64 y, [{}+{}]; mad.lo.u64 $d, y, {}, $d; ", place.plain, place.address,
                          8 * i, weights[i]);
    }
    return sums;
  };
  if (loads) {
    text += form.opcode + " " + vector + ", [at]; mov.b64 $d, 0; ";
    for (unsigned i = 0; i < count; ++i) {
      // Widened without a sign, so that what the load left in the upper part of its register counts too.
      text += target == 8
                  ? fmt::format("mad.lo.u64 $d, x{}, {}, $d; ", i, weights[i])
                  : fmt::format("cvt.u64.u{} y, x{}; mad.lo.u64 $d, y, {}, $d; ", 8 * target, i, weights[i]);
    }
    form.reference = [=](const Inputs& in) {
      u64 sum = 0;
      for (unsigned i = 0; i < count; ++i) {
        const unsigned at = i * type.bytes;
        const u64 value = extended(type, in[at / 8] >> (8 * (at % 8)));
        sum += weights[i] * (target == 8 ? value : value & ((u64{1} << (8 * target)) - 1));
      }
      return Outputs{sum};
    };
  } else {
    for (unsigned i = 0; i < count; ++i) {
      text += fmt::format(
          "mov.b{} x{}, {:#x}; ", 8 * target, i,
          0x8182838485868788ULL * weights[i] & (target == 8 ? ~u64{0} : (u64{1} << (8 * target)) - 1));
    }
    text += form.opcode + " [at], " + vector + "; " + sum_of_cells();
    form.reference = [=](const Inputs& in) {
      std::array<u64, 4> cells{in[0], in[1], in[2], in[3]};
      for (unsigned i = 0; i < count; ++i) {
        const unsigned at = i * type.bytes;
        const u64 mask = type.bytes == 8 ? ~u64{0} : ((u64{1} << (8 * type.bytes)) - 1) << (8 * (at % 8));
        const u64 value = (0x8182838485868788ULL * weights[i]) << (8 * (at % 8));
        cells[at / 8] = (cells[at / 8] & ~mask) | (value & mask);
      }
      u64 sum = 0;
      for (unsigned i = 0; i < words; ++i) {
        sum += weights[i] * cells[i];
      }
      return Outputs{sum};
    };
  }
  form.text = text + "}";
  forms.push_back(form);
}

void add_vector_accesses(std::vector<Form>& forms, bool loads) {
  for (const Place& place : places) {
    for (const ElementType& type : types) {
      for (const unsigned count : {2U, 4U, 8U}) {
        const unsigned total = count * type.bytes;
        const bool widest = total == 32 && *place.space == '.' && place.space[1] == 'g' && type.bytes >= 4;
        if ((total > 16 && !widest) || (count == 8 && !widest)) {
          continue;
        }
        for (const unsigned target : {2U, 4U, 8U}) {
          if (target < type.bytes || (type.only_own_size && target != type.bytes)) {
            continue;
          }
          add_vector_access(forms, place.space, place, type, count, target, loads);
        }
      }
    }
  }
  const Place& global = places[0];
  for (const char* modifiers : {".global.L2::evict_last", ".global.L2::evict_first",
                                ".global.L2::evict_normal", ".global.L1::evict_last.L2::evict_last"}) {
    for (const ElementType& type : types) {
      if (type.bytes >= 4) {
        add_vector_access(forms, modifiers, global, type, 32 / type.bytes, type.bytes, loads);
      }
    }
  }
  for (const char* modifiers :
       loads ? std::vector<const char*>{".global.nc", ".volatile.global", ".relaxed.gpu.global",
                                        ".global.nc.L1::no_allocate", ".ca.global", ".cs.global"}
             : std::vector<const char*>{".volatile.global", ".relaxed.gpu.global", ".release.gpu.global",
                                        ".wt.global", ".cs.global", ".global.L1::no_allocate"}) {
    for (const ElementType& type : types) {
      for (const unsigned count : {2U, 4U}) {
        if (count * type.bytes <= 16) {
          add_vector_access(forms, modifiers, global, type, count, type.bytes < 2 ? 2 : type.bytes, loads);
        }
      }
    }
  }
}

void add_scalar_store(std::vector<Form>& forms, const std::string& modifiers, const Place& place,
                      const ElementType& type, unsigned source, const std::string& hint = "") {
  const unsigned offset = type.bytes == 8 ? 0 : type.bytes;
  Form form;
  form.opcode = "st" + modifiers + "." + type.name;
  form.inputs = {"b64", type.only_own_size ? std::string(type.name) : "b" + std::to_string(8 * source)};
  form.outputs = {8};
  form.before = set_up(place, 1);
  form.operands = fmt::format("[at+{}], $b{}", offset, hint);
  form.after = fmt::format(" $Gld.{}.b64 $d, [{}];", place.plain, place.address);
  form.constants = hint.empty();
  form.reference = [=](const Inputs& in) {
    const u64 mask = type.bytes == 8 ? ~u64{0} : ((u64{1} << (8 * type.bytes)) - 1) << (8 * offset);
    return Outputs{(in[0] & ~mask) | (in[1] << (8 * offset) & mask)};
  };
  forms.push_back(form);
}

/// 128-bit registers, constants and kernel parameters.
void add_other_loads(std::vector<Form>& forms) {
  for (const Place& place : places) {
    Form form;
    form.opcode = std::string("ld") + place.space + ".b128";
    form.inputs = {"b64", "b64"};
    form.outputs = {8, 8};
    form.constants = false;
    form.guards = false;
    form.text = "{ .reg .b128 x; " + set_up(place, 2) + form.opcode + " x, [at]; mov.b128 {$d, $f}, x; }";
    form.reference = [](const Inputs& in) { return Outputs{in[0], in[1]}; };
    forms.push_back(form);
    form.opcode = std::string("st") + place.space + ".b128";
    form.text = "{ .reg .b128 x; " + set_up(place, 2) + "mov.b128 x, {$b, $a}; " + form.opcode +
                " [at], x; " +
                fmt::format("ld.{0}.b64 $d, [{1}]; ld.{0}.b64 $f, [{1}+8]; }}", place.plain, place.address);
    form.reference = [](const Inputs& in) { return Outputs{in[1], in[0]}; };
    forms.push_back(form);
  }
  // The module's constant table and parameter block hold fixed bytes that start with 0x81.
  for (const char* space : {"const", "param", "param::entry", ""}) {
    for (const ElementType& type : types) {
      for (const unsigned target : {2U, 4U, 8U}) {
        if (target < type.bytes || (type.only_own_size && target != type.bytes)) {
          continue;
        }
        const bool parameter = *space == 'p';
        Form form;
        form.opcode = std::string("ld") + (*space == 0 ? "" : ".") + space + "." + type.name;
        form.inputs = {"b16"};
        form.outputs = {target};
        form.before = *space == 0 ? "mov.u64 at, table; cvta.const.u64 at, at; " : "";
        form.operands = fmt::format("$d, [{}+{}]",
                                    parameter     ? "ptable"
                                    : *space == 0 ? "at"
                                                  : "table",
                                    type.bytes);
        form.reference = [type](const Inputs&) {
          u64 raw = 0;
          for (unsigned i = 0; i < type.bytes; ++i) {
            raw |= u64{0x81 + type.bytes + i} << (8 * i);
          }
          return Outputs{extended(type, raw)};
        };
        forms.push_back(form);
      }
    }
  }
}

}  // namespace

std::vector<Form> load_forms() {
  std::vector<Form> forms;
  add_scalar_loads(forms);
  add_modified_loads(forms);
  add_vector_accesses(forms, true);
  add_other_loads(forms);
  return forms;
}

std::vector<Form> store_forms() {
  std::vector<Form> forms;
  for (const Place& place : places) {
    for (const ElementType& type : types) {
      for (const unsigned source : {2U, 4U, 8U}) {
        if (source >= type.bytes && !(type.only_own_size && source != type.bytes)) {
          add_scalar_store(forms, place.space, place, type, source);
        }
      }
    }
  }
  for (const ElementType& type : types) {
    const unsigned source = type.bytes < 2 ? 4 : type.bytes;
    for (const char* modifiers :
         {".wb.global", ".cg.global", ".cs.global", ".wt.global", ".volatile.global", ".relaxed.gpu.global",
          ".relaxed.sys.global", ".release.gpu.global", ".release.cta.global", ".release.sys.global",
          ".weak.global", ".global.L1::no_allocate", ".global.L1::evict_last", ".global.L1::evict_first",
          ".global.L1::evict_normal", ".global.L1::evict_unchanged", ".mmio.relaxed.sys.global"}) {
      add_scalar_store(forms, modifiers, places[0], type, source);
    }
    for (const char* modifiers : {".volatile.shared", ".relaxed.cta.shared", ".release.cta.shared"}) {
      add_scalar_store(forms, modifiers, places[1], type, source);
    }
    Place hinted = places[0];
    hinted.prepare = "createpolicy.fractional.L2::evict_first.b64 g8; mov.u64 at, gcell; ";
    add_scalar_store(forms, ".global.L2::cache_hint", hinted, type, source, ", g8");
  }
  add_vector_accesses(forms, false);
  return forms;
}

}  // namespace kerncast::conformance
