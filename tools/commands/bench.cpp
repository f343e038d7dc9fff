#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <memory>
#include <new>
#include <set>

#include "runtime/dispatch/runtime_impl.hpp"
#include "runtime/driver/device.hpp"
#include "runtime/util/environment.hpp"
#include "runtime/util/nearest_name.hpp"
#include "tools/commands/command.hpp"
#include "tools/commands/op_workloads.hpp"
#include "tools/io/failure_cause.hpp"
#include "tools/io/output.hpp"
#include "tools/io/stop_on_interrupt.hpp"
#include "tools/io/time_text.hpp"
#include "tools/io/usage_error.hpp"
#include "tools/measure/bench_report.hpp"
#include "tools/measure/device_choice.hpp"
#include "tools/model/settings.hpp"

namespace kerncast::tools {
namespace {

constexpr const char* bench_help =
    "A sample is the time between two events around a graph of launches, by the launch. Contenders are "
    "sampled in turn, "
    "round by round, until every 95 % interval of a median is narrower than --width, or for --time. GB/s "
    "count every byte "
    "of a tensor once, and those that are read and written twice. A sample further from the median than 5 "
    "robust standard "
    "deviations (1.4826 MAD) is an outlier; it is counted and kept.\n"
    "--json prints {op device arch estimate policy data seed width peak_gb_per_s results[]}, a result for "
    "each shape, with:\n"
    "  op spec label rows ok error bytes launches copies cache_overwritten ended_by disturbed note\n"
    "  before after, each {sm_mhz memory_mhz celsius watts throttled}\n"
    "  times[{tunables key error median_us low_us high_us samples outliers gb_per_s of_peak gain{median low "
    "high pairs}\n"
    "    samples_us}]";

struct BenchOptions {
  std::string op;
  std::string model;
  bool best_effort = false;
  std::vector<std::string> settings;
  std::vector<std::int64_t> rows{1, 64, 4096};
  std::string device;
  std::vector<std::string> tunables;
  std::vector<std::string> against;
  std::string l2 = "cold";
  std::string launch = "graph";
  std::string data = "uniform";
  std::string time = "5s";
  std::string width = "2%";
  std::uint64_t seed = 0;
};

/// True if `text` is the second of two names. Throws UsageError, which names the nearest, if it is neither.
bool is_second(const std::string& option, const std::string& text, const std::string& first,
               const std::string& second) {
  if (text != first && text != second) {
    const std::string nearest = nearest_name(text, {first, second});
    throw UsageError(fmt::format(
        "{} {} is not known{}; it is {} or {}", option, text,
        nearest.empty() ? std::string() : fmt::format(" (did you mean {}?)", nearest), first, second));
  }
  return text == second;
}

/// The part that a text such as "2%" names.
double parse_width(const std::string& text) {
  constexpr double least = 0.01;
  constexpr double most = 100;
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  const std::size_t digits = text.find_first_not_of("0123456789.");
  if (digits == 0 || digits == std::string::npos || text.substr(digits) != "%" || *end != '%') {
    throw UsageError(fmt::format("--width {} is no percentage; write it as 2% or 0.5%", text));
  }
  if (value < least || value > most) {
    throw UsageError(fmt::format("--width {} must be from {:g}% to {:g}%; the nearest is {:g}%", text, least,
                                 most, std::clamp(value, least, most)));
  }
  return value / 100;
}

/// The contenders: the base first, if there is one.
std::vector<Contender> choose_contenders(const OpDefinition& op, const BenchOptions& options) {
  std::vector<Contender> contenders;
  if (options.against == std::vector<std::string>{"default"}) {
    contenders.push_back({Contender::Kind::defaults, {}});
  } else if (const auto base = parse_tunable_settings(op, options.against)) {
    contenders.push_back({Contender::Kind::given, *base});
  }
  const std::optional<Tunables> given = parse_tunable_settings(op, options.tunables);
  contenders.push_back(given ? Contender{Contender::Kind::given, *given} : Contender{});
  return contenders;
}

std::vector<std::int64_t> choose_rows(const BenchOptions& options) {
  std::vector<std::int64_t> rows = check_rows(options.rows);
  if (rows.empty() || rows.front() < 1) {
    throw UsageError("--rows 0: a call without rows launches nothing that could be timed; the least is 1");
  }
  return rows;
}

/// The request of all shapes; the shape's own fields are filled in for each.
BenchRequest make_request(const OpDefinition& op, const BenchOptions& options) {
  BenchRequest request;
  request.op = &op;
  request.contenders = choose_contenders(op, options);
  request.timing.l2 =
      is_second("--l2", options.l2, "cold", "warm") ? TimingPolicy::L2::warm : TimingPolicy::L2::cold;
  request.timing.launch = is_second("--launch", options.launch, "graph", "stream")
                              ? TimingPolicy::Launch::stream
                              : TimingPolicy::Launch::graph;
  request.rounds.width = parse_width(options.width);
  request.rounds.most_time = parse_duration("--time", options.time);
  request.rounds.seed = options.seed;
  request.rounds.interrupted = [] { return StopOnInterrupt::requested().load(); };
  request.data = parse_steering_data("--data", options.data);
  return request;
}

/// Note that the times of this device are no measurements; empty if they are.
std::string estimate_text(const DeviceChoice& choice, const RunDevice& device) {
  if (!device.is_virtual()) {
    return {};
  }
  const std::string clock = choice.simulated.empty() ? environment("KERNCAST_SIM_CLOCK") : choice.simulated;
  return clock.empty()
             ? "Times are how long the virtual GPU computes, and an estimate of no device; --device sim:h100 "
               "estimates one."
             : fmt::format("Times are an estimate: the virtual GPU follows the cost model of {}.", clock);
}

BenchSetting make_setting(const BenchRequest& request, const DeviceChoice& choice, const RunDevice& device,
                          const driver::DeviceInfo& info) {
  BenchSetting setting;
  setting.op = request.op->name;
  setting.device = device.name();
  setting.arch = device.arch();
  setting.estimate = estimate_text(choice, device);
  setting.policy = request.timing.text();
  setting.data = steering_tensors(*request.op).empty() ? std::string() : request.data.text();
  setting.seed = request.rounds.seed;
  setting.width = request.rounds.width;
  const bool has_peak = !device.is_virtual() || !choice.simulated.empty();
  setting.peak_gb_per_s = has_peak ? memory_gb_per_s(choice, info.memory_clock_khz, info.memory_bus_bits) : 0;
  return setting;
}

/// Measures one shape. What goes wrong is the row's error, except an error of usage.
BenchRow bench_row(DeviceSession& session, const DeviceMonitor& monitor, const BenchRequest& request,
                   const std::string& label) {
  BenchRow row;
  row.label = label;
  row.rows = request.rows;
  try {
    row.spec = format_specialisation(*request.op,
                                     specialise_settings(*request.op, {request.params, request.scalars}));
    if (!session.healthy()) {
      session.renew();
    }
    row.result = bench_call(session, monitor, request);
  } catch (const UsageError&) {
    throw;
  } catch (const std::bad_alloc&) {
    row.error = "out of host memory; use fewer rows";
  } catch (const std::exception& error) {
    row.error = error.what();
  }
  return row;
}

/// Reports the failures of a row, each cause once.
void report_failures(CommandContext& context, const BenchRow& row, const BenchSetting& setting,
                     std::set<std::string>& told) {
  std::vector<std::string> failures = {row.error};
  for (const BenchTimes& times : row.result.times) {
    failures.push_back(times.measured.defect);
  }
  for (const std::string& failure : failures) {
    const std::string cause = cause_of(failure, setting.op, row.spec, setting.arch);
    if (!failure.empty() && told.insert(cause).second) {
      context.console.error(fmt::format("{} [{}] with {} rows: {}", setting.op, row.spec, row.rows, cause));
    }
  }
}

int bench(CommandContext& context, const BenchOptions& options) {
  const OpDefinition& op = require_op(options.op);
  const DeviceChoice choice = parse_device_choice(options.device);
  BenchRequest request = make_request(op, options);
  const std::vector<std::int64_t> rows = choose_rows(options);
  const std::vector<Workload> workloads =
      choose_op_workloads(op, options.settings, options.model, options.best_effort, context.console);
  if (options.data != "uniform" && steering_tensors(op).empty()) {
    throw UsageError(fmt::format("--data {}: {} has no expert ids and no mask, so no data steer its time",
                                 options.data, op.name));
  }
  DeviceSession session(choice.apply(context.runtime_options()), choice.ordinal);
  const driver::DeviceInfo info = driver::query_device(session.device().api(), choice.ordinal);
  const DeviceMonitor monitor(info.uuid);
  request.timing.programmatic =
      implementation_of(session.runtime()).starts_early(op, session.runtime().traits(choice.ordinal));
  const BenchSetting setting = make_setting(request, choice, session.device(), info);

  std::vector<BenchRow> measured;
  std::set<std::string> told;
  const std::size_t total = workloads.size() * rows.size();
  const StopOnInterrupt guard;
  for (std::size_t i = 0; i < total && !StopOnInterrupt::requested().load(); ++i) {
    const Workload& workload = workloads[i / rows.size()];
    request.params = workload.params;
    request.scalars = workload.scalars;
    request.rows = rows[i % rows.size()];
    context.console.progress(i, total, fmt::format("{} with {} rows", op.name, request.rows));
    measured.push_back(bench_row(session, monitor, request, workload.label));
    report_failures(context, measured.back(), setting, told);
  }
  context.console.end_progress();
  if (context.json) {
    print_json(bench_json(setting, measured));
  } else {
    print(bench_table(setting, measured));
    print(bench_notes(setting, measured));
  }
  if (StopOnInterrupt::requested().load()) {
    context.console.note(fmt::format("stopped after {} of {} shapes", measured.size(), total));
    return exit_interrupted;
  }
  const bool all_fine =
      std::all_of(measured.begin(), measured.end(), [](const BenchRow& row) { return row.ok(); });
  return all_fine ? exit_fine : exit_failed;
}

}  // namespace

void add_bench_command(const Command& root, CommandContext& context) {
  const Command command = root.add("bench", "Measure the time of an op's kernels on a device");
  const auto options = std::make_shared<BenchOptions>();
  command.option("op", options->op, "Op, such as norm.rms_norm").required();
  command.option("--set", options->settings, "Parameters and scalars, such as hidden=7168; may be repeated")
      .value_name("NAME=VALUE");
  command.option("--model", options->model,
                 "Measure the op at each of its shapes in this model; --set overrides single values");
  command.flag("--best-effort", options->best_effort,
               "Also measure at the shapes of a model of unknown type, guessed from the names of its fields");
  command.option("--rows", options->rows, "Row (token) counts").separated().shows_default();
  command.option(
      "--device", options->device,
      "cuda:0, or sim:h100 for an estimate by the virtual GPU; default: the first device of the driver in "
      "use");
  command
      .option("--tunables", options->tunables,
              "Tunables to measure, such as threads=256,rows_per_block=1; all of the op's must be given. "
              "Default: what "
              "a launch would choose")
      .value_name("NAME=VALUE")
      .separated();
  command
      .option("--against", options->against,
              "Compare over the same rounds with `default`, the op's own tunables, or with these")
      .value_name("NAME=VALUE")
      .separated();
  command
      .option("--l2", options->l2,
              "cold: the tensors come from device memory; warm: they stay in the L2 cache")
      .shows_default();
  command
      .option("--launch", options->launch,
              "graph: as a CUDA graph launches; stream: with the host's cost of each launch")
      .shows_default();
  command
      .option("--data", options->data,
              "How expert ids and masks are drawn: uniform, zipf:EXPONENT, or recorded:FILE with tensors of "
              "their names "
              "in a safetensors file")
      .shows_default();
  command.option("--time", options->time, "The longest that one shape is measured").shows_default();
  command
      .option("--width", options->width, "Enough if every interval is narrower than this part of its median")
      .shows_default();
  command.option("--seed", options->seed, "Seed of the drawn data and of the order of the contenders")
      .shows_default();
  command.json_flag();
  command.footer(bench_help);
  command.action([&context, options] { return bench(context, *options); });
}

}  // namespace kerncast::tools
