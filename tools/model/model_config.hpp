#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kerncast/model.hpp"

namespace kerncast::tools {

/// Reads a Hugging Face config.json, or the config.json of a diffusers transformer. `origin` names the text
/// in errors, `name` becomes ModelConfig::name. Unknown fields are ignored. Throws Error(io_error) for
/// malformed JSON, a field of the wrong type or out of range, and where no hidden size is found (naming the
/// fields looked for).
/// Where `unmapped` is given and the architecture is not one this command knows, it receives the fields that
/// may matter and that nothing was made of, so that a user learns what is missing.
[[nodiscard]] ModelConfig parse_model_config(std::string_view text, const std::string& origin,
                                             std::string name, std::vector<std::string>* unmapped = nullptr);

/// A model that ships with the command, by name in any case; else a config.json, or a directory that holds
/// one. Throws UsageError for a name that is neither, listing the known ones and the nearest.
[[nodiscard]] ModelConfig load_model_config(const std::string& name_or_path,
                                            std::vector<std::string>* unmapped = nullptr);

}  // namespace kerncast::tools
