#include "tests/simulator/conformance/form.hpp"
#include "tests/simulator/conformance/form_target.hpp"
#include "tests/simulator/conformance/integer_reference.hpp"

// set, setp, selp and slct.
namespace kerncast::conformance {

namespace {

struct Comparison {
  const char* name;
  bool less;
  bool equal;
  bool greater;
  bool unordered;

  /// The result for an order of -1, 0 or 1, or 2 if the operands are unordered.
  [[nodiscard]] bool holds(int order) const {
    return order == 2 ? unordered : order < 0 ? less : order == 0 ? equal : greater;
  }
};

constexpr std::array<Comparison, 6> signed_comparisons{{{"eq", false, true, false, false},
                                                        {"ne", true, false, true, false},
                                                        {"lt", true, false, false, false},
                                                        {"le", true, true, false, false},
                                                        {"gt", false, false, true, false},
                                                        {"ge", false, true, true, false}}};
constexpr std::array<Comparison, 4> unsigned_comparisons{{{"lo", true, false, false, false},
                                                          {"ls", true, true, false, false},
                                                          {"hi", false, false, true, false},
                                                          {"hs", false, true, true, false}}};
constexpr std::array<Comparison, 8> unordered_comparisons{{{"equ", false, true, false, true},
                                                           {"neu", true, false, true, true},
                                                           {"ltu", true, false, false, true},
                                                           {"leu", true, true, false, true},
                                                           {"gtu", false, false, true, true},
                                                           {"geu", false, true, true, true},
                                                           {"num", true, true, true, false},
                                                           {"nan", false, false, false, true}}};

/// A type that can be compared, how, and the order of two of its values.
struct Comparable {
  std::string name;
  std::vector<Comparison> comparisons;
  bool has_ftz = false;
  std::function<int(u64, u64, bool ftz)> order;
};

int order_of(const Format& format, u64 a, u64 b, bool ftz) {
  return compare(decode(format, ftz ? format.flush(a) : a), decode(format, ftz ? format.flush(b) : b));
}

std::vector<Comparable> comparables() {
  std::vector<Comparable> all;
  const std::vector<Comparison> ordered(signed_comparisons.begin(), signed_comparisons.end());
  for (const Integer& type : integers) {
    Comparable entry;
    entry.name = type.name;
    entry.comparisons = ordered;
    if (!type.is_signed) {
      entry.comparisons.insert(entry.comparisons.end(), unsigned_comparisons.begin(),
                               unsigned_comparisons.end());
    }
    entry.order = [type](u64 a, u64 b, bool) {
      const s128 x = type.value(a);
      const s128 y = type.value(b);
      return x < y ? -1 : x == y ? 0 : 1;
    };
    all.push_back(entry);
    if (!type.is_signed) {
      entry.name[0] = 'b';
      entry.comparisons.assign(signed_comparisons.begin(), signed_comparisons.begin() + 2);
      all.push_back(entry);
    }
  }
  struct Float {
    const char* name;
    Format format;
    bool has_ftz;
  };
  for (const Float& type : {Float{"f16", f16_format, true}, Float{"bf16", bf16_format, false},
                            Float{"f32", f32_format, true}, Float{"f64", f64_format, false}}) {
    Comparable entry;
    entry.name = type.name;
    entry.comparisons = ordered;
    entry.comparisons.insert(entry.comparisons.end(), unordered_comparisons.begin(),
                             unordered_comparisons.end());
    entry.has_ftz = type.has_ftz;
    entry.order = [format = type.format](u64 a, u64 b, bool ftz) { return order_of(format, a, b, ftz); };
    all.push_back(entry);
  }
  return all;
}

constexpr std::array<const char*, 4> combinations{"", ".and", ".or", ".xor"};

bool combined(std::size_t how, bool result, bool q) {
  return how == 1 ? result && q : how == 2 ? result || q : how == 3 ? result != q : result;
}

std::string ftz_text(bool ftz) {
  return ftz ? ".ftz" : "";
}

/// setp with two results, the second of the negated comparison, or for halves with one.
void add_setp(std::vector<Form>& forms, const Comparable& type, const Comparison& comparison, std::size_t how,
              bool ftz) {
  const bool inverted = how != 0 && (how + static_cast<std::size_t>(*comparison.name)) % 2 == 0;
  Form form;
  form.opcode = std::string("setp.") + comparison.name + combinations[how] + ftz_text(ftz) + "." + type.name;
  form.inputs = {type.name, type.name};
  const bool half = type.name == "f16" || type.name == "bf16";
  form.operands = half ? "$d, $a, $b" : "$d|$f, $a, $b";
  form.outputs.assign(half ? 1 : 2, 0);
  form.constants = how == 0;
  if (how != 0) {
    form.inputs.emplace_back("pred");
    form.operands += inverted ? ", !$c" : ", $c";
  }
  form.reference = [comparison, how, ftz, inverted, order = type.order](const Inputs& in) {
    const bool result = comparison.holds(order(in[0], in[1], ftz));
    const bool q = (in[2] != 0) != inverted;
    return Outputs{u64{combined(how, result, q)}, u64{combined(how, !result, q)}};
  };
  forms.push_back(form);
}

u64 true_value(const std::string& type) {
  return type == "f32" ? 0x3f800000 : type == "f16" ? 0x3c00 : type == "bf16" ? 0x3f80 : ~u64{0};
}

void add_set(std::vector<Form>& forms, const std::string& result, const Comparable& type,
             const Comparison& comparison, std::size_t how, bool ftz) {
  Form form;
  form.opcode = std::string("set.") + comparison.name + combinations[how] + ftz_text(ftz) + "." + result +
                "." + type.name;
  form.inputs = {type.name, type.name};
  form.operands = "$d, $a, $b";
  form.outputs = {domain(result).bytes};
  form.constants = false;
  // If the result is converted, NVIDIA's assembler 13.0 makes instructions that ignore the guard.
  form.guards = !runs_on_driver();
  if (how != 0) {
    form.inputs.emplace_back("pred");
    form.operands += ", $c";
  }
  form.reference = [comparison, how, ftz, order = type.order, yes = true_value(result)](const Inputs& in) {
    return Outputs{combined(how, comparison.holds(order(in[0], in[1], ftz)), in[2] != 0) ? yes : 0};
  };
  forms.push_back(form);
}

void add_comparisons(std::vector<Form>& forms) {
  for (const Comparable& type : comparables()) {
    const std::vector<std::string> results =
        type.name == "f16"    ? std::vector<std::string>{"u32", "s32", "u16", "s16", "f16", "bf16"}
        : type.name == "bf16" ? std::vector<std::string>{"u32", "s32", "u16", "s16", "bf16"}
                              : std::vector<std::string>{"u32", "s32", "f32", "f16", "bf16"};
    for (const bool ftz : {false, true}) {
      if (ftz && !type.has_ftz) {
        continue;
      }
      for (const Comparison& comparison : type.comparisons) {
        for (std::size_t how = 0; how < combinations.size(); ++how) {
          add_setp(forms, type, comparison, how, ftz);
          for (const std::string& result : results) {
            if (ftz && result == "bf16") {
              continue;
            }
            add_set(forms, result, type, comparison, how, ftz);
          }
        }
      }
    }
  }
}

void add_pair_comparisons(std::vector<Form>& forms) {
  std::vector<Comparison> comparisons(signed_comparisons.begin(), signed_comparisons.end());
  comparisons.insert(comparisons.end(), unordered_comparisons.begin(), unordered_comparisons.end());
  for (const bool brain : {false, true}) {
    const Format format = brain ? bf16_format : f16_format;
    const std::string type = brain ? "bf16x2" : "f16x2";
    for (const Comparison& comparison : comparisons) {
      for (const bool ftz : {false, true}) {
        if (ftz && brain) {
          continue;
        }
        const auto holds = [=](const Inputs& in, unsigned shift) {
          return comparison.holds(order_of(format, in[0] >> shift & 0xffffU, in[1] >> shift & 0xffffU, ftz));
        };
        for (std::size_t how = 0; how < combinations.size(); ++how) {
          Form form;
          form.opcode =
              std::string("setp.") + comparison.name + combinations[how] + ftz_text(ftz) + "." + type;
          form.inputs = {type, type};
          form.operands = "$d|$f, $a, $b";
          form.outputs = {0, 0};
          if (how != 0) {
            form.inputs.emplace_back("pred");
            form.operands += ", $c";
          }
          form.reference = [=](const Inputs& in) {
            return Outputs{u64{combined(how, holds(in, 0), in[2] != 0)},
                           u64{combined(how, holds(in, 16), in[2] != 0)}};
          };
          forms.push_back(form);
          for (const std::string result : {type.c_str(), "u32", "s32"}) {
            form.opcode = std::string("set.") + comparison.name + combinations[how] + ftz_text(ftz) + "." +
                          result + "." + type;
            form.operands = how == 0 ? "$d, $a, $b" : "$d, $a, $b, $c";
            form.outputs = {4};
            const u64 yes = result == type ? true_value(brain ? "bf16" : "f16") : 0xffff;
            form.reference = [=](const Inputs& in) {
              return Outputs{(combined(how, holds(in, 0), in[2] != 0) ? yes : 0) |
                             (combined(how, holds(in, 16), in[2] != 0) ? yes << 16 : 0)};
            };
            forms.push_back(form);
          }
        }
      }
    }
  }
}

void add_selections(std::vector<Form>& forms) {
  for (const std::string type :
       {"b16", "b32", "b64", "u16", "u32", "u64", "s16", "s32", "s64", "f32", "f64"}) {
    for (const bool inverted : {false, true}) {
      Form form;
      form.opcode = "selp." + type;
      form.inputs = {type, type, "pred"};
      form.operands = inverted ? "$d, $a, $b, !$c" : "$d, $a, $b, $c";
      form.outputs = {domain(type).bytes};
      form.reference = [inverted](const Inputs& in) {
        return Outputs{(in[2] != 0) != inverted ? in[0] : in[1]};
      };
      forms.push_back(form);
    }
    for (const bool ftz : {false, true}) {
      Form form;
      form.opcode = "slct" + ftz_text(ftz) + "." + type + ".f32";
      form.inputs = {type, type, "f32"};
      form.operands = "$d, $a, $b, $c";
      form.outputs = {domain(type).bytes};
      form.reference = [ftz](const Inputs& in) {
        const int order = order_of(f32_format, in[2], 0, ftz);
        return Outputs{order == 0 || order == 1 ? in[0] : in[1]};
      };
      forms.push_back(form);
      if (!ftz) {
        form.opcode = "slct." + type + ".s32";
        form.inputs[2] = "s32";
        form.reference = [](const Inputs& in) {
          return Outputs{s32_integer.value(in[2]) >= 0 ? in[0] : in[1]};
        };
        forms.push_back(form);
      }
    }
  }
}

}  // namespace

std::vector<Form> compare_forms() {
  std::vector<Form> forms;
  add_comparisons(forms);
  add_pair_comparisons(forms);
  add_selections(forms);
  return forms;
}

}  // namespace kerncast::conformance
