#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kerncast/model.hpp"

namespace kerncast::tools {

/// Reads a Hugging Face config.json, or the config.json of a diffusers transformer. `origin` names the text
/// in errors; `name` becomes ModelConfig::name. Unknown fields are ignored. Throws Error(io_error) for
/// malformed JSON, for a field of the wrong type or out of range, and if no hidden size is found (with the
/// fields that were tried). If `unmapped` is given and the architecture is unknown, it receives the fields
/// that may matter but were not used.
[[nodiscard]] ModelConfig parse_model_config(std::string_view text, const std::string& origin,
                                             std::string name, std::vector<std::string>* unmapped = nullptr);

/// Loads a model that ships with the command, by name (case does not matter), or a config.json, or a
/// directory with one. Throws UsageError if the argument is none of these, with the known names and the
/// nearest.
[[nodiscard]] ModelConfig load_model_config(const std::string& name_or_path,
                                            std::vector<std::string>* unmapped = nullptr);

}  // namespace kerncast::tools
