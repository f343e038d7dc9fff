#pragma once

#include "cache/directory/store.hpp"
#include "cache/tuning/tuning_store.hpp"
#include "tools/commands/command.hpp"

namespace kerncast::tools {

/// The store of the cache directory that the environment names. Its warnings go to the console of `context`,
/// which must outlive it.
[[nodiscard]] cache::Store open_store(CommandContext& context);

/// The tuned records of the directory of `store`. Warnings go to the console of `context`, which must outlive
/// the result.
[[nodiscard]] cache::TuningStore open_tuning(CommandContext& context, const cache::Store& store);

/// Each function declares subcommands of `kerncast cache` that are implemented in a file of their own.
void add_cache_explain_command(const Command& cache, CommandContext& context);
void add_cache_pack_commands(const Command& cache, CommandContext& context);
void add_cache_tuned_command(const Command& cache, CommandContext& context);

}  // namespace kerncast::tools
