#pragma once

#include <string>
#include <vector>

namespace kerncast::tools {

/// An option, a flag or a positional argument of a command.
struct OptionDescription {
  std::vector<std::string> names;  ///< "--version" and "-V"; of a positional its one name
  std::string value;               ///< the name of its value; empty for a flag
  std::string help;
  bool positional = false;
};

/// A command as it was declared, for its help, the shell completions and the manual page.
struct CommandDescription {
  std::string name;
  std::string help;
  std::string footer;
  std::vector<OptionDescription> options;
  std::vector<CommandDescription> commands;  ///< those that people use
};

}  // namespace kerncast::tools
