#include <fmt/format.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cache/cache.hpp"
#include "cache/directory/store.hpp"
#include "cache/tuning/tuning_store.hpp"
#include "kerncast/error.hpp"
#include "runtime/dispatch/runtime_impl.hpp"
#include "runtime/util/environment.hpp"
#include "runtime/util/row_range_text.hpp"
#include "tools/commands/cache/cache_command.hpp"
#include "tools/commands/cache/tuned_layers.hpp"
#include "tools/commands/tune/tune.hpp"
#include "tools/io/output.hpp"
#include "tools/io/usage_error.hpp"
#include "tools/tune/trials/trial_store.hpp"

namespace kerncast::tools {
namespace {

/// Removes the trials of searches that no run goes on with, since their op is gone or its templates have
/// changed. Returns their number.
std::size_t prune_trials(CommandContext& context, Runtime& runtime, bool dry_run) {
  KernelBuilder& builder = implementation_of(runtime).builder;
  TrialStore trials(
      implementation_of(runtime).cache.store().root(),
      [&](std::string_view text) { context.console.warning(text); },
      cache::directory_trust(cache::options_from_environment()));
  return trials.remove(
      [&](const cache::KeyFieldList& fields) {
        const OpDefinition* op = OpRegistry::instance().find(field_of(fields, "op"));
        return op == nullptr ||
               field_of(fields, "templates") != builder.templates_digest(*op, field_of(fields, "spec"));
      },
      dry_run);
}

/// Removes the kernels of candidates, or only counts them. A choice has a copy of its kernel in the cache
/// directory, and a search that goes on compiles what it lacks.
cache::StoreStatistics prune_kernels(CommandContext& context, Runtime& runtime, bool dry_run) {
  const std::string& root = implementation_of(runtime).cache.store().root();
  if (root.empty()) {
    return {};
  }
  cache::Store kernels(
      candidate_kernels(root), [&](std::string_view text) { context.console.warning(text); },
      cache::directory_trust(cache::options_from_environment()));
  const cache::StoreStatistics held = kernels.statistics();
  const bool empty = held.entries + held.quarantined + held.sources + held.temporaries == 0;
  const cache::StoreStatistics removed = dry_run || empty ? held : kernels.clear();
  if (removed.failed > 0) {
    throw Error(ErrorCode::io_error,
                fmt::format("{} in {} could not be removed; see that this user may write there",
                            counted(removed.failed, "file"), kernels.root()));
  }
  return removed;
}

int prune(CommandContext& context, bool dry_run) {
  if (!environment("KERNCAST_TEMPLATE_DIR").empty()) {
    throw UsageError(
        "KERNCAST_TEMPLATE_DIR is set, and records that are stale for its templates may hold for those of "
        "the "
        "library; unset it to prune, or select records with `kerncast cache clear --tuned`");
  }
  Runtime runtime(context.runtime_options());
  cache::Cache& cache = implementation_of(runtime).cache;
  require_readable(cache.store());
  const auto unwanted = [&builder = implementation_of(runtime).builder](const cache::TunedRecord& record) {
    return state_of(builder, record) != TunedState::current;
  };
  const std::vector<cache::TunedRecord> all = require_tuned(cache.tuning());
  Table table({{"op"}, {"specialisation"}, {"arch"}, {"rows"}, {"from"}, {"templates"}, {"recorded (UTC)"}});
  Json list = Json::array();
  for (const cache::TunedRecord& record : all) {
    if (unwanted(record)) {
      const TunedState state = state_of(implementation_of(runtime).builder, record);
      list.push_back(to_json(ListedRecord{&record, state, cache.store().root(), true}));
      table.add_row({record.op, record.spec, record.arch, row_range_text(record.rows_low, record.rows_high),
                     fmt::format("{} {}", cache::name_of(record.source), record.device), name_of(state),
                     utc_time(record.recorded_us / 1'000'000)});
    }
  }
  if (!dry_run && !list.empty() && !cache.tuning().remove(unwanted)) {
    throw Error(
        ErrorCode::io_error,
        fmt::format("the tuned records in {} could not be removed, as the warning says; mend that and "
                    "prune again",
                    cache.store().root()));
  }
  const std::uint64_t removed = list.size();
  const std::uint64_t searches = prune_trials(context, runtime, dry_run);
  const cache::StoreStatistics kernels = prune_kernels(context, runtime, dry_run);
  if (context.json) {
    print_json({{"directory", cache.store().root()},
                {"dry_run", dry_run},
                {"removed", std::move(list)},
                {"left", all.size() - removed},
                {"searches", searches},
                {"kernels", kernels.entries},
                {"bytes", kernels.bytes}});
    return exit_fine;
  }
  if (!table.empty()) {
    print(table);
  }
  print(fmt::format("{} {}, {} left, the trials of {}, and {} of candidates ({})\n",
                    dry_run ? "would remove" : "removed", counted(removed, "tuned record"),
                    all.size() - removed, searches == 1 ? "1 search" : fmt::format("{} searches", searches),
                    counted(kernels.entries, "kernel"), human_bytes(kernels.bytes)));
  return exit_fine;
}

}  // namespace

void add_tune_prune_command(const Command& tune, CommandContext& context) {
  const auto dry_run = std::make_shared<bool>(false);
  const Command command =
      tune.add("prune",
               "Remove the tuned records that no launch can use, and the trials that no run "
               "goes on with: those whose templates or launches have changed since, and those of ops "
               "that the library does not have. Remove the kernels of candidates too: a choice "
               "has its own in the cache directory");
  command.flag("--dry-run", *dry_run, "Remove nothing; list what would go");
  command.json_flag();
  command.action([&context, dry_run] { return prune(context, *dry_run); });
}

}  // namespace kerncast::tools
