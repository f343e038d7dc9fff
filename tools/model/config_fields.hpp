#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace kerncast::tools {

/// The fields of a config.json as a family reads them: those of the file, else the defaults of the family's
/// configuration class. Null counts as absent. It refers to the objects it is given.
class ConfigFields {
 public:
  struct Field {
    const nlohmann::json* value = nullptr;
    std::string key;  ///< where it stands, such as "text_config.hidden_size"
    bool by_default = false;
  };

  /// `part` is the object with the language model's sizes, which stands in `root` at `part_path` ("" if it is
  /// `root` itself). `origin` names the file in errors.
  ConfigFields(const nlohmann::json& root, const nlohmann::json& part, std::string part_path,
               const nlohmann::json& defaults, std::string origin);

  /// The first of `keys` that the file has, else the first that has a default. A dot leads into an object,
  /// and a key that begins with '/' is looked for in the root.
  [[nodiscard]] std::optional<Field> find(const std::vector<std::string>& keys) const;

  /// Every number, flag, word and list of the file that was never looked for, except those that no kernel
  /// depends on, with its path.
  [[nodiscard]] std::vector<std::string> not_understood() const;

  [[nodiscard]] const std::string& origin() const { return origin_; }

 private:
  [[nodiscard]] std::string full_path(const std::string& key) const;

  const nlohmann::json& root_;
  const nlohmann::json& part_;
  std::string part_path_;
  const nlohmann::json& defaults_;
  std::string origin_;
  mutable std::set<std::string> asked_;
};

/// The value at `path` in `object`, whose names are separated by dots; null if there is none or if it is
/// null.
[[nodiscard]] const nlohmann::json* value_at(const nlohmann::json& object, std::string_view path);

}  // namespace kerncast::tools
