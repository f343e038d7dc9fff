#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tools/io/output.hpp"

namespace kerncast::tools {

/// The fields that a key is computed from, for a command that shows them: the text of a short one, size and
/// digest of a long one.
[[nodiscard]] Json key_fields_json(const std::vector<std::pair<std::string, std::string>>& fields);
/// Prints the fields as a table, below an empty line.
void print_key_fields(const std::vector<std::pair<std::string, std::string>>& fields);

}  // namespace kerncast::tools
