#pragma once

#include <string>
#include <vector>

#include "tools/commands/command_description.hpp"

namespace kerncast::tools {

/// The completion script for `shell` ("bash", "zsh" or "fish") of the commands below `root`. An argument
/// called "op" is completed by `ops`, any other by file names. Throws UsageError for another shell.
[[nodiscard]] std::string completion_script(const std::string& shell, const CommandDescription& root,
                                            const std::vector<std::string>& ops);

}  // namespace kerncast::tools
