// Compares each op with the kernel of another library that computes the same, at the points of
// upstream_points.hpp: the default tunables, counted by the virtual GPU and estimated by the cost model,
// beside the recorded estimate of theirs. The figures are the same on every machine.
//   bench_upstream [--device NAME]... [--rows ROWS]... [--past] [CASE...]
// CASE may be the start of a name of a case or of an op. --past: print only points past their bound. Compiled
// kernels are kept in the folder that KERNCAST_TEST_CACHE names, if it is set. It exits with 1 if a point is
// past its bound.
//
// Theirs were estimated by the formulas and constants that the cost model has today, so the times are
// compared as they are, to the two places that were recorded. A point's bound is 1.03 if memory holds up
// both, and 1.00 else. Memory holds up ours if its factor is the largest, and theirs if their time is at most
// 3 % over that factor and their launch overhead.
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "runtime/dispatch/source_text/source.hpp"
#include "tests/benchmarks/catalogue_options.hpp"
#include "tests/benchmarks/counting_gpu.hpp"
#include "tests/benchmarks/upstream_points.hpp"
#include "tools/profile/described_device.hpp"
#include "tools/tune/space/call_shape.hpp"
#include "tools/tune/space/tunables_sweep.hpp"

namespace {

using namespace kerncast;
using bench::UpstreamCase;
using bench::UpstreamPoint;

constexpr double memory_bound = 1.03;
/// Half a unit of the last place that was recorded.
constexpr double rounding_us = 0.005;
/// A call with more slots than these needs the specialisation of several blocks.
constexpr std::int64_t slots_of_one_block = 4096;

struct Options {
  std::vector<const devices::DeviceDescription*> devices;
  std::vector<std::int64_t> rows;
  std::vector<std::string> cases;
  bool past = false;

  [[nodiscard]] bool wants(const UpstreamPoint& point, const UpstreamCase& of) const {
    const auto starts = [&](const std::string& name) {
      return point.name.starts_with(name) || of.op.starts_with(name);
    };
    return (cases.empty() || std::any_of(cases.begin(), cases.end(), starts)) &&
           (rows.empty() || std::find(rows.begin(), rows.end(), point.rows) != rows.end());
  }
};

void add_options(CLI::App& app, Options& options) {
  for (const char* name : {"rtx4090", "h100", "b200"}) {
    options.devices.push_back(&tools::require_device_description(name));
  }
  bench::add_device_option(app, options.devices);
  app.add_option("--rows", options.rows, "only points of this row count; may be repeated")
      ->allow_extra_args(false);
  app.add_flag("--past", options.past, "print only points past their bound");
  app.add_option("CASE", options.cases, "cases to cover, by the beginnings of their or their ops' names");
}

const UpstreamCase& case_of(const UpstreamPoint& point) {
  const auto found = std::find_if(bench::upstream_cases.begin(), bench::upstream_cases.end(),
                                  [&](const UpstreamCase& one) { return one.name == point.name; });
  if (found == bench::upstream_cases.end()) {
    throw std::runtime_error(fmt::format("there is no case {}", point.name));
  }
  return *found;
}

tools::Workload workload_of(const UpstreamCase& of, std::int64_t rows) {
  tools::Workload workload;
  workload.op = OpRegistry::instance().find(of.op);
  if (workload.op == nullptr) {
    throw std::runtime_error(fmt::format("there is no op {}", of.op));
  }
  std::istringstream settings{std::string(of.params)};
  std::int64_t slots = 0;
  for (std::string setting; settings >> setting;) {
    const std::size_t equals = setting.find('=');
    workload.params.emplace_back(setting.substr(0, equals), setting.substr(equals + 1));
    slots = setting.starts_with("top_k=") ? rows * std::stoll(setting.substr(equals + 1)) : slots;
  }
  if (of.op == "moe.align_block_size" && slots > slots_of_one_block) {
    workload.params.emplace_back("split", "true");
  }
  return workload;
}

/// The rows of expert `e` that count: the first (e + 1) / experts of all `rows`, rounded up, as theirs had.
std::int64_t counted_rows(std::int64_t e, std::int64_t experts, std::int64_t rows) {
  return (rows * (e + 1) + experts - 1) / experts;
}

void fill_masks(std::vector<HostTensor>& inputs) {
  const auto mask = std::find_if(inputs.begin(), inputs.end(),
                                 [](const HostTensor& tensor) { return tensor.name == "masked_m"; });
  if (mask == inputs.end()) {
    return;
  }
  const std::int64_t experts = inputs.front().shape[0];
  for (std::int64_t e = 0; e < experts; ++e) {
    const auto counted = static_cast<std::int32_t>(counted_rows(e, experts, inputs.front().shape[1]));
    std::memcpy(mask->bytes.data() + static_cast<std::size_t>(e) * sizeof(counted), &counted,
                sizeof(counted));
  }
}

/// The bytes of the tensors of a call, of which those under a mask count in part.
std::uint64_t tensor_bytes(const tools::Workload& workload, std::int64_t rows) {
  const tools::CallBytes bytes = tools::bytes_of_call(workload, rows);
  const std::string_view masked = tools::param_of(workload, "experts");
  if (workload.op->name != "quant.silu_and_mul_per_token_group" || masked.empty()) {
    return bytes.read + bytes.written;
  }
  const std::int64_t experts = std::stoll(std::string(masked));
  std::int64_t counted = 0;
  for (std::int64_t e = 0; e < experts; ++e) {
    counted += counted_rows(e, experts, rows);
  }
  return (bytes.read + bytes.written) * static_cast<std::uint64_t>(counted) /
         static_cast<std::uint64_t>(experts * rows);
}

/// Ours at one point.
struct Ours {
  double us = 0;
  double memory_us = 0;  ///< the factors of memory bandwidth of all launches
  std::string factor;    ///< the largest factor of the longest launch
  std::uint64_t instructions = 0;
  std::uint64_t sectors = 0;
};

/// `bytes` are those of the tensors, which no launch moves more than once.
Ours ours_of(tools::Counted counted, std::uint64_t bytes, const devices::DeviceDescription& device) {
  if (counted.stages.empty()) {
    throw std::runtime_error(counted.defect);
  }
  Ours ours;
  double longest = -1;
  for (devices::CostInput& stage : counted.stages) {
    stage.memory_bytes = std::min(stage.memory_bytes, bytes);
    const devices::Estimate estimate = devices::estimate_cost(stage, device);
    ours.us += estimate.total_us;
    ours.sectors += stage.global_sectors;
    for (const auto& [unit, count] : stage.warp_instructions) {
      ours.instructions += count;
    }
    const auto most = std::max_element(estimate.factors.begin(), estimate.factors.end(),
                                       [](const devices::CostFactor& a, const devices::CostFactor& b) {
                                         return a.busiest_us < b.busiest_us;
                                       });
    for (const devices::CostFactor& factor : estimate.factors) {
      ours.memory_us += factor.name == "memory bandwidth" ? factor.us : 0;
    }
    if (estimate.total_us > longest && most != estimate.factors.end()) {
      longest = estimate.total_us;
      ours.factor = most->name;
    }
  }
  return ours;
}

/// Prints one point. True if it is within its bound.
bool tell(const UpstreamPoint& point, const UpstreamCase& of, const Ours& ours, const std::string& tunables,
          const devices::DeviceDescription& device, bool past) {
  const double theirs_at_memory = ours.memory_us + point.launches * device.launch_overhead_us;
  const bool memory = ours.factor == "memory bandwidth" && point.us <= memory_bound * theirs_at_memory;
  const double bound = memory ? memory_bound : 1.0;
  const bool within = ours.us <= bound * point.us + rounding_us;
  if (!within || !past) {
    fmt::print(
        "{:<8} {:<34} {:>5} rows  {:7.2f} us, theirs {:7.2f} us  {:5.3f} of {:4.2f} {:<4}  {:<16} {:>10} "
        "instructions, theirs {:>10}  {:>9} sectors, theirs {:>9}  {}, {}\n",
        device.name, point.name, point.rows, ours.us, point.us, ours.us / point.us, bound,
        within ? "" : "PAST", ours.factor, ours.instructions, point.instructions, ours.sectors, point.sectors,
        tunables, of.kernels);
    std::fflush(stdout);
  }
  return within;
}

/// The number of points that were told and of those past their bound.
struct Outcome {
  std::size_t points = 0;
  std::size_t past = 0;
};

/// Tells all points of one device.
Outcome compare(const Options& options, const devices::DeviceDescription& device) {
  bench::CountingGpu gpu(device);
  tools::TunablesSweep& sweep = gpu.sweep();
  sweep.change_inputs(fill_masks);
  Outcome outcome;
  for (const UpstreamPoint& point : bench::upstream_points) {
    const UpstreamCase& of = case_of(point);
    if (point.device != device.name || !options.wants(point, of)) {
      continue;
    }
    const tools::Workload workload = workload_of(of, point.rows);
    const Call call = tools::call_of(workload, point.rows);
    const Tunables defaults = workload.op->default_tunables(call.spec, tools::traits_of(device), call.rows);
    const std::vector<tools::Counted> counted = sweep.count(workload, point.rows, {&defaults, 1});
    ++outcome.points;
    outcome.past += tell(point, of, ours_of(counted.front(), tensor_bytes(workload, point.rows), device),
                         format_tunables(*workload.op, defaults), device, options.past)
                        ? 0
                        : 1;
  }
  return outcome;
}

/// Runs compare() in a process of its own, since the virtual GPU has one architecture in each.
Outcome compare_apart(const Options& options, const devices::DeviceDescription& device) {
  int ends[2];
  if (::pipe(ends) != 0) {
    throw std::runtime_error("cannot make a pipe");
  }
  const pid_t child = ::fork();
  if (child < 0) {
    throw std::runtime_error("cannot fork");
  }
  if (child == 0) {
    try {
      const Outcome outcome = compare(options, device);
      ::_exit(::write(ends[1], &outcome, sizeof(outcome)) == sizeof(outcome) ? 0 : 2);
    } catch (const std::exception& error) {
      fmt::print(stderr, "{}: {}\n", device.name, error.what());
      ::_exit(2);
    }
  }
  ::close(ends[1]);
  Outcome outcome;
  const bool whole = ::read(ends[0], &outcome, sizeof(outcome)) == sizeof(outcome);
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!whole || status != 0) {
    throw std::runtime_error(fmt::format("the points of {} were not compared", device.name));
  }
  return outcome;
}

}  // namespace

int main(int count, char** arguments) try {
  CLI::App app("Compares the ops with the kernels of other libraries by the cost model");
  Options options;
  add_options(app, options);
  CLI11_PARSE(app, count, arguments);
  Outcome all;
  for (const devices::DeviceDescription* device : options.devices) {
    const Outcome outcome = compare_apart(options, *device);
    all.points += outcome.points;
    all.past += outcome.past;
  }
  fmt::print("{} of {} points are past their bound\n", all.past, all.points);
  return all.points > 0 && all.past == 0 ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 2;
}
