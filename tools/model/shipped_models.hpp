#pragma once

#include <span>
#include <string_view>

namespace kerncast::tools {

/// A model of examples/models, embedded when the command is built.
struct ShippedModel {
  std::string_view name;  ///< file name without .json
  std::string_view text;
};

/// All shipped models, in order of name.
[[nodiscard]] std::span<const ShippedModel> shipped_models();

}  // namespace kerncast::tools
