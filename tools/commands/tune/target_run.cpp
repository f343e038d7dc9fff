#include "tools/commands/tune/target_run.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>
#include <thread>

#include "cache/cache.hpp"
#include "kerncast/error.hpp"
#include "runtime/dispatch/runtime_impl.hpp"
#include "runtime/driver/device.hpp"
#include "runtime/util/environment.hpp"
#include "tools/io/own_path.hpp"
#include "tools/io/stop_on_interrupt.hpp"
#include "tools/io/usage_error.hpp"
#include "tools/run/steering_data.hpp"
#include "tools/tune/evaluate/estimate_evaluator.hpp"
#include "tools/tune/evaluate/measured_evaluator.hpp"
#include "tools/tune/hang_restart.hpp"
#include "tools/tune/report/tune_output.hpp"
#include "tools/tune/tune_points.hpp"

namespace kerncast::tools {
namespace {

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
    runtime_.emplace(runtime_options(context, targets.front()));
    RuntimeOptions compiling = candidate_options(targets.front());
    compiling.compile_workers = {own_path(), jobs_, 0, 300};
    candidates_.emplace(std::move(compiling));
    find_device();
    description_ = targets.front().description != nullptr
                       ? targets.front().description
                       : devices::device_description_of(arch_, device_name());
    prepare_model();
  }

  int run(const TimeBudget& budget) {
    budget_ = budget;
    const std::vector<Point> points = plan_points(options_.request, arch_, traits_, context_.console);
    TuneReporter reporter(context_);
    CandidateCompiler compiler(*candidates_, static_cast<std::size_t>(jobs_));
    PointsRun run;
    run.points = &points;
    run.templates = [this](const Point& point) { return digest_of(point); };
    run.policy.decision = decision_policy(options_.least_gain);
    run.policy.strategy = parse_strategy(options_.strategy);
    run.policy.stop = &stop_rules_;
    run.policy.seed = static_cast<std::uint64_t>(options_.seed);
    run.budget = budget;
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

  Json plan() {
    CandidateCompiler compiler(*candidates_, 0);
    const std::unique_ptr<Evaluator> evaluator = make_evaluator(targets_.front(), compiler);
    const std::unique_ptr<TrialStore> store = make_store();
    Json points = Json::array();
    for (const Point& point : plan_points(options_.request, arch_, traits_, context_.console)) {
      const Space space = space_of(point);
      PlannedSearch search{point, space.valid.size(), space.pruned.size(),
                           0,     space.own().text,   evaluator->bound_us(point, point.rows)};
      for (const Trial& trial : store->load(
               search_fields(point, point.rows, space, evaluator->conditions(point), digest_of(point)))) {
        search.stored += space.find(trial.tunables) < space.valid.size() && !trial.is_final ? 1 : 0;
      }
      points.push_back(to_json(search, text_));
    }
    return points;
  }

 private:
  [[nodiscard]] KernelBuilder& builder() { return implementation_of(*runtime_).builder; }
  [[nodiscard]] std::string digest_of(const Point& point) {
    return builder().templates_digest(point.op(), point.spec);
  }

  /// Options of a runtime whose kernels are candidates. They are kept beside the trials, since most of them
  /// lose and must not drive the kernels of servers out of the cache directory.
  [[nodiscard]] RuntimeOptions candidate_options(const TuneTarget& target) {
    RuntimeOptions options = runtime_options(context_, target);
    const std::string& root = implementation_of(*runtime_).cache.store().root();
    if (!root.empty()) {
      if (options.cache_read_only.empty()) {
        options.cache_read_only = cache::options_from_environment().read_only;
      }
      // The first run begins without the directory, and a layer that is not there would be warned of.
      if (std::error_code none; std::filesystem::is_directory(root, none)) {
        options.cache_read_only.insert(options.cache_read_only.begin(), root);
      }
      options.cache_directory = candidate_kernels(root);
    }
    return options;
  }

  /// Copies the kernel of a choice from beside the trials into the cache directory, where launches find it.
  void keep_kernel(const TuneResult& result) {
    const Variant variant{&result.point.op(), result.point.spec, result.chosen.tunables, result.point.arch};
    const cache::Key key = builder().inputs(variant).fields.key();
    cache::Cache& kept = implementation_of(*runtime_).cache;
    if (kept.load(key, cache::OnMiss::ignore)) {
      return;
    }
    if (const cache::Hit hit = implementation_of(*candidates_).cache.load(key, cache::OnMiss::ignore)) {
      kept.publish(key, *hit.entry);
    }
  }

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
      const auto make_runtime = [this] { return std::make_unique<Runtime>(candidate_options({})); };
      return std::make_unique<EstimateEvaluator>(make_runtime, compiler, *target.description,
                                                 nvrtc_version());
    }
    auto measured =
        std::make_unique<MeasuredEvaluator>(candidate_options(target), target.ordinal, compiler, description_,
                                            nvrtc_version(), measuring_policy(target));
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
          [this](const Point& point) { return digest_of(point); }, [this] { return make_store(); }, budget_,
          context_.console);
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
    keep_kernel(result);
    const cache::RecordResult stored = implementation_of(*runtime_).cache.tuning().record(
        {record_of(result, digest_of(result.point), now_us())});
    return stored.failed > 0
               ? "the store of the cache directory did not take it, as the warning says; mend that, and "
                 "the same command stores it"
           : stored.written + stored.kept > 0
               ? std::string()
               : std::string("there is no cache directory, or the record is not sound");
  }

  CommandContext& context_;
  const TuneOptions& options_;
  const std::vector<TuneTarget>& targets_;
  StopRules stop_rules_;
  SteeringData data_;
  TimeBudget budget_;
  std::string text_;
  int jobs_ = 1;
  std::optional<Runtime> runtime_;     ///< on the cache directory, for records and choices
  std::optional<Runtime> candidates_;  ///< on the one beside the trials
  std::string arch_;
  DeviceTraits traits_;
  const devices::DeviceDescription* description_ = nullptr;  ///< of the first device; null if there is none
};

}  // namespace

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

int tune_targets(CommandContext& context, const TuneOptions& options, const std::vector<TuneTarget>& targets,
                 const TimeBudget& budget) {
  return TargetRun(context, options, targets).run(budget);
}

Json plan_targets(CommandContext& context, const TuneOptions& options,
                  const std::vector<TuneTarget>& targets) {
  return TargetRun(context, options, targets).plan();
}

}  // namespace kerncast::tools
