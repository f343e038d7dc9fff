#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cache/cache.hpp"
#include "cache/tuning/tuning_store.hpp"
#include "kerncast/error.hpp"
#include "runtime/dispatch/runtime_impl.hpp"
#include "runtime/util/environment.hpp"
#include "tools/commands/cache/cache_command.hpp"
#include "tools/commands/cache/tuned_layers.hpp"
#include "tools/commands/tune/tune.hpp"
#include "tools/io/output.hpp"
#include "tools/io/usage_error.hpp"
#include "tools/tune/trials/trial_store.hpp"

namespace kerncast::tools {
namespace {

std::string field(const cache::KeyFieldList& fields, std::string_view label) {
  const auto found =
      std::find_if(fields.begin(), fields.end(), [&](const auto& one) { return one.first == label; });
  return found == fields.end() ? std::string() : found->second;
}

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
        const OpDefinition* op = OpRegistry::instance().find(field(fields, "op"));
        return op == nullptr || field(fields, "templates") != builder.templates_digest(*op);
      },
      dry_run);
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
      table.add_row({record.op, record.spec, record.arch, rows_text(record),
                     fmt::format("{} {}", cache::name_of(record.source), record.device), name_of(state),
                     utc_time(record.recorded_us / 1'000'000)});
    }
  }
  if (!dry_run && !list.empty() && !cache.tuning().remove(unwanted)) {
    throw Error(ErrorCode::io_error,
                fmt::format("the tuned records in {} could not be removed", cache.store().root()));
  }
  const std::uint64_t removed = list.size();
  const std::uint64_t searches = prune_trials(context, runtime, dry_run);
  if (context.json) {
    print_json({{"directory", cache.store().root()},
                {"dry_run", dry_run},
                {"removed", std::move(list)},
                {"left", all.size() - removed},
                {"searches", searches}});
    return exit_fine;
  }
  if (!table.empty()) {
    print(table);
  }
  print(fmt::format("{} {}, {} left, and the trials of {}\n", dry_run ? "would remove" : "removed",
                    counted(removed, "tuned record"), all.size() - removed,
                    searches == 1 ? "1 search" : fmt::format("{} searches", searches)));
  return exit_fine;
}

}  // namespace

void add_tune_prune_command(const Command& tune, CommandContext& context) {
  const auto dry_run = std::make_shared<bool>(false);
  const Command command =
      tune.add("prune",
               "Remove the tuned records that no launch can use, and the trials that no run "
               "goes on with: those whose templates have changed since, and those of ops "
               "that the library does not have");
  command.flag("--dry-run", *dry_run, "Remove nothing; list what would go");
  command.json_flag();
  command.action([&context, dry_run] { return prune(context, *dry_run); });
}

}  // namespace kerncast::tools
