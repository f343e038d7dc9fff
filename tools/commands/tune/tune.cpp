#include "tools/commands/tune/tune.hpp"

namespace kerncast::tools {

void add_tune_command(const Command& root, CommandContext& context) {
  const Command command =
      root.add("tune", "Show, export, import, prune and compare the tuned records: the tunables found best");
  command.require_one();
  add_tune_show_command(command, context);
  add_tune_export_command(command, context);
  add_tune_import_command(command, context);
  add_tune_prune_command(command, context);
  add_tune_check_command(command, context);
}

}  // namespace kerncast::tools
