#pragma once

#include <string>

#include "tools/commands/command_description.hpp"

namespace kerncast::tools {

/// The manual page of the commands below `root`, for man(1).
[[nodiscard]] std::string manual_page(const CommandDescription& root);

}  // namespace kerncast::tools
