#pragma once

#include <set>
#include <string>
#include <vector>

#include "cache/directory/index.hpp"
#include "cache/directory/store.hpp"
#include "cache/tuning/tuning_store.hpp"
#include "tools/commands/command.hpp"
#include "tools/io/output.hpp"

namespace kerncast::tools {

/// The store of the cache directory that the environment names. Its warnings go to the console of `context`,
/// which must outlive it.
[[nodiscard]] cache::Store open_store(CommandContext& context);

/// For commands that say what the directory holds. Throws Error(not_found) if there is no directory, and
/// Error(io_error) if what it holds cannot be listed.
void require_readable(const cache::Store& store);

/// Warns if there are `count` files in place of entries that are damaged or cannot be read, since what is in
/// them is not known.
void warn_of_unsound(CommandContext& context, const cache::Store& store, std::size_t count);

/// True if `name` is the name of `op`, or what comes after the family in it.
[[nodiscard]] bool names_op(const std::string& name, const std::string& op);

/// Throws Error(not_found) for a value of `option` that is not `found` in `directory`.
void require_found(const char* option, const std::vector<std::string>& asked,
                   const std::set<std::string>& found, const std::string& directory);

/// The tuned records of the directory of `store`. Warnings go to the console of `context`, which must outlive
/// the result.
[[nodiscard]] cache::TuningStore open_tuning(CommandContext& context, const cache::Store& store);

/// Every record of `tuning`. Throws Error(io_error) if they cannot be read.
[[nodiscard]] std::vector<cache::TunedRecord> require_tuned(cache::TuningStore& tuning);

/// A table of entries without rows.
[[nodiscard]] Table entry_table();

/// Adds one entry to such a table, and to the list of its JSON.
void add_entry(const cache::IndexedEntry& entry, Table& table, Json& list);

/// Each function declares subcommands of `kerncast cache` that are implemented in a file of their own.
void add_cache_clear_command(const Command& cache, CommandContext& context);
void add_cache_explain_command(const Command& cache, CommandContext& context);
void add_cache_log_command(const Command& cache, CommandContext& context);
void add_cache_metrics_command(const Command& cache, CommandContext& context);
void add_cache_pack_commands(const Command& cache, CommandContext& context);
void add_cache_show_command(const Command& cache, CommandContext& context);
void add_cache_tuned_command(const Command& cache, CommandContext& context);
void add_cache_verify_command(const Command& cache, CommandContext& context);

}  // namespace kerncast::tools
