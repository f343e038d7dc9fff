// Tunes the ops of the catalogue for a described device by the cost model, over their whole spaces, and says
// how far the op's own choices and the strategies are from the best. The times are estimates from exact
// counts of the virtual GPU, so the figures are the same on every machine, those of the tuner's own cost
// excepted.
//   bench_tune [--device NAME] [--rows ROWS]... [--points N] [--specialisations N] [--candidates N] [--plan]
//              [--prove N] [OP...]
// OP may be the start of a name. --specialisations: at most so many of each op, spread over all.
// --candidates: only points of at most so many candidates. --points: at most so many of what is left, spread
// over all. --plan: only print how many points, candidates and kernels each op has. --prove: only compare
// the counts that follow from fewer rows, of so many candidates of each point, with those of whole calls.
// Trials and kernels are kept in the folder that KERNCAST_TEST_CACHE names, if it is set, so that a
// second run makes none again. A bound on a part of the points is judged from 40 points on. At the end it
// prints each requirement with its bound, and exits with 1 if one is missed.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "runtime/dispatch/runtime_impl.hpp"
#include "tests/benchmarks/catalogue_options.hpp"
#include "tests/templates/catalogue/catalogue.hpp"
#include "tests/templates/kernel_cache.hpp"
#include "tools/profile/described_device.hpp"
#include "tools/tune/evaluate/estimate_evaluator.hpp"
#include "tools/tune/replay.hpp"
#include "tools/tune/tune_run.hpp"

namespace {

using namespace kerncast;
using Clock = std::chrono::steady_clock;

constexpr double near_default = 1.10;
constexpr double near_best = 1.02;
constexpr double few_trials = 0.3;
/// Fewer points do not judge a bound that 5 or 10 % of them may miss: in a small space, where 30 % are two
/// trials, one point is missed now and then.
constexpr std::size_t least_points = 40;
/// Guided search without the trials that it may make whatever the size of the space.
constexpr const char* strictly_guided = "guided:least=1";

struct Options {
  bench::CatalogueOptions catalogue;
  std::size_t points = static_cast<std::size_t>(-1);
  std::size_t specialisations = static_cast<std::size_t>(-1);
  std::size_t candidates = static_cast<std::size_t>(-1);
  bool plan = false;
  std::size_t prove = 0;

  [[nodiscard]] const devices::DeviceDescription& device() const { return *catalogue.devices.front(); }
};

void add_options(CLI::App& app, Options& options) {
  options.catalogue.devices = {&tools::require_device_description("h100")};
  options.catalogue.rows = {1, 8, 64, 512, 4096, 8192};
  bench::add_catalogue_options(app, options.catalogue);
  app.add_option("--points", options.points, "at most so many points, spread over all");
  app.add_option("--specialisations", options.specialisations, "at most so many of each op, spread over all");
  app.add_option("--candidates", options.candidates, "only points of at most so many candidates");
  app.add_flag("--plan", options.plan,
               "print the points, candidates and kernels of each op, and try nothing");
  app.add_option("--prove", options.prove,
                 "instead compare the counts of so many candidates of each point with those of whole calls");
}

/// At most `most` of `all`, evenly spread.
template <class Item>
std::vector<Item> thinned(const std::vector<Item>& all, std::size_t most) {
  std::vector<Item> kept;
  const std::size_t count = std::min(most, all.size());
  for (std::size_t i = 0; i < count; ++i) {
    kept.push_back(all[i * all.size() / count]);
  }
  return kept;
}

/// The workloads of the ops that `options` select, thinned out for each op.
std::vector<tools::Workload> workloads_of(const Options& options) {
  std::map<std::string, std::vector<tools::Workload>> by_op;
  for (tools::Workload& workload : test::catalogue_workloads()) {
    if (options.catalogue.wants(*workload.op) && !workload.op->tunables.empty()) {
      by_op[workload.op->name].push_back(std::move(workload));
    }
  }
  std::vector<tools::Workload> chosen;
  for (const auto& [name, workloads] : by_op) {
    for (tools::Workload& workload : thinned(workloads, options.specialisations)) {
      chosen.push_back(std::move(workload));
    }
  }
  return chosen;
}

/// The ops with few kernels come first, so that a run that is interrupted has covered most ops.
void put_large_ops_last(std::vector<tools::Point>& points) {
  std::map<const OpDefinition*, std::size_t> kernels;
  std::set<std::string> seen;
  for (const tools::Point& point : points) {
    if (seen.insert(point.op().name + " " + point.spec_text).second) {
      kernels[&point.op()] += tools::space_of(point).valid.size();
    }
  }
  std::stable_sort(points.begin(), points.end(), [&](const tools::Point& a, const tools::Point& b) {
    return kernels.at(&a.op()) < kernels.at(&b.op());
  });
}

/// The points of the catalogue that `options` select. Those of one specialisation follow each other, since
/// their kernels and counts are shared.
std::vector<tools::Point> points_of(const Options& options) {
  std::vector<tools::Point> points;
  std::set<std::string> seen;
  for (const tools::Workload& workload : workloads_of(options)) {
    for (const std::int64_t rows : options.catalogue.rows) {
      try {
        tools::Point point =
            tools::point_of(workload, options.device().arch, tools::traits_of(options.device()), rows);
        if (seen.insert(tools::describe(point)).second &&
            tools::space_of(point).valid.size() <= options.candidates) {
          points.push_back(std::move(point));
        }
      } catch (const Error&) {
        // This many rows need another specialisation, which is a workload of its own.
        continue;
      }
    }
  }
  put_large_ops_last(points);
  return thinned(points, options.points);
}

/// Prints the numbers of points, candidates and kernels of each op.
void print_plan(const std::vector<tools::Point>& points) {
  struct Size {
    std::size_t points = 0;
    std::size_t candidates = 0;
    std::set<std::string> kernels;
  };
  std::map<std::string, Size> by_op;
  for (const tools::Point& point : points) {
    Size& size = by_op[point.op().name];
    ++size.points;
    for (const tools::Candidate& candidate : tools::space_of(point).valid) {
      ++size.candidates;
      size.kernels.insert(point.spec_text + " " + candidate.text);
    }
  }
  Size all;
  std::size_t kernels = 0;
  fmt::print("{:<40} {:>8} {:>12} {:>8}\n", "op", "points", "candidates", "kernels");
  for (const auto& [name, size] : by_op) {
    fmt::print("{:<40} {:>8} {:>12} {:>8}\n", name, size.points, size.candidates, size.kernels.size());
    all.points += size.points;
    all.candidates += size.candidates;
    kernels += size.kernels.size();
  }
  fmt::print("{:<40} {:>8} {:>12} {:>8}\n", "all", all.points, all.candidates, kernels);
}

/// The outcome of a strategy that is replayed from the trials.
struct StrategySum {
  double trials = 0;       ///< sum of the parts of the spaces that it tried
  double worst = 1;        ///< the largest regret
  std::size_t within = 0;  ///< points where it is near the best by few trials
};

/// The sums over all points.
struct Sums {
  std::size_t points = 0;
  std::size_t failed = 0;   ///< points without a choice
  std::size_t near = 0;     ///< points where the default is near enough
  std::size_t slower = 0;   ///< points where the choice is slower than the default
  double wall_ms = 0;       ///< of the points of which every trial was made now
  double measuring_ms = 0;  ///< of the same points
  std::map<std::string, StrategySum> strategies;

  [[nodiscard]] double percent(std::size_t count) const {
    return points == 0 ? 0 : 100.0 * static_cast<double>(count) / static_cast<double>(points);
  }
};

/// Replays every strategy over the times of the whole space, and guided search also without the trials that
/// it may always make.
void replay(const tools::TuneResult& result, Sums& sums) {
  const tools::Space space = tools::space_of(result.point);
  const auto play = [&](const std::string& strategy) {
    const tools::ReplayedSearch replayed =
        tools::replay_search(tools::parse_strategy(strategy), 1, result.point, space, result.trials);
    const double part = static_cast<double>(replayed.trials) / static_cast<double>(replayed.candidates);
    StrategySum& sum = sums.strategies[strategy];
    sum.trials += part;
    sum.worst = std::max(sum.worst, replayed.regret);
    sum.within += part <= few_trials && replayed.regret <= near_best ? 1 : 0;
  };
  for (const tools::StrategyInfo& info : tools::strategies()) {
    play(info.name);
  }
  play(strictly_guided);
}

void tell(const tools::TuneResult& result, tools::EstimateEvaluator& evaluator, double wall_ms, Sums& sums) {
  if (!result.decided()) {
    fmt::print("{}: {}\n", tools::describe(result.point), result.error);
    ++sums.failed;
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
  replay(result, sums);
  if (ratio > near_default) {
    const tools::Space space = tools::space_of(result.point);
    fmt::print("{:5.2f}  {}:\n       the default {} takes {:.2f} us: {}\n       {} takes {:.2f} us: {}\n",
               ratio, tools::describe(result.point), result.own.text, result.own_time.median_us,
               evaluator.explain(result.point, result.own), quickest, best,
               evaluator.explain(result.point, space.valid[space.find(quickest)]));
    if (!result.reason.empty()) {
      fmt::print("       the default stays: {}\n", result.reason);
    }
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

/// One requirement of the table at the end.
struct Requirement {
  std::string text;
  std::string figure;
  std::string bound;
  bool holds = true;
  std::size_t points = least_points;  ///< that the figure is a part of; with fewer it is not judged

  [[nodiscard]] bool judged() const { return holds || points >= least_points; }
};

std::vector<Requirement> requirements_of(const Sums& sums, double resumed) {
  const double near = sums.percent(sums.near);
  const double within = sums.percent(sums.strategies.at(strictly_guided).within);
  std::vector<Requirement> made = {
      {"points whose choice is slower than the default, or that have none",
       fmt::format("{}", sums.slower + sums.failed), "0", sums.slower + sums.failed == 0},
      {"points whose default is within 10 % of the best", fmt::format("{:.1f} %", near), "at least 90 %",
       near >= 90, sums.points},
      {"points where guided search is within 2 % of the best by 30 % of the trials",
       fmt::format("{:.1f} %", within), "at least 95 %", within >= 95, sums.points},
      {"seconds until a search of 1000 trials is resumed", fmt::format("{:.3f}", resumed), "at most 1",
       resumed <= 1}};
  if (sums.measuring_ms > 0) {
    const double cost = sums.wall_ms / sums.measuring_ms;
    made.push_back({"time of the tuner, in times of its trials", fmt::format("{:.2f}", cost), "at most 1.2",
                    cost <= 1.2});
  }
  return made;
}

/// Prints the requirements. True if all hold.
bool print_requirements(const std::vector<Requirement>& requirements) {
  bool all = true;
  for (const Requirement& one : requirements) {
    fmt::print("{:<84} {:>9}  {:<14} {}\n", one.text, one.figure, one.bound,
               one.holds      ? "holds"
               : one.judged() ? "MISSED"
                              : "too few points to judge");
    all = all && (one.holds || !one.judged());
  }
  return all;
}

/// The number of counts of an op that were compared.
struct Proof {
  std::size_t evenly = 0;  ///< counts that follow from fewer rows
  std::size_t equal = 0;   ///< those of them that are exactly those of the whole call
  std::size_t others = 0;  ///< counts that do not follow from fewer rows
};

/// The first count in which two launches differ, in words; empty if there is none.
std::string difference(const devices::CostInput& a, const devices::CostInput& b) {
  const std::tuple<const char*, std::uint64_t, std::uint64_t> counts[] = {
      {"blocks", a.blocks, b.blocks},
      {"sectors", a.global_sectors, b.global_sectors},
      {"requests", a.global_requests, b.global_requests},
      {"bytes of memory", a.memory_bytes, b.memory_bytes},
      {"shared wavefronts", a.shared_wavefronts, b.shared_wavefronts},
      {"barriers", a.barriers, b.barriers},
      {"instructions of the longest warp", a.longest_warp, b.longest_warp},
      {"requests of the longest warp", a.longest_warp_requests, b.longest_warp_requests}};
  for (const auto& [name, one, other] : counts) {
    if (one != other) {
      return fmt::format("{} {}, and {}", one, name, other);
    }
  }
  const auto sorted = [](auto classes) {
    std::sort(classes.begin(), classes.end());
    return classes;
  };
  return sorted(a.warp_instructions) == sorted(b.warp_instructions) ? "" : "other instructions";
}

std::string difference(const tools::Counted& a, const tools::Counted& b) {
  if (a.stages.size() != b.stages.size()) {
    return "other launches";
  }
  for (std::size_t stage = 0; stage < a.stages.size(); ++stage) {
    if (std::string found = difference(a.stages[stage], b.stages[stage]); !found.empty()) {
      return found;
    }
  }
  return {};
}

/// Compares counts that follow from fewer rows with those of whole calls. True if all are equal.
bool prove(const Options& options, const std::vector<tools::Point>& points, Runtime& runtime) {
  tools::RunDevice device(runtime, 0);
  tools::TunablesSweep sweep(runtime, device, options.device().arch, tools::traits_of(options.device()));
  std::map<std::string, Proof> by_op;
  for (const tools::Point& point : points) {
    std::vector<Tunables> tunables;
    for (const tools::Candidate& candidate : thinned(tools::space_of(point).valid, options.prove)) {
      tunables.push_back(candidate.tunables);
    }
    const auto evenly = sweep.count_evenly(point.workload, point.rows, tunables);
    Proof& proof = by_op[point.op().name];
    for (std::size_t i = 0; i < tunables.size(); ++i) {
      if (!evenly[i]) {
        ++proof.others;
        continue;
      }
      ++proof.evenly;
      const tools::Counted whole = sweep.count_whole(point.workload, point.rows, {{tunables[i]}}).front();
      if (const std::string differs = difference(*evenly[i], whole); !differs.empty()) {
        fmt::print("{}: {} has {} in the whole call\n", tools::describe(point),
                   format_tunables(point.op(), tunables[i]), differs);
      } else {
        ++proof.equal;
      }
    }
    std::fflush(stdout);
  }
  bool all = true;
  fmt::print("{:<40} {:>12} {:>8} {:>8}\n", "op", "from fewer", "equal", "others");
  for (const auto& [name, proof] : by_op) {
    fmt::print("{:<40} {:>12} {:>8} {:>8}\n", name, proof.evenly, proof.equal, proof.others);
    all = all && proof.equal == proof.evenly;
  }
  return all;
}

/// The point with the most candidates.
const tools::Point& largest_of(const std::vector<tools::Point>& points) {
  return *std::max_element(points.begin(), points.end(), [](const tools::Point& a, const tools::Point& b) {
    return tools::space_of(a).valid.size() < tools::space_of(b).valid.size();
  });
}

/// True if every requirement holds.
bool run(const Options& options) {
  const std::string& arch = options.device().arch;
  const std::string plain = arch.substr(0, arch.find_last_of("0123456789") + 1);
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
                                     options.device(),
                                     search.nvrtc == nullptr ? std::string() : search.nvrtc->version());
  tools::TrialStore store(cache.path(), [](std::string_view text) { fmt::print(stderr, "{}\n", text); });
  tools::TunePolicy policy;
  policy.strategy = tools::parse_strategy("exhaustive");
  // Estimates do not drift, and candidates of one round share their inputs.
  policy.batch = 24;
  const std::atomic<bool> stop{false};
  Sums sums;
  const std::vector<tools::Point> points = points_of(options);
  if (points.empty()) {
    throw std::runtime_error("no point is selected");
  }
  if (options.plan) {
    print_plan(points);
    return true;
  }
  if (options.prove > 0) {
    return prove(options, points, runtime);
  }
  for (const tools::Point& point : points) {
    const auto start = Clock::now();
    const tools::TuneResult result =
        tools::tune_point(evaluator, store, point, builder.templates_digest(point.op(), point.spec), policy,
                          stop, [](const tools::TuneProgress&) {});
    tell(result, evaluator, std::chrono::duration<double, std::milli>(Clock::now() - start).count(), sums);
    std::fflush(stdout);
  }
  fmt::print("\n{} points on {}\n", sums.points, options.device().name);
  for (const auto& [name, sum] : sums.strategies) {
    fmt::print("{:<15} tries {:3.0f} % of a space; near the best by few trials at {:5.1f} %; worst {:.2f}\n",
               name, 100 * sum.trials / static_cast<double>(std::max<std::size_t>(sums.points, 1)),
               sums.percent(sum.within), sum.worst);
  }
  fmt::print("\n");
  return sums.points > 0 && print_requirements(requirements_of(sums, resume_seconds(largest_of(points))));
}

}  // namespace

int main(int count, char** arguments) try {
  CLI::App app(
      "Tunes the ops of the catalogue by the cost model, and says how far defaults and strategies are "
      "from the best");
  Options options;
  add_options(app, options);
  CLI11_PARSE(app, count, arguments);
  return run(options) ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
