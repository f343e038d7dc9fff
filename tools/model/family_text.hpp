#pragma once

#include <span>
#include <string_view>

namespace kerncast::tools {

/// A file of tools/model/families, embedded when the command is built.
struct FamilyText {
  std::string_view name;  ///< file name without .json
  std::string_view text;
};

/// All files of families, in order of name.
[[nodiscard]] std::span<const FamilyText> family_texts();

}  // namespace kerncast::tools
