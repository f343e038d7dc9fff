#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <set>

#include "tools/commands/command.hpp"
#include "tools/io/failure_cause.hpp"
#include "tools/io/file.hpp"
#include "tools/io/output.hpp"
#include "tools/io/safetensors.hpp"
#include "tools/io/stop_on_interrupt.hpp"
#include "tools/io/usage_error.hpp"
#include "tools/model/coverage.hpp"
#include "tools/model/model_config.hpp"
#include "tools/model/model_report.hpp"
#include "tools/model/quant_scheme.hpp"
#include "tools/model/settings.hpp"
#include "tools/model/workload.hpp"
#include "tools/run/op_run.hpp"
#include "tools/run/stored_layout.hpp"

namespace kerncast::tools {
namespace {

struct RunOptions {
  std::string model;
  std::vector<std::int64_t> rows{1, 16};
  std::string quant;
  std::string op;
  std::vector<std::string> in;
  std::string out;
  std::vector<std::string> settings;
  bool no_check = false;
  bool best_effort = false;
  int device = 0;
};

/// One line of the result table.
struct RunRow {
  OpRunResult result;
  std::string label;
  std::int64_t rows = 0;
  std::string error;

  [[nodiscard]] bool ok() const { return error.empty(); }
};

bool is_input(const OpDefinition& op, std::string_view name) {
  return std::any_of(op.tensors.begin(), op.tensors.end(), [&](const TensorSpec& spec) {
    return spec.name == name && spec.direction != Direction::out;
  });
}

Json number_or_null(double value) {
  return std::isfinite(value) ? Json(value) : Json();
}

Json to_json(const RunRow& row, const std::string& device) {
  const KernelReport& report = row.result.report;
  const bool ran = !report.key.empty();
  Json json = {{"op", report.op},
               {"spec", report.spec},
               {"arch", report.arch},
               {"label", row.label},
               {"rows", row.rows}};
  json["cached"] = ran && report.origin != Origin::compiled;
  json["compile_ms"] = report.compile_ms;
  json["load_us"] = report.load_us;
  json["dispatch_ns"] = ran ? number_or_null(row.result.dispatch_ns) : Json();
  json["max_error"] = row.result.checked ? number_or_null(row.result.verdict.max_error) : Json();
  json["checked"] = row.result.checked;
  json["ok"] = row.ok();
  json["device"] = device;
  json["tunables"] = report.tunables;
  json["key"] = report.key;
  if (!row.ok()) {
    json["error"] = row.error;
  }
  return json;
}

Table new_table() {
  return Table({{"op"},
                {"specialisation"},
                {"rows", Align::right},
                {"compile ms", Align::right},
                {"load µs", Align::right},
                {"dispatch ns", Align::right},
                {"max error ulp", Align::right}});
}

void add_row(Table& table, const RunRow& row) {
  const KernelReport& report = row.result.report;
  const bool launched = !report.key.empty();
  std::string compile = "-";
  if (launched) {
    compile = report.origin == Origin::compiled ? fixed(report.compile_ms, 1) : "cached";
  }
  std::string error = row.result.checked ? fixed(row.result.verdict.max_error, 3) : "-";
  if (!row.ok()) {
    error = "FAILED";
  }
  // If an earlier row loaded the kernel, it was not loaded again and has no load time.
  table.add_row({report.op, report.spec, fmt::format("{}", row.rows), compile,
                 launched && report.load_us > 0 ? fixed(report.load_us, 1) : "-",
                 launched ? fixed(row.result.dispatch_ns, 0) : "-", error});
}

/// Counts runs, for the last line of the output.
struct RunCounts {
  std::size_t right = 0;
  std::size_t unchecked = 0;
  std::size_t failed = 0;
  std::size_t compiled = 0;
  std::chrono::steady_clock::time_point started = std::chrono::steady_clock::now();

  void add(const RunRow& row) {
    ++(!row.ok() ? failed : row.result.checked ? right : unchecked);
    const KernelReport& report = row.result.report;
    compiled += !report.key.empty() && report.origin == Origin::compiled ? 1 : 0;
  }
  [[nodiscard]] std::string text(const std::string& device) const {
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    return fmt::format("{} right{}{}, {} compiled, {} s, on {}\n", counted(right, "run"),
                       unchecked == 0 ? "" : fmt::format(", {} not checked", unchecked),
                       failed == 0 ? "" : fmt::format(", {} failed", failed), counted(compiled, "kernel"),
                       fixed(seconds, seconds < 10 ? 1 : 0), device);
  }
};

/// Runs `work` and stores the message of an exception as the row's error.
template <class Work>
void guarded(RunRow& row, Work work) {
  try {
    work();
  } catch (const std::bad_alloc&) {
    row.error = "out of host memory; use fewer rows";
  } catch (const std::exception& error) {
    row.error = error.what();
  }
}

/// One call of a model, and its inputs, which another thread prepares.
struct PlannedRow {
  const Workload* workload = nullptr;
  std::int64_t rows = 0;
  std::future<std::vector<HostTensor>> inputs;

  void prepare() {
    inputs = std::async(std::launch::async, synthetic_inputs, std::cref(*workload->op),
                        std::cref(workload->params), std::cref(workload->scalars), rows);
  }
};

/// Runs one call. The result's verdict may still be pending.
RunRow run_row(Runtime& runtime, RunDevice& device, PlannedRow& plan) {
  const Workload& workload = *plan.workload;
  RunRow row;
  row.label = workload.label;
  row.rows = plan.rows;
  row.result.report.op = workload.op->name;
  row.result.report.arch = device.arch();
  guarded(row, [&] {
    row.result.report.spec = format_specialisation(*workload.op, specialise(*workload.op, workload.params));
    OpRunRequest request;
    request.op = workload.op;
    request.inputs = plan.inputs.get();
    request.params = workload.params;
    request.scalars = workload.scalars;
    request.check_aside = true;
    row.result = run_op(runtime, device, request);
  });
  return row;
}

void await_verdict(RunRow& row) {
  guarded(row, [&] {
    if (row.result.pending.valid()) {
      row.result.verdict = row.result.pending.get();
    }
    if (row.ok() && row.result.checked && !row.result.verdict.ok) {
      row.error = fmt::format("wrong result: {}", row.result.verdict.detail);
    }
  });
}

/// Bytes of the inputs of a call of one row; 0 if there is no such call.
std::int64_t input_bytes(const Workload& workload) {
  Bindings bindings;
  for (const auto& [name, value] : workload.params) {
    bindings.set_param(name, value);
  }
  std::int64_t bytes = 0;
  try {
    for (const TensorPlan& plan : workload.op->plan_inputs(bindings, 1)) {
      bytes += storage_elements(plan) * size_of(plan.dtype);
    }
  } catch (const Error&) {
    return 0;
  }
  return bytes;
}

/// A run draws no more bytes than this for a row: the matrices of all experts of a model take gigabytes.
constexpr std::int64_t most_matrices = std::int64_t{256} << 20U;

int run_model(CommandContext& context, const RunOptions& options) {
  const ModelReading reading = load_model(options.model);
  announce_model(reading, context.console);
  require_known(reading, options.best_effort);
  const QuantSelection quant(options.quant, reading.schemes);
  const ModelConfig& model = reading.config;
  const std::vector<std::int64_t> rows = check_rows(options.rows);
  Runtime runtime(context.runtime_options());
  RunDevice device(runtime, options.device);
  const std::vector<Workload> workloads = workloads_of(model);
  for (const UncoveredPart& part : uncovered_parts(model, workloads, quant.schemes())) {
    context.console.warning(fmt::format("{}: not run: {}", model.name, part.why));
  }
  Json list = Json::array();
  Table table = new_table();
  std::set<std::string> told;
  RunCounts counts;
  std::vector<PlannedRow> plans;
  for (const Workload& workload : workloads) {
    if (!quant.includes(workload)) {
      continue;
    }
    if (const std::int64_t bytes = input_bytes(workload); bytes > most_matrices) {
      context.console.warning(fmt::format(
          "{}: not run: {}, {}: its inputs have {} MiB, and a run draws at most {}; measure it by kerncast "
          "bench {} --model {}",
          model.name, workload.op->name, workload.label, bytes >> 20U, most_matrices >> 20U,
          workload.op->name, options.model));
      continue;
    }
    for (const std::int64_t count : rows) {
      plans.push_back({&workload, count, {}});
    }
  }
  const auto finish = [&](RunRow& row) {
    await_verdict(row);
    list.push_back(to_json(row, device.name()));
    add_row(table, row);
    counts.add(row);
    const KernelReport& report = row.result.report;
    const std::string cause = cause_of(row.error, report.op, report.spec, report.arch);
    if (!row.ok() && told.insert(cause).second) {
      context.console.error(fmt::format("{} [{}] with {} rows: {}", report.op, report.spec, row.rows, cause));
    }
  };
  // While a call runs, the inputs of the next one are drawn and the results of the previous one are checked.
  const StopOnInterrupt guard;
  std::size_t left = 0;
  std::optional<RunRow> last;
  if (!plans.empty()) {
    plans[0].prepare();
  }
  for (std::size_t i = 0; i < plans.size(); ++i) {
    if (StopOnInterrupt::requested().load()) {
      left = plans.size() - i;
      break;
    }
    context.console.progress(i, plans.size(), plans[i].workload->op->name);
    plans[i].inputs.wait();
    if (i + 1 < plans.size()) {
      plans[i + 1].prepare();
    }
    RunRow row = run_row(runtime, device, plans[i]);
    if (last) {
      finish(*last);
    }
    last = std::move(row);
  }
  if (last) {
    finish(*last);
  }
  context.console.end_progress();
  if (context.json) {
    print_json(list);
  } else {
    print(table);
    print(counts.text(device.name()));
  }
  if (left > 0) {
    context.console.note(fmt::format("stopped with {} runs left; what was compiled is kept", left));
    return exit_interrupted;
  }
  if (plans.empty()) {
    context.console.error(
        fmt::format("nothing was run: no op of this build serves {} with these options", model.name));
    return exit_failed;
  }
  return counts.failed > 0 ? exit_failed : exit_fine;
}

/// Reads the tensors of all files. The first file that has a name wins.
std::vector<StoredTensor> read_inputs(const OpDefinition& op, const std::vector<std::string>& paths,
                                      std::vector<SkippedTensor>& skipped) {
  std::vector<StoredTensor> all;
  for (const std::string& path : paths) {
    for (StoredTensor& tensor : read_safetensors(path, &skipped)) {
      const bool there =
          std::any_of(all.begin(), all.end(), [&](const StoredTensor& t) { return t.name == tensor.name; });
      if (!there) {
        all.push_back(std::move(tensor));
      }
    }
  }
  for (const SkippedTensor& tensor : skipped) {
    if (is_input(op, tensor.name)) {
      throw Error(ErrorCode::invalid_argument,
                  fmt::format("{}: tensor {} {}", op.name, tensor.name, tensor.why));
    }
  }
  return all;
}

/// The ops that quantise with scales of one byte call them sf, and the op that reads any scales calls them s.
void rename_scales(const OpDefinition& op, std::vector<StoredTensor>& stored) {
  const auto find = [&](std::string_view name) {
    return std::find_if(stored.begin(), stored.end(), [&](const StoredTensor& t) { return t.name == name; });
  };
  if (const auto scales = find("sf");
      scales != stored.end() && find("s") == stored.end() && is_input(op, "s") && !is_input(op, "sf")) {
    scales->name = "s";
  }
}

/// Selects the op's inputs from the tensors of the files. A note names the other tensors.
std::vector<HostTensor> pick_inputs(CommandContext& context, const OpDefinition& op,
                                    const std::vector<std::string>& paths) {
  const std::string path = fmt::format("{}", fmt::join(paths, ", "));
  std::vector<HostTensor> inputs;
  std::vector<std::string> ignored;
  std::vector<SkippedTensor> skipped;
  std::vector<StoredTensor> stored = read_inputs(op, paths, skipped);
  ignored.reserve(skipped.size());
  for (const SkippedTensor& tensor : skipped) {
    ignored.push_back(tensor.name);
  }
  rename_scales(op, stored);
  for (StoredTensor& tensor : stored) {
    if (!is_input(op, tensor.name)) {
      ignored.push_back(tensor.name);
      continue;
    }
    HostTensor input = host_tensor({tensor.name, tensor.dtype, tensor.shape, {}, {}});
    input.bytes = std::move(tensor.bytes);
    inputs.push_back(std::move(input));
  }
  std::vector<std::string> names;
  std::vector<std::string> without;
  for (const TensorSpec& spec : op.tensors) {
    const bool there =
        std::any_of(inputs.begin(), inputs.end(), [&](const HostTensor& t) { return t.name == spec.name; });
    if (spec.direction != Direction::out && !spec.optional && !there) {
      names.push_back(spec.name);
    } else if (spec.direction != Direction::out && !there) {
      without.push_back(spec.name);
    }
  }
  if (!names.empty()) {
    throw Error(
        ErrorCode::invalid_argument,
        fmt::format("{}: {} has no tensor named {}{}; `kerncast ops {}` describes the tensors", op.name, path,
                    fmt::join(names, ", "),
                    ignored.empty() ? std::string() : fmt::format(" (it has {})", fmt::join(ignored, ", ")),
                    op.name));
  }
  if (!ignored.empty()) {
    context.console.note(
        fmt::format("{} has no input tensor named {}: ignored", op.name, fmt::join(ignored, ", ")));
  }
  if (!without.empty()) {
    context.console.note(fmt::format("{} runs without its optional {}, which {} not given", op.name,
                                     fmt::join(without, ", "), without.size() == 1 ? "was" : "were"));
  }
  return inputs;
}

int run_file(CommandContext& context, const RunOptions& options) {
  OpRunRequest request;
  request.op = &require_op(options.op);
  const Settings settings = parse_settings(*request.op, options.settings);
  request.params = settings.params;
  request.scalars = settings.scalars;
  request.check = !options.no_check;
  for (const std::string& in : options.in) {
    if (same_file(in, options.out)) {
      throw UsageError(fmt::format(
          "{}: --out {} is also the file of --in, so the inputs would be replaced; name another file",
          request.op->name, options.out));
    }
  }
  context.prepare_output(options.out);
  request.inputs = pick_inputs(context, *request.op, options.in);
  apply_planned_layout(*request.op, request.params, request.inputs);
  Runtime runtime(context.runtime_options());
  RunDevice device(runtime, options.device);
  RunRow row;
  row.label = fmt::format("{}", fmt::join(options.in, ", "));
  row.result = run_op(runtime, device, request);
  row.rows = row.result.rows;
  if (row.result.checked && !row.result.verdict.ok) {
    throw Error(
        ErrorCode::internal,
        fmt::format(
            "{} [{}]: wrong result: {}; {} was not written (with --no-check it is written in any case)",
            row.result.report.op, row.result.report.spec, row.result.verdict.detail, options.out));
  }
  // A kernel's workspace is no result.
  std::erase_if(row.result.outputs, [](const StoredTensor& tensor) { return tensor.name == "workspace"; });
  write_safetensors(options.out, row.result.outputs);
  if (context.json) {
    Json json = to_json(row, device.name());
    json["outputs"] = Json::array();
    for (const StoredTensor& tensor : row.result.outputs) {
      json["outputs"].push_back(
          {{"name", tensor.name}, {"dtype", safetensors_name(tensor.dtype)}, {"shape", tensor.shape}});
    }
    json["out"] = options.out;
    print_json(json);
    return exit_fine;
  }
  Table table = new_table();
  add_row(table, row);
  print(table);
  Table outputs({{"output"}, {"dtype"}, {"shape"}});
  for (const StoredTensor& tensor : row.result.outputs) {
    outputs.add_row({tensor.name, std::string(safetensors_name(tensor.dtype)),
                     fmt::format("[{}]", fmt::join(tensor.shape, ", "))});
  }
  print("\n" + outputs.text() + "written to " + options.out + "\n");
  return exit_fine;
}

/// Checks which options belong together, which CLI11 cannot express.
void check_options(const RunOptions& options, const Command& command) {
  const bool by_model = !options.model.empty();
  if (by_model == !options.op.empty()) {
    throw UsageError("give either --model NAME or an op with --in and --out; see kerncast run --help");
  }
  const auto refuse = [&](const char* option, const char* with) {
    if (command.given(option)) {
      throw UsageError(fmt::format("{} goes with {} only", option, with));
    }
  };
  if (by_model) {
    for (const char* option : {"--in", "--out", "--set", "--no-check"}) {
      refuse(option, "an op");
    }
    return;
  }
  refuse("--best-effort", "--model");
  refuse("--quant", "--model");
  refuse("--rows", "--model");
  static_cast<void>(require_op(options.op));  // report a misspelt op before missing files
  if (options.in.empty() || options.out.empty()) {
    throw UsageError(
        fmt::format("running {} needs --in FILE.safetensors and --out FILE.safetensors", options.op));
  }
}

}  // namespace

void add_run_command(const Command& root, CommandContext& context) {
  const Command command = root.add(
      "run", "Launch and verify every op of a model at its shapes (--model), or one op on your tensors");
  const auto options = std::make_shared<RunOptions>();
  command.option("op", options->op, "Op to run on the tensors of --in, such as norm.rms_norm");
  command.option("--model", options->model, "Shipped model, or a Hugging Face config.json or its directory");
  command.option("--rows", options->rows, "Row (token) counts to run a model's ops at")
      .separated()
      .shows_default();
  command.option("--quant", options->quant,
                 "How activations are quantised, as in kerncast warm; default: as the model's files say");
  command
      .option(
          "--in", options->in,
          "Inputs: a safetensors file with the op's tensors by name; may be repeated for tensors of several "
          "files")
      .value_name("FILE");
  command.option("--out", options->out, "Outputs: a safetensors file, written completely or not at all");
  command.option("--set", options->settings, "Parameters and scalars, such as eps=1e-6; may be repeated")
      .value_name("NAME=VALUE");
  command.flag("--no-check", options->no_check, "Do not compare the results with the reference");
  command.option("--device", options->device, "Device ordinal").shows_default();
  command.flag("--best-effort", options->best_effort,
               "Also run a model of unknown type, whose ops are guessed from the names of its fields");
  command.json_flag();
  command.action([&context, options, command] {
    check_options(*options, command);
    return options->model.empty() ? run_file(context, *options) : run_model(context, *options);
  });
}

}  // namespace kerncast::tools
