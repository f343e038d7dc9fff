#include "runtime/simulator/ptx/module/requirements.hpp"

#include <fmt/format.h>

#include <array>
#include <unordered_map>
#include <vector>

#include "runtime/simulator/ptx/modifiers.hpp"

// The targets and versions that brought forms of instructions, as NVIDIA's assembler checks them. What an
// opcode alone does not show, such as operands, is checked where the instruction is decoded.
namespace kerncast::simulator {

namespace {

using Targets = Requirement::Targets;

struct Rule {
  std::string_view instructions;
  /// Every word stands in the opcode: a|b is one of two, !a that it does not, $a that it is the last.
  std::string_view words;
  Requirement needed;
};

constexpr std::string_view near_priorities =
    "L1::evict_normal|L1::evict_last|L1::evict_first|L1::no_allocate|L1::evict_unchanged";

constexpr std::array all_rules{
    // Arithmetic.
    Rule{"add sub mul fma", "f16|f16x2", {53, 42}},
    Rule{"add sub mul", "bf16|bf16x2", {90, 78}},
    Rule{"fma", "bf16|bf16x2", {80, 70}},
    Rule{"fma", "relu", {80, 70}},
    Rule{"add sub mul fma", "f32x2", {100, 86}},
    Rule{"add sub fma", "f32 f16|bf16", {100, 86}},
    Rule{"add min max", "u16x2|s16x2", {90, 80}},
    Rule{"min max", "relu", {90, 80}},
    Rule{"min max", "f16|f16x2|bf16|bf16x2|NaN", {80, 70}},
    Rule{"min max", "xorsign", {86, 72}},
    Rule{"abs", "f16|f16x2", {53, 65}},
    Rule{"neg", "f16|f16x2", {53, 60}},
    Rule{"abs neg", "bf16|bf16x2", {80, 70}},
    Rule{"add sub mad addc subc madc", "cc u64|s64", {0, 43}},
    Rule{"rsqrt", "ftz f64", {0, 40}},
    Rule{"ex2", "f16|f16x2", {75, 70}},
    Rule{"ex2 tanh", "bf16|bf16x2", {90, 78}},
    Rule{"tanh", "", {75, 70}},
    Rule{"dp4a dp2a", "", {61, 50}},
    // Bits.
    Rule{"bmsk szext", "", {70, 76}},
    Rule{"shf", "", {32, 31}},
    Rule{"lop3", "", {50, 43}},
    Rule{"lop3", "and|or", {70, 82}},
    Rule{"fns", "", {30, 60}},
    // Comparisons.
    Rule{"set setp", "f16|f16x2", {53, 42}},
    Rule{"set", "$f16|f16x2 u16|s16|u32|s32", {53, 65}},
    Rule{"set setp", "bf16|bf16x2", {90, 78}},
    // Conversions.
    Rule{"cvt", "relu|bf16|bf16x2|f16x2|tf32", {80, 70}},
    Rule{"cvt", "bf16 !f32", {90, 78}},
    Rule{"cvt", "f32 $bf16", {80, 71}},
    Rule{"cvt", "ftz $bf16", {90, 78}},
    Rule{"cvt", "tf32 rn|rz", {90, 78}},
    Rule{"cvt", "satfinite f32 f16|f16x2|bf16|bf16x2|tf32", {70, 81}},
    Rule{"cvt", "tf32 rn|rz satfinite", {100, 86}},
    Rule{"cvt", "e4m3x2|e5m2x2", {89, 78}},
    Rule{"cvt", "e2m1x2|e2m3x2|e3m2x2|ue8m0x2", {100, 86, Targets::specific}},
    Rule{"cvt", "pack", {72, 65}},
    Rule{"cvta isspacep", "param|param::entry", {70, 77}},
    Rule{"cvta isspacep", "const", {0, 31}},
    // Memory.
    Rule{"*", "shared::cluster", {90, 78}},
    Rule{"ld st atom red cvta isspacep mbarrier ldmatrix stmatrix", "shared::cta", {0, 78}},
    Rule{"*", "param::entry|param::func", {0, 83}},
    Rule{"ld st atom red fence mbarrier", "cluster", {90, 78}},
    Rule{"ld st atom red", "weak|relaxed|acquire|release|acq_rel", {70, 60}},
    Rule{"ld st", "mmio", {70, 82}},
    Rule{"ld st atom red cp", "L2::cache_hint", {80, 74}},
    Rule{"ld cp", "L2::64B|L2::128B|L2::256B", {75, 74}},
    Rule{"ld", "L2::256B", {80, 74}},
    Rule{"ld st", near_priorities, {70, 74}},
    Rule{"ld st", "v8", {100, 88}},
    Rule{"ld st", "v4 b64|u64|s64|f64", {100, 88}},
    Rule{"ld st mov atom", "b128", {70, 83}},
    Rule{"ld st atom", "b128 sys", {70, 84}},
    Rule{"ld", "nc", {32, 31}},
    Rule{"atom red", "cta|gpu|sys", {60, 50}},
    Rule{"atom red", "f64", {60, 50}},
    Rule{"atom red", "min|max|and|or|xor u64|s64|b64", {32, 31}},
    Rule{"atom red", "f16x2", {60, 62}},
    Rule{"atom red", "f16", {70, 63}},
    Rule{"atom red", "bf16|bf16x2", {90, 78}},
    Rule{"atom red", "v2|v4|v8", {90, 81}},
    Rule{"atom", "cas b16", {70, 63}},
    Rule{"atom", "b128", {90, 83}},
    Rule{"prefetch", "L2::evict_last|L2::evict_normal", {80, 74}},
    Rule{"prefetch", "tensormap", {90, 80}},
    Rule{"applypriority discard createpolicy", "", {80, 74}},
    Rule{"alloca stacksave stackrestore", "", {52, 73}},
    // Asynchronous copies and their barriers.
    Rule{"cp", "", {80, 70}},
    Rule{"cp", "mbarrier shared::cta", {80, 78}},
    Rule{"cp", "bulk", {90, 80}},
    Rule{"cp", "bulk shared::cta global mbarrier::complete_tx::bytes", {90, 86}},
    Rule{"mbarrier", "", {80, 70}},
    Rule{"mbarrier", "test_wait parity", {80, 71}},
    Rule{"mbarrier", "try_wait", {90, 78}},
    Rule{"mbarrier", "expect_tx|complete_tx", {90, 80}},
    Rule{"mbarrier", "acquire|release", {80, 80}},
    Rule{"mbarrier", "shared::cluster", {90, 80}},
    Rule{"mbarrier", "arrive|arrive_drop|test_wait|try_wait relaxed", {90, 86}},
    // Control.
    Rule{"brx shfl vote barrier", "", {30, 60}},
    Rule{"bar", "warp", {30, 60}},
    Rule{"bar barrier", "cta", {30, 78}},
    Rule{"match", "", {70, 60}},
    Rule{"activemask", "", {30, 62}},
    Rule{"redux", "", {80, 70}},
    Rule{"redux", "f32", {100, 86, Targets::family}},
    Rule{"elect", "", {90, 80}},
    Rule{"nanosleep", "", {70, 62}},
    Rule{"griddepcontrol", "", {90, 78}},
    Rule{"mapa getctarank", "", {90, 78}},
    Rule{"barrier", "cluster", {90, 78}},
    Rule{"setmaxnreg", "", {90, 80, Targets::specific}},
    // Fences.
    Rule{"fence", "", {70, 60}},
    Rule{"fence", "alias", {70, 75}},
    Rule{"membar", "alias", {60, 75}},
    Rule{"fence", "async", {90, 80}},
    Rule{"fence", "mbarrier_init", {90, 80}},
    Rule{"fence", "sync_restrict::shared::cta|sync_restrict::shared::cluster", {90, 86}},
    Rule{"fence", "async::generic", {90, 83}},
    Rule{"fence", "tensormap::generic", {90, 83}},
    // Matrices.
    Rule{"ldmatrix", "", {75, 65}},
    Rule{"stmatrix", "", {90, 78}},
    Rule{"movmatrix", "", {75, 78}},
    Rule{"mma", "", {75, 65}},
    Rule{"mma", "m16n8k4|m16n8k16|m16n8k32|bf16|tf32", {80, 70}},
    Rule{"mma", "e4m3|e5m2", {89, 84}},
    Rule{"mma", "e4m3|e5m2 m16n8k16", {89, 87}},
    Rule{"mma", "e4m3|e5m2 f16", {89, 87}},
    Rule{"wgmma", "", {90, 80, Targets::only}},
    Rule{"mma", "kind::f8f6f4", {100, 86, Targets::specific}},
};

/// Takes the next part of `list`, up to a blank or bar.
std::string_view take_part(std::string_view& list, char separator) {
  const std::size_t end = list.find(separator);
  const std::string_view part = list.substr(0, end);
  list.remove_prefix(end == std::string_view::npos ? list.size() : end + 1);
  return part;
}

bool applies(const Rule& rule, const Modifiers& mods) {
  for (std::string_view words = rule.words; !words.empty();) {
    std::string_view choices = take_part(words, ' ');
    const bool absent = choices.starts_with('!');
    const bool last = choices.starts_with('$');
    choices.remove_prefix(absent || last ? 1 : 0);
    bool found = false;
    while (!found && !choices.empty()) {
      const std::string_view word = take_part(choices, '|');
      found = last ? mods.last() == word : mods.has(word);
    }
    if (found == absent) {
      return false;
    }
  }
  return true;
}

/// The rules by instruction; "*" has those that hold for all.
const std::unordered_map<std::string_view, std::vector<const Rule*>>& rules() {
  static const std::unordered_map<std::string_view, std::vector<const Rule*>> index = [] {
    std::unordered_map<std::string_view, std::vector<const Rule*>> built;
    for (const Rule& rule : all_rules) {
      for (std::string_view names = rule.instructions; !names.empty();) {
        built[take_part(names, ' ')].push_back(&rule);
      }
    }
    return built;
  }();
  return index;
}

}  // namespace

std::string lacking(const Requirement& needed, const ModuleTarget& target) {
  const bool new_enough = target.sm >= needed.sm;
  switch (needed.targets) {
    case Targets::all:
      if (!new_enough) {
        return fmt::format("needs .target sm_{} or higher, and the module's is {}", needed.sm, target.name);
      }
      break;
    case Targets::specific:
      if (!new_enough || target.suffix == 0) {
        return fmt::format("needs a .target such as sm_{}a, and the module's is {}", needed.sm, target.name);
      }
      break;
    case Targets::only:
      if (target.sm != needed.sm || target.suffix != 'a') {
        return fmt::format("needs .target sm_{}a, and the module's is {}", needed.sm, target.name);
      }
      break;
    case Targets::family:
      if (!new_enough || target.suffix == 0 || target.sm / 10 != needed.sm / 10) {
        return fmt::format(
            "needs .target sm_{0}a, sm_{0}f or another of their family, and the module's is {1}", needed.sm,
            target.name);
      }
      break;
  }
  if (target.version < needed.version) {
    return fmt::format("needs .version {}.{} or later, and the module's is {}", needed.version / 10,
                       needed.version % 10, target.version_text);
  }
  return "";
}

std::string lacking(const Modifiers& mods, const ModuleTarget& target) {
  for (const std::string_view key : {mods.base(), std::string_view("*")}) {
    const auto found = rules().find(key);
    if (found == rules().end()) {
      continue;
    }
    for (const Rule* rule : found->second) {
      if (applies(*rule, mods)) {
        if (std::string missing = lacking(rule->needed, target); !missing.empty()) {
          return missing;
        }
      }
    }
  }
  return "";
}

std::optional<int> version_of_target(int sm, char suffix) {
  struct Known {
    int sm;
    int plain;
    int specific;  ///< with suffix a; 0: there is none
    int family;    ///< with suffix f; 0: there is none
  };
  static constexpr std::array<Known, 25> targets{{
      {30, 30, 0, 0},    {32, 40, 0, 0},    {35, 31, 0, 0},    {37, 41, 0, 0},    {50, 40, 0, 0},
      {52, 41, 0, 0},    {53, 42, 0, 0},    {60, 50, 0, 0},    {61, 50, 0, 0},    {62, 50, 0, 0},
      {70, 60, 0, 0},    {72, 61, 0, 0},    {75, 63, 0, 0},    {80, 70, 0, 0},    {86, 71, 0, 0},
      {87, 74, 0, 0},    {88, 73, 0, 0},    {89, 78, 0, 0},    {90, 78, 80, 0},   {100, 86, 86, 88},
      {101, 86, 86, 88}, {103, 88, 88, 88}, {110, 90, 90, 90}, {120, 87, 87, 88}, {121, 88, 88, 88},
  }};
  for (const Known& known : targets) {
    if (known.sm == sm) {
      const int version = suffix == 'a' ? known.specific : suffix == 'f' ? known.family : known.plain;
      return version == 0 ? std::nullopt : std::optional(version);
    }
  }
  return 0;
}

}  // namespace kerncast::simulator
