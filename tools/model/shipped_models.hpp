#pragma once

#include <span>
#include <string_view>

namespace kerncast::tools {

/// A config.json of examples/models, embedded when the command is built.
struct ShippedModel {
  std::string_view name;  ///< file name without .json
  std::string_view text;
};

/// In order of name.
[[nodiscard]] std::span<const ShippedModel> shipped_models();

}  // namespace kerncast::tools
