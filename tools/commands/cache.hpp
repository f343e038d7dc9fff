#pragma once

#include "tools/commands/command.hpp"

namespace kerncast::tools {

/// Each function declares subcommands of `kerncast cache` that are implemented in a file of their own.
void add_cache_explain_command(const Command& cache, CommandContext& context);
void add_cache_pack_commands(const Command& cache, CommandContext& context);
void add_cache_tuned_command(const Command& cache, CommandContext& context);

}  // namespace kerncast::tools
