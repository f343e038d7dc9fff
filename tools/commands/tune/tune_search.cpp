#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>
#include <thread>

#include "cache/cache.hpp"
#include "kerncast/error.hpp"
#include "kerncast/runtime.hpp"
#include "runtime/dispatch/runtime_impl.hpp"
#include "runtime/driver/device.hpp"
#include "runtime/util/environment.hpp"
#include "tools/commands/selection_options.hpp"
#include "tools/commands/tune/tune.hpp"
#include "tools/io/output.hpp"
#include "tools/io/own_path.hpp"
#include "tools/io/stop_on_interrupt.hpp"
#include "tools/io/time_text.hpp"
#include "tools/io/usage_error.hpp"
#include "tools/model/settings.hpp"
#include "tools/run/steering_data.hpp"
#include "tools/tune/evaluate/estimate_evaluator.hpp"
#include "tools/tune/evaluate/measured_evaluator.hpp"
#include "tools/tune/hang_restart.hpp"
#include "tools/tune/report/tune_output.hpp"
#include "tools/tune/space/target.hpp"
#include "tools/tune/tune_plan.hpp"
#include "tools/tune/tune_points.hpp"

namespace kerncast::tools {
namespace {

const std::vector<std::int64_t> default_rows = {1, 8, 64, 512, 4096};

struct TuneOptions {
  TuneRequest request;
  std::vector<std::string> archs;
  std::vector<std::string> devices;
  std::string strategy = "guided";
  std::vector<std::string> stop;
  std::string budget;
  std::string least_gain;
  std::string data = "uniform";
  std::string shard;
  std::int64_t seed = 1;
  int jobs = 0;
  int timeout_s = 60;
  bool plan = false;
};

/// Checks what can be checked without a device, and completes the request.
void check_request(TuneOptions& options) {
  TuneRequest& request = options.request;
  const int ways =
      (request.op.empty() ? 0 : 1) + (request.models.empty() ? 0 : 1) + (request.records.empty() ? 0 : 1);
  if (ways == 0 || (!request.op.empty() && ways > 1)) {
    throw UsageError(
        "give either --model NAME, --from-record FILE or an op with --set; see kerncast tune --help");
  }
  if (request.op.empty() && !request.settings.empty()) {
    throw UsageError("--set is valid with an op only");
  }
  check_selection(request.selection);
  if (!options.shard.empty()) {
    if (options.shard == "auto") {
      throw UsageError("--shard auto: tuning has no queue; give --shard I/N");
    }
    request.shard = parse_shard(options.shard);
  }
  if (request.rows.empty()) {
    request.rows = default_rows;
  }
  request.rows = check_rows(request.rows);
  if (request.rows.front() < 1) {
    throw UsageError("--rows 0: there is nothing to tune in a call of no rows");
  }
}

double budget_seconds(const std::string& text) {
  if (text.empty()) {
    return 0;
  }
  const std::int64_t seconds = parse_age("--budget", text);
  if (seconds < 1) {
    throw UsageError(fmt::format("--budget {} leaves no time; give one such as 10m", text));
  }
  return static_cast<double>(seconds);
}

DecisionPolicy decision_policy(const std::string& least_gain) {
  DecisionPolicy policy;
  if (!least_gain.empty()) {
    policy.least_gain = parse_parameter("--least-gain", {"least-gain", 3, 0, 100, ""}, least_gain) / 100;
  }
  return policy;
}

/// Sets the variables that the virtual GPU reads when it is loaded, unless the user did.
void prepare_virtual_gpu(const TuneTarget& target, int timeout_s) {
  set_virtual_gpu(target.description->name, target.kind == TuneTarget::Kind::sim);
  if (target.kind == TuneTarget::Kind::estimate) {
    // Counts need no clock, and one of another device would be refused.
    ::unsetenv("KERNCAST_SIM_CLOCK");
    ::unsetenv("KERNCAST_SIM_NOISE");
  }
  ::setenv("KERNCAST_SIM_TIMEOUT", fmt::format("{}", timeout_s).c_str(), 0);
  ::setenv("KERNCAST_SIM_CHECKS", "off", 0);
}

/// Options of a runtime on the driver of `target`.
RuntimeOptions runtime_options(CommandContext& context, const TuneTarget& target) {
  RuntimeOptions options = context.runtime_options();
  options.miss_policy = MissPolicy::compile;
  // Most candidates lose, so other machines want none of them; warm shares the winners.
  options.cache_remote_read_only = true;
  if (target.kind != TuneTarget::Kind::cuda) {
    options.driver = "sim";
  } else if (environment("KERNCAST_DRIVER").empty()) {
    options.driver = "cuda";
  }
  return options;
}

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

/// Tuning for one virtual device, or for devices of the driver, in this process.
class TargetRun {
 public:
  TargetRun(CommandContext& context, const TuneOptions& options, const std::vector<TuneTarget>& targets)
      : context_(context),
        options_(options),
        targets_(targets),
        stop_rules_(options.stop),
        data_(parse_steering_data("--data", options.data)) {
    for (const TuneTarget& target : targets) {
      text_ += (text_.empty() ? "" : ", ") + target.text;
    }
    jobs_ =
        options.jobs > 0 ? options.jobs : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
    if (targets.front().description != nullptr) {
      prepare_virtual_gpu(targets.front(), options.timeout_s);
    }
    RuntimeOptions runtime = runtime_options(context, targets.front());
    runtime.compile_workers = {own_path(), jobs_, 0, 300};
    runtime_.emplace(std::move(runtime));
    find_device();
    description_ = targets.front().description != nullptr
                       ? targets.front().description
                       : devices::device_description_of(arch_, device_name());
    prepare_model();
  }

  int run() {
    const std::vector<Point> points = plan_points(options_.request, arch_, traits_, context_.console);
    TuneReporter reporter(context_);
    if (options_.plan) {
      reporter.announce(points.size(), text_, options_.strategy, targets_.front().why);
      return show_plan(points);
    }
    CandidateCompiler compiler(*runtime_, static_cast<std::size_t>(jobs_));
    PointsRun run;
    run.points = &points;
    run.templates = [this](const OpDefinition& op) { return builder().templates_digest(op); };
    run.policy.decision = decision_policy(options_.least_gain);
    run.policy.strategy = parse_strategy(options_.strategy);
    run.policy.stop = &stop_rules_;
    run.policy.seed = static_cast<std::uint64_t>(options_.seed);
    run.budget_s = budget_seconds(options_.budget);
    for (const TuneTarget& target : targets_) {
      run.seats.push_back([this, &target, &compiler] { return make_seat(target, compiler); });
    }
    const auto started = std::chrono::steady_clock::now();
    reporter.begin(points.size(), text_, options_.strategy, targets_.front().why);
    const StopOnInterrupt guard;
    const PointsOutcome outcome = run_points(
        run, StopOnInterrupt::requested(), [&](const RunProgress& progress) { reporter.tick(progress); },
        [&](const TuneResult& result) { reporter.finished(result, record(result)); });
    return reporter.end(outcome, StopOnInterrupt::requested().load(),
                        std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count());
  }

 private:
  [[nodiscard]] KernelBuilder& builder() { return implementation_of(*runtime_).builder; }

  /// Architecture and traits: those of the description, or of the first device of the driver.
  void find_device() {
    const TuneTarget& first = targets_.front();
    if (first.kind == TuneTarget::Kind::estimate) {
      arch_ = first.description->arch;
      traits_ = traits_of(*first.description);
      return;
    }
    arch_ = first.kind == TuneTarget::Kind::sim ? first.description->arch : runtime_->arch(first.ordinal);
    traits_ = runtime_->traits(first.ordinal);
    for (const TuneTarget& target : targets_) {
      if (first.kind == TuneTarget::Kind::cuda && !is_like_first(target.ordinal)) {
        throw UsageError(
            fmt::format("--device {}: it is another kind of device ({}, {}) than {} ({}, {}); tune for one "
                        "after the other",
                        target.text, name_of_device(target.ordinal), runtime_->arch(target.ordinal),
                        first.text, name_of_device(first.ordinal), arch_));
      }
    }
    const auto is_other = [this](const std::string& arch) { return arch != arch_; };
    if (std::any_of(options_.archs.begin(), options_.archs.end(), is_other)) {
      throw UsageError(fmt::format("--device {} has architecture {}, and --arch names {}", first.text, arch_,
                                   fmt::join(options_.archs, ", ")));
    }
  }

  [[nodiscard]] std::string nvrtc_version() {
    const compiler::NvrtcSearch& search = builder().nvrtc();
    return search.nvrtc == nullptr ? std::string() : search.nvrtc->version();
  }

  [[nodiscard]] std::unique_ptr<Evaluator> make_evaluator(const TuneTarget& target,
                                                          CandidateCompiler& compiler) {
    if (target.kind == TuneTarget::Kind::estimate) {
      const auto make_runtime = [this] { return std::make_unique<Runtime>(runtime_options(context_, {})); };
      return std::make_unique<EstimateEvaluator>(make_runtime, compiler, *target.description,
                                                 nvrtc_version());
    }
    auto measured =
        std::make_unique<MeasuredEvaluator>(runtime_options(context_, target), target.ordinal, compiler,
                                            description_, nvrtc_version(), measuring_policy(target));
    if (needs_model()) {
      measured->set_model([this, &compiler] {
        return make_evaluator({TuneTarget::Kind::estimate, 0, description_, {}, {}}, compiler);
      });
    }
    return measured;
  }

  [[nodiscard]] bool needs_model() const { return parse_strategy(options_.strategy).info->needs_model; }

  /// Name of a device of the driver.
  [[nodiscard]] std::string name_of_device(int ordinal) {
    return driver::query_device(implementation_of(*runtime_).driver().api, ordinal).name;
  }

  /// True if the device can share points and records with the first one.
  [[nodiscard]] bool is_like_first(int ordinal) {
    const DeviceTraits traits = runtime_->traits(ordinal);
    return runtime_->arch(ordinal) == arch_ &&
           name_of_device(ordinal) == name_of_device(targets_.front().ordinal) &&
           traits.sm_count == traits_.sm_count && traits.max_shared_per_block == traits_.max_shared_per_block;
  }

  /// Name of the first device as its driver reports it; empty for an estimate.
  [[nodiscard]] std::string device_name() {
    const TuneTarget& first = targets_.front();
    return first.kind == TuneTarget::Kind::estimate ? std::string() : name_of_device(first.ordinal);
  }

  /// Lets the virtual GPU, which counts for the model, stand for the description of a device of the driver.
  void prepare_model() {
    if (!needs_model() || targets_.front().description != nullptr) {
      return;
    }
    if (description_ == nullptr) {
      throw UsageError(
          fmt::format("--strategy model needs a described device, and no device of {} is described; take "
                      "another strategy, such as guided",
                      arch_));
    }
    prepare_virtual_gpu({TuneTarget::Kind::estimate, 0, description_, {}, {}}, options_.timeout_s);
  }

  [[nodiscard]] MeasuringPolicy measuring_policy(const TuneTarget& target) const {
    MeasuringPolicy policy;
    policy.search.seed = static_cast<std::uint64_t>(options_.seed);
    policy.search.most_rounds = 60;
    policy.search.most_time = std::chrono::seconds(3);
    policy.last.seed = policy.search.seed + 1;
    policy.last.least_rounds = 20;
    policy.last.width = 0.01;
    policy.last.most_time = std::chrono::seconds(10);
    policy.data = data_;
    policy.seed = policy.search.seed;
    if (target.kind == TuneTarget::Kind::sim) {
      // Launches on the virtual GPU take host time, and its clock has no resolution that asks for many.
      policy.timing.most_launches = 2;
      policy.search.most_rounds = 20;
      policy.last.most_rounds = 60;
      // Its rounds take as long as the host lets them.
      policy.search.most_time = std::chrono::hours(1);
      policy.last.most_time = std::chrono::hours(1);
      const std::string noise = environment("KERNCAST_SIM_NOISE");
      policy.clocks = target.description->name + (noise.empty() ? "" : " " + noise);
    }
    return policy;
  }

  [[nodiscard]] std::unique_ptr<TrialStore> make_store() {
    return std::make_unique<TrialStore>(
        implementation_of(*runtime_).cache.store().root(),
        [this](std::string_view text) { context_.console.warning(text); },
        cache::directory_trust(cache::options_from_environment()));
  }

  [[nodiscard]] DeviceSeat make_seat(const TuneTarget& target, CandidateCompiler& compiler) {
    DeviceSeat seat{make_evaluator(target, compiler), make_store()};
    if (target.kind == TuneTarget::Kind::cuda) {
      // The virtual GPU ends a launch by itself after KERNCAST_SIM_TIMEOUT.
      auto& measured = static_cast<MeasuredEvaluator&>(*seat.evaluator);
      const auto guard = std::make_shared<HangRestart>(
          std::chrono::seconds(options_.timeout_s),
          [&measured](const Point& point) { return measured.conditions(point); },
          [this](const OpDefinition& op) { return builder().templates_digest(op); },
          [this] { return make_store(); }, context_.console);
      measured.set_watch([guard](const EvaluationRequest& request, const Candidate* candidate) {
        guard->watch(request, candidate);
      });
    }
    return seat;
  }

  /// Stores the record of a decided point. Returns why that failed; empty if it did not.
  [[nodiscard]] std::string record(const TuneResult& result) {
    if (!result.decided()) {
      return {};
    }
    const cache::RecordResult stored = implementation_of(*runtime_).cache.tuning().record(
        {record_of(result, builder().templates_digest(result.point.op()), now_us())});
    return stored.failed > 0 ? "the store of the cache directory did not take it; see the warning"
           : stored.written + stored.kept > 0
               ? std::string()
               : std::string("there is no cache directory, or the record is not sound");
  }

  int show_plan(const std::vector<Point>& points) {
    CandidateCompiler compiler(*runtime_, 0);
    const std::unique_ptr<Evaluator> evaluator = make_evaluator(targets_.front(), compiler);
    const std::unique_ptr<TrialStore> store = make_store();
    std::vector<PlannedSearch> searches;
    for (const Point& point : points) {
      const Space space = space_of(point);
      PlannedSearch search{point, space.valid.size(), space.pruned.size(),
                           0,     space.own().text,   evaluator->bound_us(point, point.rows)};
      for (const Trial& trial :
           store->load(search_fields(point, point.rows, space, evaluator->conditions(point),
                                     builder().templates_digest(point.op())))) {
        search.stored += space.find(trial.tunables) < space.valid.size() && !trial.is_final ? 1 : 0;
      }
      searches.push_back(std::move(search));
    }
    show_searches(context_, searches, options_.strategy, text_);
    return exit_fine;
  }

  CommandContext& context_;
  const TuneOptions& options_;
  const std::vector<TuneTarget>& targets_;
  StopRules stop_rules_;
  SteeringData data_;
  std::string text_;
  int jobs_ = 1;
  std::optional<Runtime> runtime_;
  std::string arch_;
  DeviceTraits traits_;
  const devices::DeviceDescription* description_ = nullptr;  ///< of the first device; null if there is none
};

/// Runs `work` in a child process, since the virtual GPU has one architecture in each. Returns its exit code.
template <class Work>
int in_child(Work&& work) {
  static_cast<void>(flush_output());
  const StopOnInterrupt guard;
  const pid_t child = ::fork();
  if (child < 0) {
    throw Error(ErrorCode::internal, "cannot start a process for the next device");
  }
  if (child == 0) {
    int code = exit_failed;
    try {
      code = work();
    } catch (const std::exception&) {
      code = exit_failed;
    }
    static_cast<void>(flush_output());
    ::_exit(code);
  }
  int status = 0;
  // Whoever stops this process may not know the child, which keeps what it has done and ends by itself.
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    if (StopOnInterrupt::requested().load()) {
      ::kill(child, SIGTERM);
    }
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : exit_failed;
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
  if (targets.size() == 1 || targets.front().description == nullptr) {
    return TargetRun(context, options, targets).run();
  }
  int code = exit_fine;
  for (const TuneTarget& target : targets) {
    const int ended = in_child([&] {
      try {
        return TargetRun(context, options, {target}).run();
      } catch (const UsageError& error) {
        context.console.error(error.what());
        return exit_usage;
      } catch (const Error& error) {
        context.console.error(error.what());
        return exit_failed;
      }
    });
    code = code == exit_fine ? ended : code;
    if (ended == exit_interrupted) {
      break;
    }
  }
  return code;
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
