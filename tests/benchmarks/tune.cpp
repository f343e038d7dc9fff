// Tunes the ops of the catalogue for a described device by the cost model, over their whole spaces, and says
// how far the op's own choices and the strategies are from the best. The times are estimates from exact
// counts of the virtual GPU, so the figures are the same on every machine, those of the tuner's own cost
// excepted.
//   bench_tune [--device NAME] [--rows ROWS]... [--points N] [OP...]
// OP may be the start of a name. --points: at most so many points, spread over all. Trials and kernels are
// kept in the folder that KERNCAST_TEST_CACHE names, if it is set, so that a second run makes none again.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "runtime/dispatch/runtime_impl.hpp"
#include "tests/templates/catalogue/catalogue.hpp"
#include "tests/templates/kernel_cache.hpp"
#include "tools/profile/described_device.hpp"
#include "tools/tune/evaluate/estimate_evaluator.hpp"
#include "tools/tune/report/tune_report.hpp"
#include "tools/tune/tune_run.hpp"

namespace {

using namespace kerncast;
using Clock = std::chrono::steady_clock;

constexpr double near_default = 1.10;

struct Options {
  const devices::DeviceDescription* device = &tools::require_device_description("h100");
  std::vector<std::int64_t> rows;
  std::vector<std::string> ops;
  std::size_t points = static_cast<std::size_t>(-1);
};

Options parse(int count, char** arguments) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string argument = arguments[i];
    const auto value = [&] {
      if (++i == count) {
        throw std::runtime_error(argument + " needs a value");
      }
      return std::string(arguments[i]);
    };
    if (argument == "--device") {
      options.device = &tools::require_device_description(value());
    } else if (argument == "--rows") {
      options.rows.push_back(std::atoll(value().c_str()));
    } else if (argument == "--points") {
      options.points = static_cast<std::size_t>(std::atoll(value().c_str()));
    } else {
      options.ops.push_back(argument);
    }
  }
  if (options.rows.empty()) {
    options.rows = {1, 16, 256, 4096};
  }
  return options;
}

/// The points of the catalogue that `options` select, evenly thinned out to as many as they allow.
std::vector<tools::Point> points_of(const Options& options) {
  std::vector<tools::Point> points;
  std::set<std::string> seen;
  for (const tools::Workload& workload : test::catalogue_workloads()) {
    const bool wanted = options.ops.empty() ||
                        std::any_of(options.ops.begin(), options.ops.end(), [&](const std::string& name) {
                          return workload.op->name.starts_with(name);
                        });
    for (const std::int64_t rows : wanted ? options.rows : std::vector<std::int64_t>()) {
      try {
        tools::Point point =
            tools::point_of(workload, options.device->arch, tools::traits_of(*options.device), rows);
        if (!point.op().tunables.empty() && seen.insert(tools::describe(point)).second) {
          points.push_back(std::move(point));
        }
      } catch (const Error&) {
        // This many rows need another specialisation, which is a workload of its own.
        continue;
      }
    }
  }
  std::vector<tools::Point> thinned;
  const std::size_t most = std::min(options.points, points.size());
  for (std::size_t i = 0; i < most; ++i) {
    thinned.push_back(points[i * points.size() / most]);
  }
  return thinned;
}

/// The sums over all points.
struct Sums {
  std::size_t points = 0;
  std::size_t near = 0;     ///< points where the default is near enough
  std::size_t slower = 0;   ///< points where the choice is slower than the default
  double wall_ms = 0;       ///< of the points of which every trial was made now
  double measuring_ms = 0;  ///< of the same points
};

void tell(const tools::TuneResult& result, double wall_ms, Sums& sums) {
  if (!result.decided()) {
    fmt::print("{}: {}\n", tools::describe(result.point), result.error);
    return;
  }
  double best = result.own_time.median_us;
  std::string quickest = result.own.text;
  for (const tools::Trial& trial : result.trials) {
    if (trial.timed() && trial.samples_us.front() < best) {
      best = trial.samples_us.front();
      quickest = trial.tunables;
    }
  }
  ++sums.points;
  const double ratio = result.own_time.median_us / best;
  sums.near += ratio <= near_default ? 1 : 0;
  sums.slower += result.chosen_time.median_us > result.own_time.median_us ? 1 : 0;
  if (result.stored == 0) {
    sums.wall_ms += wall_ms;
    sums.measuring_ms += result.measuring_ms;
  }
  if (ratio > near_default) {
    fmt::print("{:5.2f}  {}: {} takes {:.2f} us, {} {:.2f} us{}\n", ratio, tools::describe(result.point),
               result.own.text, result.own_time.median_us, quickest, best,
               result.reason.empty() ? "" : "; " + result.reason);
  }
}

/// Seconds that a finished search of a thousand stored trials takes to be resumed.
double resume_seconds(const tools::Point& point) {
  const TemporaryDirectory folder;
  const tools::Space space = tools::space_of(point);
  const cache::KeyFieldList fields = {{"op", "resumed"}};
  std::vector<tools::Trial> trials(1000);
  for (std::size_t i = 0; i < trials.size(); ++i) {
    trials[i].tunables = space.valid[i % space.valid.size()].text;
    trials[i].samples_us.assign(60, 3.0 + static_cast<double>(i % 17));
    trials[i].default_us.assign(60, 5.0);
  }
  tools::TrialStore(folder.path(), nullptr).append(fields, trials);
  const auto start = Clock::now();
  const std::vector<tools::Trial> loaded = tools::TrialStore(folder.path(), nullptr).load(fields);
  static_cast<void>(tools::replay_search(tools::parse_strategy("guided:share=1"), 1, point, space, loaded));
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void run(const Options& options) {
  const std::string plain =
      options.device->arch.substr(0, options.device->arch.find_last_of("0123456789") + 1);
  ::setenv("KERNCAST_SIM_ARCH", plain.c_str(), 1);
  ::setenv("KERNCAST_SIM_CHECKS", "off", 1);
  const test::KernelCache cache;
  const auto runtime_options = [&] {
    RuntimeOptions made;
    made.cache_directory = cache.path();
    made.cache_max_bytes = 0;
    made.cache_max_entries = 0;
    made.driver = "sim";
    return made;
  };
  Runtime runtime(runtime_options());
  KernelBuilder& builder = implementation_of(runtime).builder;
  tools::CandidateCompiler compiler(runtime, std::max(1U, std::thread::hardware_concurrency()));
  const compiler::NvrtcSearch& search = builder.nvrtc();
  tools::EstimateEvaluator evaluator([&] { return std::make_unique<Runtime>(runtime_options()); }, compiler,
                                     *options.device,
                                     search.nvrtc == nullptr ? std::string() : search.nvrtc->version());
  tools::TrialStore store(cache.path(), [](std::string_view text) { fmt::print(stderr, "{}\n", text); });
  tools::TunePolicy policy;
  policy.strategy = tools::parse_strategy("exhaustive");
  const std::atomic<bool> stop{false};
  Sums sums;
  const std::vector<tools::Point> points = points_of(options);
  for (const tools::Point& point : points) {
    const auto start = Clock::now();
    const tools::TuneResult result =
        tools::tune_point(evaluator, store, point, builder.templates_digest(point.op()), policy, stop,
                          [](const tools::TuneProgress&) {});
    tell(result, std::chrono::duration<double, std::milli>(Clock::now() - start).count(), sums);
    std::fflush(stdout);
  }
  const auto part = [&](std::size_t count) {
    return sums.points == 0 ? 0 : 100.0 * static_cast<double>(count) / static_cast<double>(sums.points);
  };
  fmt::print(
      "\n{} points on {}; slower than the default at {}; the default within 10 % of the best at {:.1f} %\n",
      sums.points, options.device->name, sums.slower, part(sums.near));
  if (sums.measuring_ms > 0) {
    fmt::print("the tuner took {:.2f} times its trials\n", sums.wall_ms / sums.measuring_ms);
  }
  const tools::TuneReport report = tools::make_tune_report(
      store.list(), true, [&](const OpDefinition& op) { return builder.templates_digest(op); });
  for (const tools::ReportedStrategy& strategy : report.strategies) {
    fmt::print(
        "{:<11} tries {:3.0f} % of {} spaces, and is within 2 % of the best by few trials at {:.1f} %\n",
        strategy.name, 100 * strategy.trials, strategy.points,
        100.0 * static_cast<double>(strategy.within) /
            static_cast<double>(std::max<std::size_t>(strategy.points, 1)));
  }
  if (!points.empty()) {
    fmt::print("a search of 1000 trials is resumed in {:.3f} s\n", resume_seconds(points.back()));
  }
}

}  // namespace

int main(int count, char** arguments) try {
  run(parse(count, arguments));
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
