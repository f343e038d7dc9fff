#include "tools/commands/cache/key_difference.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "runtime/util/split.hpp"

namespace kerncast::tools {
namespace {

constexpr std::string_view template_label = "header:";

struct GeneratedSource {
  /// The values of the configuration, by name.
  std::map<std::string, std::string> values;
  /// The rest of the text.
  std::string rest;
};

std::string value_of(const KeyFieldList& fields, std::string_view label) {
  const auto found =
      std::find_if(fields.begin(), fields.end(), [&](const auto& field) { return field.first == label; });
  return found == fields.end() ? std::string() : found->second;
}

/// Reads a generated source. Values are the lines "  using x_dtype = ::kerncast::bf16;", "  static constexpr
/// bool flag = true;" and, for integers, "    hidden = 7168,". A choice has its name in a comment at the end
/// of the line.
GeneratedSource read_source(const std::string& text) {
  GeneratedSource source;
  for (const std::string& line : split(text, '\n')) {
    const bool is_integer = line.starts_with("    ");
    const bool is_value =
        is_integer || line.starts_with("  static constexpr ") || line.starts_with("  using ");
    const std::size_t equals = is_value ? line.find(" = ") : std::string::npos;
    const std::size_t end = equals == std::string::npos ? equals : line.find(is_integer ? ',' : ';', equals);
    if (end == std::string::npos) {
      source.rest += line + '\n';
      continue;
    }
    const std::size_t name = line.rfind(' ', equals - 1) + 1;
    std::string value = line.substr(equals + 3, end - equals - 3);
    if (value.starts_with("::kerncast::")) {
      value.erase(0, std::string_view("::kerncast::").size());
    }
    if (const std::size_t comment = line.find("// ", end); comment != std::string::npos) {
      value = line.substr(comment + 3);
    }
    source.values[line.substr(name, equals - name)] = value;
  }
  return source;
}

std::string change(const std::string& cached, const std::string& wanted) {
  return fmt::format("{} -> {}", cached.empty() ? "none" : cached, wanted.empty() ? "none" : wanted);
}

class Comparison {
 public:
  Comparison(const OpDefinition& op, const KeyFieldList& cached, const KeyFieldList& wanted)
      : op_(op), cached_(cached), wanted_(wanted) {}

  std::vector<KeyDifference> run() {
    compare_sources();
    compare_value("arch", "architecture");
    compare_value("nvrtc", "compiler");
    compare_options();
    compare_templates();
    return std::move(found_);
  }

 private:
  void add(const char* field, std::string name, std::string cached, std::string wanted, std::string text) {
    found_.push_back({field, std::move(name), std::move(cached), std::move(wanted), std::move(text)});
  }

  void compare_value(const char* label, const char* field) {
    const std::string cached = value_of(cached_, label);
    const std::string wanted = value_of(wanted_, label);
    if (cached != wanted) {
      add(field, "", cached, wanted, fmt::format("{} {}", field, change(cached, wanted)));
    }
  }

  void compare_sources() {
    GeneratedSource cached = read_source(value_of(cached_, "source"));
    GeneratedSource wanted = read_source(value_of(wanted_, "source"));
    std::set<std::string> names;
    for (const auto* values : {&cached.values, &wanted.values}) {
      for (const auto& [name, value] : *values) {
        names.insert(name);
      }
    }
    for (const std::string& name : names) {
      if (cached.values[name] != wanted.values[name]) {
        const bool tunable = std::any_of(op_.tunables.begin(), op_.tunables.end(),
                                         [&](const auto& known) { return known.name == name; });
        const char* field = tunable ? "tunable" : "parameter";
        add(field, name, cached.values[name], wanted.values[name],
            fmt::format("{} {} {}", field, name, change(cached.values[name], wanted.values[name])));
      }
    }
    if (cached.rest != wanted.rest) {
      add("source", "", "", "", "the generated source changed");
    }
  }

  void compare_options() {
    const std::vector<std::string> cached = split(value_of(cached_, "options"), '\n');
    const std::vector<std::string> wanted = split(value_of(wanted_, "options"), '\n');
    const auto lacks = [](const std::vector<std::string>& list, const std::string& option) {
      return std::find(list.begin(), list.end(), option) == list.end();
    };
    // The option of the architecture repeats the field of the architecture.
    const auto told = [](const std::string& option) { return option.starts_with("--gpu-architecture="); };
    const std::size_t before = found_.size();
    for (const std::string& option : cached) {
      if (lacks(wanted, option) && !told(option)) {
        add("option", option, option, "", fmt::format("option removed: {}", option));
      }
    }
    for (const std::string& option : wanted) {
      if (lacks(cached, option) && !told(option)) {
        add("option", option, "", option, fmt::format("option added: {}", option));
      }
    }
    auto cached_sorted = cached;
    auto wanted_sorted = wanted;
    std::sort(cached_sorted.begin(), cached_sorted.end());
    std::sort(wanted_sorted.begin(), wanted_sorted.end());
    if (found_.size() == before && cached != wanted && cached_sorted == wanted_sorted) {
      add("option", "", "", "", "the options are in another order");
    }
  }

  void compare_templates() {
    std::map<std::string, std::pair<const std::string*, const std::string*>> files;
    for (const auto& [label, text] : cached_) {
      if (label.starts_with(template_label)) {
        files[label.substr(template_label.size())].first = &text;
      }
    }
    for (const auto& [label, text] : wanted_) {
      if (label.starts_with(template_label)) {
        files[label.substr(template_label.size())].second = &text;
      }
    }
    for (const auto& [name, texts] : files) {
      if (texts.first == nullptr) {
        add("template", name, "", "", fmt::format("template added: {}", name));
      } else if (texts.second == nullptr) {
        add("template", name, "", "", fmt::format("template no longer used: {}", name));
      } else if (*texts.first != *texts.second) {
        add("template", name, "", "", fmt::format("template changed: {}", name));
      }
    }
  }

  const OpDefinition& op_;
  const KeyFieldList& cached_;
  const KeyFieldList& wanted_;
  std::vector<KeyDifference> found_;
};

}  // namespace

std::vector<KeyDifference> key_differences(const OpDefinition& op, const KeyFieldList& cached,
                                           const KeyFieldList& wanted) {
  return Comparison(op, cached, wanted).run();
}

int distance(const std::vector<KeyDifference>& differences) {
  int sum = 0;
  for (const KeyDifference& difference : differences) {
    if (difference.field == "parameter") {
      sum += 10'000;
    } else if (difference.field == "architecture") {
      sum += 1'000;
    } else if (difference.field == "tunable") {
      sum += 100;
    } else {
      sum += 1;
    }
  }
  return sum;
}

}  // namespace kerncast::tools
