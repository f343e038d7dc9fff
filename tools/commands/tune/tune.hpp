#pragma once

#include "tools/commands/command.hpp"

namespace kerncast::tools {

/// Declares what `kerncast tune` itself does: it tunes.
void add_tune_search(const Command& tune_command, CommandContext& context);

/// Each function declares a subcommand of `kerncast tune` that is implemented in a file of its own.
void add_tune_check_command(const Command& tune, CommandContext& context);
void add_tune_export_command(const Command& tune, CommandContext& context);
void add_tune_import_command(const Command& tune, CommandContext& context);
void add_tune_prune_command(const Command& tune, CommandContext& context);
void add_tune_report_command(const Command& tune, CommandContext& context);
void add_tune_show_command(const Command& tune, CommandContext& context);

}  // namespace kerncast::tools
