#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cache/cache.hpp"
#include "runtime/dispatch/runtime_impl.hpp"
#include "tools/commands/tune/tune.hpp"
#include "tools/commands/tune/tune_options.hpp"
#include "tools/commands/tune/tuned_selection.hpp"
#include "tools/io/file.hpp"
#include "tools/io/output.hpp"
#include "tools/tune/report/tune_page.hpp"
#include "tools/tune/report/tune_report.hpp"
#include "tools/tune/trials/trial_store.hpp"

namespace kerncast::tools {
namespace {

struct ReportOptions {
  TunedSelection selection;
  std::string html;
  std::string least_gain;
  bool replay = false;
};

/// The stored searches that the report is about. Throws Error(not_found) if none are of the op and the
/// architectures that the user names.
std::vector<StoredSearch> selected_searches(TrialStore& store, const TunedSelection& selection) {
  std::vector<StoredSearch> searches = store.list();
  std::erase_if(searches, [&](const StoredSearch& search) {
    return !selection.everything() &&
           !selection.wants(field_of(search.fields, "op"), field_of(search.fields, "arch"));
  });
  if (searches.empty() && !selection.everything()) {
    refuse_empty(selection, "stored trial", "kerncast tune report");
  }
  return searches;
}

int report_trials(CommandContext& context, const ReportOptions& options) {
  options.selection.check();
  const DecisionPolicy policy = decision_policy(options.least_gain);
  context.prepare_output(options.html);
  std::optional<AtomicOutput> page_file;
  if (!options.html.empty()) {
    page_file.emplace(options.html);
  }
  Runtime runtime(context.runtime_options());
  TrialStore store(
      implementation_of(runtime).cache.store().root(),
      [&](std::string_view text) { context.console.warning(text); },
      cache::directory_trust(cache::options_from_environment()));
  const TuneReport report = make_tune_report(
      selected_searches(store, options.selection), options.replay, policy, [&](const Point& point) {
        return implementation_of(runtime).builder.templates_digest(point.op(), point.spec);
      });
  if (page_file) {
    const std::string page = tune_page(report);
    page_file->write(page.data(), page.size());
    page_file->commit();
  }
  if (context.json) {
    print_json(report_json(report));
  } else {
    print_report(report, options.replay);
    if (page_file) {
      print("written to " + options.html + "\n");
    }
  }
  return exit_fine;
}

}  // namespace

void add_tune_report_command(const Command& tune_command, CommandContext& context) {
  const Command command = tune_command.add(
      "report", "Show what the stored trials decide: default, winner, bound and gain of each point");
  const auto options = std::make_shared<ReportOptions>();
  add_tuned_selection(command, options->selection, "trials");
  command.flag("--replay", options->replay,
               "Also decide from each half of the rounds, and replay every strategy over the stored times");
  command.option("--least-gain", options->least_gain,
                 "Percent that a candidate must save to replace the default, as for the run; default 3");
  command.option("--html", options->html, "Write one self-contained HTML page with a chart of every trial")
      .value_name("FILE");
  command.json_flag();
  command.action([&context, options] { return report_trials(context, *options); });
}

}  // namespace kerncast::tools
