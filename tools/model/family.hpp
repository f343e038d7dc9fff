#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace kerncast::tools {

/// The facts known of one type of model, as families/*.json say it.
struct Family {
  std::string name;         ///< "glm4_moe"; the model_type, or the class of a diffusers transformer
  nlohmann::json facts;     ///< fact by name: an expression of fact_expression.hpp
  nlohmann::json defaults;  ///< the fields that the family's configuration class fills in
  bool known = true;        ///< false for the generic guess
};

/// The family of a config: by the architecture or the type of its language model, then by those of the whole.
/// The generic guess if no entry fits.
[[nodiscard]] Family find_family(const nlohmann::json& root, const nlohmann::json& part);

/// The names of the objects, from the outermost, that lead from a config to its language model, such as
/// {"thinker_config", "text_config"}; empty if the sizes are in the config itself.
[[nodiscard]] std::vector<std::string> language_path(const nlohmann::json& root);

/// The names of all known families.
[[nodiscard]] std::vector<std::string> family_names();

}  // namespace kerncast::tools
