#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "runtime/simulator/machine/machine.hpp"
#include "runtime/simulator/machine/program.hpp"
#include "tests/simulator/conformance/run_conformance.hpp"

// Checks that every form that the decoder takes has a case. The decoder's vocabulary is read from its
// sources: the instructions from its table, the modifiers and types from every string literal of one word in
// a decoding unit. Each form with a case is then altered by one word: one word is added, or replaced by
// another. If the decoder takes the result, all its words must occur in cases of that instruction, and some
// case must run every handler that it picks. So a new instruction, modifier, type or handler fails here until
// it is tested, and so does a modifier that the decoder lets pass although no form has it.
namespace kerncast::conformance {

namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

/// String literals of one word.
std::set<std::string> words_of(const std::string& source) {
  std::set<std::string> words;
  for (std::size_t at = source.find('"'); at != std::string::npos;) {
    const std::size_t end = source.find('"', at + 1);
    if (end == std::string::npos) {
      break;
    }
    const std::string word = source.substr(at + 1, end - at - 1);
    if (!word.empty() && std::all_of(word.begin(), word.end(), [](unsigned char c) {
          return std::isalnum(c) != 0 || c == '_' || c == ':';
        })) {
      words.insert(word);
    }
    at = source.find('"', end + 1);
  }
  return words;
}

fs::path front_end() {
  return fs::path(KERNCAST_SIM_SOURCE_DIR) / "ptx";
}

/// Instructions of the decoder's table, without those it refuses.
std::set<std::string> decoded_instructions() {
  std::set<std::string> names;
  std::istringstream source(read(front_end() / "decode" / "instruction.cpp"));
  for (std::string line; std::getline(source, line);) {
    const std::size_t target = line.find("\", &decode_");
    if (target != std::string::npos) {
      const std::size_t start = line.find('"') + 1;
      names.insert(line.substr(start, target - start));
    }
  }
  return names;
}

std::set<std::string> vocabulary() {
  std::set<std::string> words = words_of(read(front_end() / "types.cpp"));
  words.merge(words_of(read(front_end() / "modifiers.cpp")));
  for (const fs::directory_entry& entry : fs::directory_iterator(front_end() / "decode")) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(".cpp") && name != "instruction.cpp" && name != "call.cpp") {
      words.merge(words_of(read(entry.path())));
    }
  }
  return words;
}

std::vector<std::string> parts_of(const std::string& opcode) {
  std::vector<std::string> parts;
  std::istringstream text(opcode);
  for (std::string part; std::getline(text, part, '.');) {
    parts.push_back(part);
  }
  return parts;
}

const std::set<std::string>& type_names() {
  static const std::set<std::string> names{
      "b8",     "b16",     "b32",   "b64",   "b128",  "u8",     "u16",    "u32",  "u64",  "s8",     "s16",
      "s32",    "s64",     "f16",   "f16x2", "bf16",  "bf16x2", "f32",    "f64",  "pred", "e4m3x2", "e5m2x2",
      "e2m1x2", "ue8m0x2", "f32x2", "u16x2", "s16x2", "e2m3x2", "e3m2x2", "e4m3", "e5m2", "tf32"};
  return names;
}

/// The identity of a form: the decoder takes modifiers in any order, but types by their places.
std::string key_of(const std::vector<std::string>& parts) {
  std::vector<std::string> words;
  std::string types;
  for (std::size_t i = 1; i < parts.size(); ++i) {
    if (type_names().contains(parts[i])) {
      types += "." + parts[i];
    } else {
      words.push_back(parts[i]);
    }
  }
  std::sort(words.begin(), words.end());
  std::string key = parts[0];
  for (const std::string& word : words) {
    key += "." + word;
  }
  return key + types;
}

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) {
    text += (text.empty() ? "" : ".") + part;
  }
  return text;
}

/// A form with a case, and the text of a kernel with it before and after the opcode.
struct Covered {
  std::vector<std::string> parts;
  std::string before;
  std::string after;
};

template <class F>
void collect(std::vector<Covered>& all, std::set<std::string>& keys, const std::vector<F>& forms, int sm) {
  for (const F& form : forms) {
    const std::vector<std::string> parts = parts_of(form.opcode);
    if (!keys.insert(key_of(parts)).second) {
      continue;
    }
    const std::string text = bare_text(form, sm);
    // If the opcode also serves to set the form up or to read it back, the form itself comes last.
    std::size_t at = text.rfind(form.opcode + " ");
    at = at == std::string::npos ? text.rfind(form.opcode + ";") : at;
    if (at != std::string::npos) {
      all.push_back({parts, text.substr(0, at), text.substr(at + form.opcode.size())});
    }
  }
}

struct Registry {
  std::vector<Covered> forms;
  std::set<std::string> keys;
};

const Registry& registry() {
  static const Registry all = [] {
    Registry r;
    for (const auto& forms :
         {integer_forms(), multiply_forms(), bit_forms(), compare_forms(), float_forms(), half_forms(),
          mixed_forms(), convert_forms(), narrow_convert_forms(), approximate_forms(), atomic_forms(),
          atomic_vector_forms(), load_forms(), store_forms(), async_forms(), control_forms()}) {
      collect(r.forms, r.keys, forms, 100);
    }
    for (const auto& forms :
         {warp_forms(), barrier_forms(), mma_forms(), matrix_move_forms(), special_forms()}) {
      collect(r.forms, r.keys, forms, 100);
    }
    return r;
  }();
  return all;
}

/// Orders, scopes, cache operators and hints: the decoder takes them with every access, and none changes what
/// one thread reads or writes.
const std::set<std::string> without_effect{
    "weak",    "cta",  "cluster", "gpu",   "sys",           "ca",       "cg",      "cs",      "lu",
    "cv",      "wb",   "wt",      "nc",    "unified",       "volatile", "relaxed", "acquire", "release",
    "acq_rel", "mmio", "uni",     "noftz", "L2::cache_hint"};

/// Instructions whose every form only hints or orders.
const std::set<std::string> hints{"prefetch",  "prefetchu",      "applypriority", "discard",
                                  "nanosleep", "griddepcontrol", "pmevent",       "setmaxnreg",
                                  "fence",     "membar",         "createpolicy"};

/// Words whose cases lie outside this suite: the parameters of calls (the tests of the stack and of compiled
/// kernels), and the memory of a cluster, which here is the block's own.
const std::map<std::string, std::set<std::string>> elsewhere{{"ld", {"param::func"}},
                                                             {"st", {"param", "param::entry", "param::func"}},
                                                             {"mbarrier", {"shared::cluster"}}};

/// Tells if the decoder takes the form with another opcode, and which executor functions it then picks.
bool decodes(const Covered& form, const std::vector<std::string>& parts, simulator::Memory& memory,
             std::set<simulator::Handler>& picked) {
  try {
    const auto module = simulator::Module::decode(form.before + joined(parts) + form.after, 100, memory, 0);
    for (const simulator::KernelInfo& kernel : module->kernels()) {
      if (!kernel.refusal.empty()) {
        return false;
      }
    }
    for (const simulator::Op& op : module->program().ops) {
      picked.insert(op.handler);
    }
    return true;
  } catch (const simulator::DecodeError&) {
    return false;
  }
}

}  // namespace

TEST_CASE("Every instruction the decoder takes has a conformance case") {
  std::set<std::string> covered;
  for (const Covered& form : registry().forms) {
    covered.insert(form.parts[0]);
  }
  // They end the kernel, which the tests of the executor's control flow look at.
  covered.insert({"trap", "brkpt"});
  // It takes four warps, and its cases are those of tests/simulator/exec/wgmma_test.cpp.
  covered.insert("wgmma");
  // The addresses of a cluster's blocks take several blocks: tests/simulator/exec/cluster_test.cpp.
  covered.insert({"mapa", "getctarank"});
  const std::set<std::string> decoded = decoded_instructions();
  CHECK(decoded.size() > 80);
  for (const std::string& name : decoded) {
    INFO(name);
    CHECK(covered.contains(name));
  }
}

TEST_CASE(
    "Every modifier the decoder takes occurs in a conformance case, and every executor function it picks") {
  std::map<std::string, std::vector<const Covered*>> by_instruction;
  std::map<std::string, std::set<std::string>> known;
  std::set<simulator::Handler> tested;
  simulator::Memory memory;
  for (const Covered& form : registry().forms) {
    by_instruction[form.parts[0]].push_back(&form);
    known[form.parts[0]].insert(form.parts.begin(), form.parts.end());
    INFO(joined(form.parts));
    CHECK(decodes(form, form.parts, memory, tested));
  }
  for (const auto& [name, words] : elsewhere) {
    known[name].insert(words.begin(), words.end());
  }
  std::set<std::string> uncovered;
  const auto look_at = [&](const Covered& form, const std::vector<std::string>& parts) {
    std::set<simulator::Handler> picked;
    if (registry().keys.contains(key_of(parts)) || !decodes(form, parts, memory, picked)) {
      return;
    }
    const std::set<std::string>& words = known[parts[0]];
    const bool known_words = std::all_of(parts.begin(), parts.end(),
                                         [&](const std::string& word) { return words.contains(word); });
    if (!known_words || !std::includes(tested.begin(), tested.end(), picked.begin(), picked.end())) {
      uncovered.insert(joined(parts));
    }
  };
  std::set<std::string> words = vocabulary();
  REQUIRE(words.size() > 150);
  for (const std::string& word : without_effect) {
    words.erase(word);
  }
  for (const auto& [name, forms] : by_instruction) {
    if (hints.contains(name)) {
      continue;
    }
    // For instructions whose forms are a full product, some of the forms reach all neighbours.
    const std::size_t step = 1 + forms.size() / 80;
    for (std::size_t i = 0; i < forms.size(); i += step) {
      const Covered& form = *forms[i];
      for (const std::string& word : words) {
        const bool is_type = type_names().contains(word);
        if (!is_type) {
          std::vector<std::string> parts = form.parts;
          parts.insert(parts.begin() + 1, word);
          look_at(form, parts);
        }
        for (std::size_t at = 1; at < form.parts.size(); ++at) {
          if (is_type == type_names().contains(form.parts[at])) {
            std::vector<std::string> parts = form.parts;
            parts[at] = word;
            look_at(form, parts);
          }
        }
      }
    }
  }
  for (const std::string& form : uncovered) {
    FAIL_CHECK(form);
  }
}

}  // namespace kerncast::conformance
