#include "tools/commands/tune/tune.hpp"

namespace kerncast::tools {

void add_tune_command(const Command& root, CommandContext& context) {
  const Command command = root.add(
      "tune", "Find the best tunables of ops and remember them; show, export and compare what is known");
  add_tune_search(command, context);
  add_tune_report_command(command, context);
  add_tune_show_command(command, context);
  add_tune_export_command(command, context);
  add_tune_import_command(command, context);
  add_tune_prune_command(command, context);
  add_tune_check_command(command, context);
}

}  // namespace kerncast::tools
