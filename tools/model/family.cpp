#include "tools/model/family.hpp"

#include <array>
#include <initializer_list>

#include "tools/model/family_text.hpp"

namespace kerncast::tools {
namespace {

/// All entries of families/*.json by name. A name that begins with '_' is only for others to be like.
const nlohmann::json& entries() {
  static const nlohmann::json all = [] {
    nlohmann::json merged = nlohmann::json::object();
    for (const FamilyText& file : family_texts()) {
      merged.update(nlohmann::json::parse(file.text));
    }
    return merged;
  }();
  return all;
}

void append(nlohmann::json& list, const nlohmann::json& more) {
  for (const nlohmann::json& item : more) {
    list.push_back(item);
  }
}

/// The facts of an entry over those of the entry that it is like. Lists whose names begin with "more_", and
/// not_offered, add to the other's; an entry of a class of its own has that class's defaults alone.
nlohmann::json resolve(const nlohmann::json& entry) {
  nlohmann::json made = entry.contains("like") ? resolve(entries().at(entry["like"].get<std::string>()))
                                               : nlohmann::json::object();
  for (const auto& [name, value] : entry.items()) {
    if (name == "like") {
      continue;
    }
    if ((name == "not_offered" || name.starts_with("more_")) && made.contains(name)) {
      append(made[name], value);
    } else {
      made[name] = value;
    }
  }
  if (entry.contains("class") && !entry.contains("defaults")) {
    made.erase("defaults");
  }
  return made;
}

std::string text_of(const nlohmann::json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::string architecture_of(const nlohmann::json& object) {
  const auto found = object.find("architectures");
  return found != object.end() && found->is_array() && !found->empty() && found->front().is_string()
             ? found->front().get<std::string>()
             : text_of(object, "_class_name");
}

bool is_known(const std::string& name) {
  return !name.empty() && !name.starts_with('_') && entries().contains(name);
}

Family make(const std::string& name, bool known) {
  if (const nlohmann::json& entry = entries().at(name); entry.contains("text") && !entry.contains("like")) {
    return make(entry["text"].get<std::string>(), known);
  }
  Family family;
  family.name = known ? name : "no known family";
  family.facts = resolve(entries().at(name));
  family.defaults = family.facts.value("defaults", nlohmann::json::object());
  family.facts.erase("defaults");
  family.known = known;
  return family;
}

}  // namespace

std::vector<std::string> language_path(const nlohmann::json& root) {
  constexpr std::array<const char*, 6> parts = {"thinker_config",    "text_config",
                                                "llm_config",        "language_config",
                                                "text_model_config", "language_model_config"};
  std::vector<std::string> path;
  const nlohmann::json* at = &root;
  for (bool deeper = true; deeper && path.size() < 4;) {
    deeper = false;
    for (const char* name : parts) {
      if (const auto found = at->find(name); found != at->end() && found->is_object()) {
        path.emplace_back(name);
        at = &*found;
        deeper = true;
        break;
      }
    }
  }
  return path;
}

namespace {

Family find_by_type(const nlohmann::json& root, const nlohmann::json& part) {
  for (const std::string& name : {architecture_of(part), text_of(part, "model_type")}) {
    if (is_known(name)) {
      return make(name, true);
    }
  }
  if (&part != &root) {
    // A sparse config names the type of the whole only; the entry of that type names the inner one.
    for (const std::string& name : {architecture_of(root), text_of(root, "model_type")}) {
      if (is_known(name)) {
        const nlohmann::json& entry = entries()[name];
        return make(entry.contains("text") ? entry["text"].get<std::string>() : name, true);
      }
    }
  }
  return make(root.contains("_class_name") ? "_generic_diffusion" : "_generic", false);
}

}  // namespace

Family find_family(const nlohmann::json& root, const nlohmann::json& part) {
  Family family = find_by_type(root, part);
  // The class of a whole may give its language model other defaults than the inner class has by itself.
  const nlohmann::json* entry =
      is_known(text_of(root, "model_type")) ? &entries()[text_of(root, "model_type")] : nullptr;
  if (entry != nullptr && entry->contains("text") && !entry->contains("like") &&
      entry->contains("defaults") && make((*entry)["text"].get<std::string>(), true).name == family.name) {
    family.defaults.update((*entry)["defaults"]);
  }
  return family;
}

std::vector<std::string> family_names() {
  std::vector<std::string> names;
  for (const auto& [name, entry] : entries().items()) {
    if (!name.starts_with('_')) {
      names.push_back(name);
    }
  }
  return names;
}

}  // namespace kerncast::tools
