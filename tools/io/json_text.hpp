#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace kerncast::tools {

/// Parses `text` as JSON. Throws Error(io_error) with `origin`, line and column if the text is malformed, and
/// with the name of a member that occurs twice in one object.
[[nodiscard]] nlohmann::json parse_json(std::string_view text, const std::string& origin);

}  // namespace kerncast::tools
