// Compares each op's default tunables with every combination of their values, at every shape of the
// catalogue, for few and many rows, on each device. The times are the cost model's, computed from exact
// counts of the virtual GPU, so the output is the same on every machine. Each line has the estimate of the
// default, that of the best, and their ratio (the regret), with and without launch overhead.
//   bench_defaults [--device NAME]... [--rows ROWS]... [--variants] [--coarse] [--list] [--over RATIO]
//   [OP...]
// OP may be the start of a name. --variants: only shapes that differ in more than sizes. --coarse: of many
// values only the powers of two. --list: also the estimates of every combination, with the instructions of
// its longest warp. --over: only lines with a regret above RATIO; the summary still counts all. Compiled
// kernels are kept in the folder that KERNCAST_TEST_CACHE names, if it is set.
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <string>
#include <vector>

#include "runtime/dispatch/source_text/source.hpp"
#include "tests/benchmarks/catalogue_options.hpp"
#include "tests/benchmarks/counting_gpu.hpp"
#include "tests/templates/catalogue/catalogue.hpp"
#include "tests/templates/catalogue/launchable_tunables.hpp"
#include "tools/profile/described_device.hpp"
#include "tools/tune/space/call_shape.hpp"
#include "tools/tune/space/tunables_sweep.hpp"

namespace {

using namespace kerncast;

struct Options {
  bench::CatalogueOptions catalogue;
  double over = 0;
  bool variants = false;
  bool list = false;
  bool coarse = false;
};

/// One line of the output: the regret of an op's default tunables.
struct Verdict {
  std::string op;
  double regret = 0;
  double device_regret = 0;
};

/// Only the grouping launches depend on this tunable, so it is tried with the best of the others alone.
constexpr const char* separate_op = "moe.permute";
constexpr const char* separate_tunable = "grouping_threads";

/// Devices and rows that are not chosen have their defaults.
void add_options(CLI::App& app, Options& options) {
  for (const char* name : {"a100", "rtx4090", "h100", "b200"}) {
    options.catalogue.devices.push_back(&tools::require_device_description(name));
  }
  options.catalogue.rows = {1, 16, 256, 4096};
  bench::add_catalogue_options(app, options.catalogue);
  app.add_option("--over", options.over, "print only lines with a regret above this");
  app.add_flag("--list", options.list, "print the estimate of every combination too");
  app.add_flag("--coarse", options.coarse, "of many values only the powers of two");
  app.add_flag("--variants", options.variants, "only shapes that differ in more than sizes");
}

/// The combinations to try first. second_tries() gives the other choices of the separate tunable.
std::vector<Tunables> first_tries(const OpDefinition& op, const Call& call, const DeviceTraits& traits,
                                  bool coarse, const Tunables& defaults) {
  std::vector<Tunables> tries = test::launchable_tunables(op, call, traits, coarse);
  if (std::find(tries.begin(), tries.end(), defaults) == tries.end()) {
    tries.push_back(defaults);
  }
  if (op.name == separate_op) {
    std::erase_if(tries, [&](const Tunables& made) {
      for (std::size_t i = 0; i < op.tunables.size(); ++i) {
        if (op.tunables[i].name == separate_tunable && made[i] != defaults[i]) {
          return true;
        }
      }
      return false;
    });
  }
  return tries;
}

std::vector<Tunables> second_tries(const OpDefinition& op, const Tunables& best) {
  std::vector<Tunables> tries;
  for (std::size_t i = 0; i < op.tunables.size() && op.name == separate_op; ++i) {
    for (const std::int32_t choice : tunable_values(op.tunables[i])) {
      if (op.tunables[i].name == separate_tunable && choice != best[i]) {
        tries.push_back(best);
        tries.back().values[i] = choice;
      }
    }
  }
  return tries;
}

/// Replaces `best` by each combination that is faster by more than rounding.
void take_faster(const std::vector<tools::Counted>& counted, const devices::DeviceDescription& device,
                 Tunables& best, tools::CallTime& best_time, double& least_device) {
  for (const tools::Counted& made : counted) {
    const tools::CallTime time = tools::estimate_call(made, device);
    least_device = std::min(least_device, time.device_us);
    if (time.total_us < best_time.total_us * (1 - 1e-9)) {
      best = made.tunables;
      best_time = time;
    }
  }
}

void judge(tools::TunablesSweep& sweep, const devices::DeviceDescription& device,
           const tools::Workload& workload, std::int64_t rows, const Options& options, std::FILE* lines) {
  const OpDefinition& op = *workload.op;
  Call call;
  try {
    call = tools::call_of(workload, rows);
  } catch (const Error&) {
    // This many rows need another specialisation, which is a workload of its own.
    return;
  }
  const Tunables defaults = op.default_tunables(call.spec, tools::traits_of(device), call.rows);
  const std::vector<tools::Counted> first =
      sweep.count(workload, rows, first_tries(op, call, tools::traits_of(device), options.coarse, defaults));
  const auto own = std::find_if(first.begin(), first.end(),
                                [&](const tools::Counted& made) { return made.tunables == defaults; });
  if (own == first.end()) {
    throw std::runtime_error(op.name + ": the default is not among the choices");
  }
  const tools::CallTime time = tools::estimate_call(*own, device);
  for (const tools::Counted& made : options.list ? first : std::vector<tools::Counted>()) {
    const tools::CallTime one = tools::estimate_call(made, device);
    fmt::print(lines, "    {:<64} {:8.2f} us {:8.2f} us without launch overhead",
               format_tunables(op, made.tunables), one.total_us, one.device_us);
    for (const devices::CostInput& stage : made.stages) {
      fmt::print(lines, "  {} blocks of {} warps, {} registers, longest warp {}", stage.blocks,
                 stage.warps_per_block, stage.resources.registers, stage.longest_warp);
    }
    fmt::print(lines, "\n");
  }
  Tunables best = defaults;
  tools::CallTime best_time = time;
  double least_device = time.device_us;
  take_faster(first, device, best, best_time, least_device);
  take_faster(sweep.count(workload, rows, second_tries(op, best)), device, best, best_time, least_device);
  fmt::print(lines,
             "{}\t{:.4f}\t{:.4f}\t{:<36} {:<8} {:>5} rows  {:<64} {:8.2f} us  best {:<64} {:8.2f} us  {}\n",
             op.name, time.total_us / best_time.total_us, time.device_us / least_device, op.name, device.name,
             rows, format_tunables(op, defaults), time.total_us, format_tunables(op, best),
             best_time.total_us, format_specialisation(op, call.spec));
}

/// Writes all lines of one device. It runs in a process of its own, since the virtual GPU has one
/// architecture in each.
void judge_device(const Options& options, const devices::DeviceDescription& device, std::FILE* lines) {
  bench::CountingGpu gpu(device);
  tools::TunablesSweep& sweep = gpu.sweep();
  for (const tools::Workload& workload :
       options.variants ? test::catalogue_variants() : test::catalogue_workloads()) {
    if (!options.catalogue.wants(*workload.op)) {
      continue;
    }
    for (const std::int64_t rows : options.catalogue.rows) {
      judge(sweep, device, workload, rows, options, lines);
    }
  }
  std::fflush(lines);
}

pid_t start(const Options& options, const devices::DeviceDescription& device, std::FILE* lines) {
  const pid_t child = ::fork();
  if (child < 0) {
    throw std::runtime_error("cannot fork");
  }
  if (child > 0) {
    return child;
  }
  try {
    judge_device(options, device, lines);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}: {}\n", device.name, error.what());
    ::_exit(1);
  }
  ::_exit(0);
}

/// Prints the lines of one device with a regret above `over`, and adds all verdicts to `verdicts`.
void report(std::FILE* lines, double over, std::vector<Verdict>& verdicts) {
  std::fseek(lines, 0, SEEK_SET);
  char* text = nullptr;
  std::size_t room = 0;
  while (::getline(&text, &room, lines) > 0) {
    const std::string line(text);
    const std::size_t first = line.find('\t');
    if (first == std::string::npos) {
      fmt::print("{}", line);
      continue;
    }
    const std::size_t second = line.find('\t', first + 1);
    const std::size_t third = line.find('\t', second + 1);
    Verdict& verdict = verdicts.emplace_back();
    verdict.op = line.substr(0, first);
    verdict.regret = std::atof(line.substr(first + 1, second - first - 1).c_str());
    verdict.device_regret = std::atof(line.substr(second + 1, third - second - 1).c_str());
    if (verdict.regret > over) {
      fmt::print("{:5.2f} {:5.2f}  {}", verdict.regret, verdict.device_regret, line.substr(third + 1));
    }
  }
  std::free(text);
}

void summarise(const std::vector<Verdict>& verdicts) {
  struct Sum {
    double worst = 0;
    double logs = 0;
    double worst_device = 0;
    double device_logs = 0;
    int count = 0;
    int over = 0;
  };
  std::map<std::string, Sum> sums;
  for (const Verdict& verdict : verdicts) {
    for (const std::string& name : {verdict.op, std::string("~ all ops")}) {
      Sum& sum = sums[name];
      sum.worst = std::max(sum.worst, verdict.regret);
      sum.logs += std::log(verdict.regret);
      sum.worst_device = std::max(sum.worst_device, verdict.device_regret);
      sum.device_logs += std::log(verdict.device_regret);
      sum.over += verdict.regret > 1.10 ? 1 : 0;
      ++sum.count;
    }
  }
  fmt::print("\n{:<36} {:>6} {:>6} {:>6} {:>6}   without launch overhead\n", "regret", "cases", ">1.10",
             "worst", "mean");
  for (const auto& [name, sum] : sums) {
    fmt::print("{:<36} {:>6} {:>6} {:>6.2f} {:>6.3f} {:>10.2f} {:>6.3f}\n", name, sum.count, sum.over,
               sum.worst, std::exp(sum.logs / sum.count), sum.worst_device,
               std::exp(sum.device_logs / sum.count));
  }
}

}  // namespace

int main(int count, char** arguments) try {
  CLI::App app("Compares each op's default tunables with every combination of their values");
  Options options;
  add_options(app, options);
  CLI11_PARSE(app, count, arguments);
  constexpr std::size_t at_once = 2;
  std::vector<std::FILE*> lines;
  std::vector<pid_t> running;
  int failed = 0;
  const auto wait_for = [&](pid_t child) {
    int status = 0;
    ::waitpid(child, &status, 0);
    failed += status == 0 ? 0 : 1;
  };
  for (const devices::DeviceDescription* device : options.catalogue.devices) {
    if (running.size() >= at_once) {
      wait_for(running[running.size() - at_once]);
    }
    lines.push_back(std::tmpfile());
    if (lines.back() == nullptr) {
      throw std::runtime_error("cannot make a temporary file");
    }
    running.push_back(start(options, *device, lines.back()));
  }
  for (std::size_t i = running.size() - std::min(running.size(), at_once); i < running.size(); ++i) {
    wait_for(running[i]);
  }
  std::vector<Verdict> verdicts;
  for (std::FILE* file : lines) {
    report(file, options.over, verdicts);
  }
  summarise(verdicts);
  return failed == 0 ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
