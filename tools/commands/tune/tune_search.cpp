#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "kerncast/error.hpp"
#include "kerncast/runtime.hpp"
#include "runtime/dispatch/runtime_impl.hpp"
#include "runtime/util/environment.hpp"
#include "tools/commands/selection_options.hpp"
#include "tools/commands/tune/in_child.hpp"
#include "tools/commands/tune/target_run.hpp"
#include "tools/commands/tune/tune.hpp"
#include "tools/io/output.hpp"
#include "tools/io/usage_error.hpp"
#include "tools/model/settings.hpp"
#include "tools/run/steering_data.hpp"
#include "tools/tune/hang_restart.hpp"
#include "tools/tune/report/tune_output.hpp"
#include "tools/tune/search/stop_rule.hpp"
#include "tools/tune/search/strategy.hpp"

namespace kerncast::tools {
namespace {

/// The architecture of the first GPU of the driver in use; empty if it has none, or if it is the virtual GPU.
std::string gpu_arch(CommandContext& context) {
  if (environment("KERNCAST_DRIVER") == "sim") {
    return {};
  }
  try {
    Runtime runtime(runtime_options(context, {TuneTarget::Kind::cuda, 0, nullptr, {}, {}}));
    return implementation_of(runtime).driver().is_virtual ? std::string() : runtime.arch(0);
  } catch (const Error&) {
    return {};
  }
}

/// Targets that one process tunes for: devices of the driver together, each described device alone.
std::vector<std::vector<TuneTarget>> parts_of(const std::vector<TuneTarget>& targets) {
  if (targets.front().description == nullptr) {
    return {targets};
  }
  std::vector<std::vector<TuneTarget>> parts;
  parts.reserve(targets.size());
  for (const TuneTarget& target : targets) {
    parts.push_back({target});
  }
  return parts;
}

/// The budget of the whole command. A command that was started again after a hang goes on with its own.
TimeBudget budget_of(const TuneOptions& options) {
  const std::string end = environment(HangRestart::budget_variable);
  ::unsetenv(HangRestart::budget_variable);
  const TimeBudget whole(budget_seconds(options.budget));
  return end.empty() || !whole.limited() ? whole : TimeBudget::parse(end);
}

int show_plan(CommandContext& context, const TuneOptions& options, const std::vector<TuneTarget>& targets) {
  const std::vector<std::vector<TuneTarget>> parts = parts_of(targets);
  Json points = Json::array();
  std::string names;
  for (const TuneTarget& target : targets) {
    names += (names.empty() ? "" : ", ") + target.text;
  }
  if (parts.size() == 1) {
    points = plan_targets(context, options, parts.front());
  } else {
    for (const std::vector<TuneTarget>& part : parts) {
      std::string answer;
      const int ended = in_child(
          context, part.front().text,
          [&](std::string& made) {
            made = plan_targets(context, options, part).dump();
            return exit_fine;
          },
          answer);
      if (ended != exit_fine) {
        return ended;
      }
      for (Json& point : Json::parse(answer)) {
        points.push_back(std::move(point));
      }
    }
  }
  announce_tuning(context, points.size(), names, options.strategy, targets.front().why);
  show_searches(context, std::move(points), options.strategy, names);
  return exit_fine;
}

int tune_all(CommandContext& context, const TuneOptions& options, const std::vector<TuneTarget>& targets) {
  const TimeBudget budget = budget_of(options);
  const std::vector<std::vector<TuneTarget>> parts = parts_of(targets);
  if (parts.size() == 1) {
    return tune_targets(context, options, parts.front(), budget);
  }
  int code = exit_fine;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    std::string nothing;
    const int ended = in_child(
        context, parts[i].front().text,
        [&](std::string&) {
          return tune_targets(context, options, parts[i], budget.share(parts.size() - i));
        },
        nothing);
    code = code == exit_fine ? ended : code;
    if (ended == exit_interrupted) {
      break;
    }
  }
  return code;
}

int tune(CommandContext& context, TuneOptions options) {
  check_request(options);
  static_cast<void>(parse_strategy(options.strategy));
  static_cast<void>(StopRules(options.stop));
  static_cast<void>(budget_seconds(options.budget));
  static_cast<void>(decision_policy(options.least_gain));
  static_cast<void>(parse_steering_data("--data", options.data));
  if (!options.request.op.empty()) {
    const OpDefinition& op = require_op(options.request.op);
    static_cast<void>(specialise_settings(op, parse_settings(op, options.request.settings)));
  }
  const std::vector<TuneTarget> targets = options.devices.empty()
                                              ? default_targets(gpu_arch(context), options.archs)
                                              : choose_targets(options.devices, options.archs);
  const bool measures = std::any_of(targets.begin(), targets.end(), [](const TuneTarget& target) {
    return target.kind != TuneTarget::Kind::estimate;
  });
  if (!measures && options.data != "uniform") {
    throw UsageError(
        fmt::format("--data {} steers measured times, and an estimate counts uniform data; give --device "
                    "cuda:0 or sim:h100",
                    options.data));
  }
  return options.plan ? show_plan(context, options, targets) : tune_all(context, options, targets);
}

std::string strategies_help() {
  std::string text =
      "Strategies, with their parameters and defaults (--strategy NAME:PARAMETER=VALUE,...):\n";
  for (const StrategyInfo& info : strategies()) {
    text += fmt::format("  {:<11} {}\n", info.name, info.summary);
    for (const ParameterInfo& parameter : info.parameters) {
      text += fmt::format("    {}={:g}: {}\n", parameter.name, parameter.value, parameter.reason);
    }
  }
  text +=
      "Stop rules, with their defaults (--stop RULE=VALUE,...); the first that is reached ends a search:\n";
  for (const StopRuleInfo& info : stop_rules()) {
    text += fmt::format("  {}={:g}: {}; {}\n", info.value.name, info.value.value, info.summary,
                        info.value.reason);
  }
  return text +
         "Every trial is kept in the cache directory, so the same command goes on after an interruption.";
}

}  // namespace

void add_tune_search(const Command& tune_command, CommandContext& context) {
  const auto options = std::make_shared<TuneOptions>();
  TuneRequest& request = options->request;
  tune_command.option("op", request.op, "Op to tune at the parameters of --set, such as norm.rms_norm");
  tune_command
      .option("--model", request.models, "Shipped models or paths of config.json files, separated by commas")
      .separated();
  tune_command.flag(
      "--best-effort", request.best_effort,
      "Also tune for a model of unknown type, whose ops are guessed from the names of its fields");
  tune_command.option("--from-record", request.records, "Files of KERNCAST_RECORD: tune what hosts asked for")
      .separated();
  tune_command
      .option("--set", request.settings,
              "Parameters and scalars of the op, such as hidden=7168; may be repeated")
      .value_name("NAME=VALUE");
  add_selection_options(tune_command, request.selection);
  tune_command.option("--arch", options->archs, "Architectures, such as sm_90a; default: those of --device")
      .separated();
  tune_command
      .option("--rows", request.rows,
              "Row counts of the ops, each for its row bucket; default 1,8,64,512,4096. With --from-record "
              "those that were recorded")
      .separated();
  tune_command
      .option(
          "--device", options->devices,
          "Devices: cuda:NUMBER measures on one of the driver, sim:NAME on the virtual GPU with the clock "
          "of a described device, estimate:NAME ranks by exact counts and the cost model; several "
          "separated by commas; default: cuda:0 if the driver has a GPU, else the estimate for each --arch")
      .separated();
  tune_command.option("--strategy", options->strategy, "How candidates are chosen, listed below")
      .shows_default();
  tune_command.option("--stop", options->stop, "Rules that end a search, listed below; default: none")
      .separated();
  tune_command.option("--budget", options->budget, "Time for the whole run, such as 10m; default: no limit");
  tune_command.option("--least-gain", options->least_gain,
                      "Percent that a candidate must save to replace the default; default 3");
  tune_command
      .option("--data", options->data,
              "How expert ids and masks are drawn where they are measured: uniform, zipf:EXPONENT, or "
              "recorded:FILE")
      .shows_default();
  tune_command.option("--seed", options->seed, "Seed of every random choice: the same seed, the same order")
      .shows_default()
      .between(0, std::int64_t{1} << 53);
  tune_command.option("--shard", options->shard, "Only part I of N of the points, such as 1/4");
  tune_command
      .option("--jobs", options->jobs, "Most worker processes that compile; default: one for each core")
      .between(1, 1024);
  tune_command
      .option("--timeout", options->timeout_s,
              "Seconds after which a candidate counts as hanging; default 60")
      .between(1, 86400);
  tune_command.flag("--plan", options->plan, "Try nothing; show the points and their candidates");
  tune_command.json_flag();
  tune_command.footer(strategies_help());
  tune_command.action([&context, options] { return tune(context, *options); });
}

}  // namespace kerncast::tools
