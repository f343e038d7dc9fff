#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>
#include <string>
#include <vector>

#include "runtime/util/nearest_name.hpp"
#include "tools/commands/command.hpp"
#include "tools/commands/help/manual.hpp"
#include "tools/io/output.hpp"
#include "tools/io/usage_error.hpp"

namespace kerncast::tools {
namespace {

std::string help_of(Command command, const std::vector<std::string>& path) {
  for (const std::string& name : path) {
    const std::optional<Command> below = command.find(name);
    if (!below) {
      std::vector<std::string> names;
      for (const CommandDescription& known : command.describe().commands) {
        names.push_back(known.name);
      }
      const std::string nearest = nearest_name(name, names);
      throw UsageError(fmt::format("unknown command '{}'{}; see kerncast --help", fmt::join(path, " "),
                                   nearest.empty() ? "" : fmt::format(" (did you mean {}?)", nearest)));
    }
    command = *below;
  }
  return command.help_text();
}

}  // namespace

void add_help_command(const Command& root, CommandContext& /*context*/) {
  const Command command = root.add("help", "Show the help of a command, or the manual page");
  const auto path = std::make_shared<std::vector<std::string>>();
  const auto manual = std::make_shared<bool>(false);
  command.option("command", *path, "Command, such as run or cache export");
  command.flag("--man", *manual, "Print the manual page of all commands, for man -l");
  command.action([root, path, manual] {
    if (*manual && !path->empty()) {
      throw UsageError("--man prints the page of all commands; leave the command out");
    }
    print(*manual ? manual_page(root.describe()) : help_of(root, *path));
    return exit_fine;
  });
}

}  // namespace kerncast::tools
