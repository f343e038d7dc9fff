#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <thread>

#include "cache/cache.hpp"
#include "cache/pack/pack.hpp"
#include "kerncast/error.hpp"
#include "kerncast/runtime.hpp"
#include "runtime/compiler/worker/pool.hpp"
#include "runtime/dispatch/runtime_impl.hpp"
#include "tools/commands/command.hpp"
#include "tools/commands/selection_options.hpp"
#include "tools/io/file.hpp"
#include "tools/io/output.hpp"
#include "tools/io/own_path.hpp"
#include "tools/io/stop_on_interrupt.hpp"
#include "tools/io/usage_error.hpp"
#include "tools/model/model_report.hpp"
#include "tools/model/settings.hpp"
#include "tools/warm/plan_record.hpp"
#include "tools/warm/shared_work.hpp"
#include "tools/warm/signing.hpp"
#include "tools/warm/warm_pack.hpp"
#include "tools/warm/warm_plan.hpp"
#include "tools/warm/warm_report.hpp"
#include "tools/warm/warm_run.hpp"
#include "tools/warm/warm_store.hpp"

namespace kerncast::tools {
namespace {

struct WarmOptions {
  WarmRequest request;
  std::string shard;
  bool queued = false;  ///< machines take kernels from a queue
  std::string from_pack;
  std::string out;
  std::string sign;
  std::string record;
  int jobs = 0;
  std::uint64_t memory = 0;
  int timeout_s = 300;
  bool plan = false;
  bool check = false;
  bool best_effort = false;
};

void check_request(const WarmOptions& options) {
  const WarmRequest& request = options.request;
  const int ways =
      (request.op.empty() ? 0 : 1) + (request.models.empty() ? 0 : 1) + (request.records.empty() ? 0 : 1);
  if (ways == 0 || (!request.op.empty() && ways > 1)) {
    throw UsageError(
        "give either --model NAME, --from-record FILE or an op with --set; see kerncast warm --help");
  }
  if (request.op.empty() && !request.settings.empty()) {
    throw UsageError("--set is valid with an op only");
  }
  if (request.archs.empty() && (!request.op.empty() || !request.models.empty())) {
    throw UsageError("--arch is required with a model or an op, for example --arch sm_90a,sm_100a");
  }
  if (options.plan && options.check) {
    throw UsageError("give --plan or --check, not both");
  }
  if (!options.out.empty() && (options.plan || options.check)) {
    throw UsageError(
        "--out goes with neither --plan nor --check: they compile nothing that could be written");
  }
  if (options.memory > 0 && options.memory < compiler::worker::least_worker_bytes) {
    throw UsageError(fmt::format("--memory: {} is too little for one worker, which needs {}",
                                 human_bytes(options.memory),
                                 human_bytes(compiler::worker::least_worker_bytes)));
  }
  for (const std::string& arch : request.archs) {
    check_arch(arch);
  }
}

/// Throws UsageError unless the environment names a server that can have a queue.
void check_queue_server() {
  const cache::RemoteOptions remote = cache::remote_options(cache::options_from_environment());
  const cache::RemoteAddress& address = remote.address;
  if (address.empty()) {
    throw UsageError(
        "--shard auto needs a Redis that the machines share: set KERNCAST_CACHE_REMOTE=redis://HOST");
  }
  if (!address.defect().empty()) {
    throw UsageError(fmt::format("--shard auto: the server {} of KERNCAST_CACHE_REMOTE cannot be used: {}",
                                 address.name(), address.defect()));
  }
  if (address.scheme() != cache::RemoteScheme::redis) {
    throw UsageError(
        fmt::format("--shard auto needs a Redis, and {} is none; give --shard I/N", address.name()));
  }
  if (remote.read_only) {
    throw UsageError(
        "--shard auto needs a server that this machine may write to, and KERNCAST_CACHE_REMOTE_READONLY is "
        "set; give --shard I/N");
  }
}

/// Throws Error(io_error) unless `path` is a sound pack that a layer would accept.
void check_pack(const std::string& path) {
  std::string defect;
  const cache::Trust trust = cache::layer_trust(cache::options_from_environment());
  if (const auto pack = cache::Pack::open(path, trust, defect); pack == nullptr) {
    throw Error(ErrorCode::io_error, fmt::format("--from-pack {}: not a usable pack: {}", path, defect));
  }
}

/// True if each model is known or may be guessed. If not, an error says so; what was shown stays valid JSON.
bool known_or_told(CommandContext& context, const std::vector<ModelReading>& models, bool best_effort) {
  try {
    for (const ModelReading& model : models) {
      require_known(model, best_effort);
    }
    return true;
  } catch (const Error& error) {
    context.console.error(error.what());
    return false;
  }
}

int warm(CommandContext& context, WarmOptions options) {
  check_request(options);
  context.prepare_output(options.out);
  context.prepare_output(options.record);
  options.queued = options.shard == "auto";
  if (options.queued) {
    check_queue_server();
  } else if (!options.shard.empty()) {
    options.request.shard = parse_shard(options.shard);
  }
  const int jobs = compiler::worker::jobs_within(
      options.jobs > 0 ? options.jobs : std::max(1, static_cast<int>(std::thread::hardware_concurrency())),
      options.memory);
  RuntimeOptions runtime_options = context.runtime_options();
  runtime_options.miss_policy = MissPolicy::compile;
  if (!options.sign.empty()) {
    static_cast<void>(read_signing_key(options.sign));
    runtime_options.cache_signing_key = options.sign;
  }
  runtime_options.compile_workers = {own_path(), jobs, options.memory, options.timeout_s};
  const std::vector<std::string> layers = cache::options_from_environment().read_only;
  if (!options.from_pack.empty()) {
    check_pack(options.from_pack);
    runtime_options.cache_read_only = layers;
    runtime_options.cache_read_only.push_back(options.from_pack);
  }
  Runtime runtime(std::move(runtime_options));
  std::vector<LeftOut> left_out;
  std::vector<ModelReading> models;
  const std::vector<PlannedKernel> kernels =
      plan_warm(runtime, options.request, context.console, &left_out, &models);
  if (kernels.empty()) {
    context.console.note(fmt::format("part {} of the plan has no kernels", options.shard));
  }
  if (!options.record.empty()) {
    write_plan_record(options.record, kernels);
  }
  if (options.plan) {
    const int shown = show_plan(context, runtime, models, kernels, left_out, jobs);
    return known_or_told(context, models, options.best_effort) ? shown : exit_failed;
  }
  for (const ModelReading& model : models) {
    require_known(model, options.best_effort);
  }
  if (options.check) {
    return show_missing(context, kernels, left_out);
  }
  const WarmStore store(runtime, layers.size());
  std::optional<SharedWork> shared;
  if (options.queued) {
    shared.emplace(implementation_of(runtime).cache, kernels, std::chrono::seconds(options.timeout_s));
  }
  const auto started = std::chrono::steady_clock::now();
  WarmReporter reporter(context);
  reporter.begin(kernels, jobs);
  std::vector<WarmResult> results;
  {
    const StopOnInterrupt guard;
    results = run_warm(
        runtime, store, kernels, jobs, shared ? &*shared : nullptr, StopOnInterrupt::requested(),
        [&](const WarmProgress& progress) { reporter.tick(progress); },
        [&](const WarmResult& result) { reporter.finished(result); });
  }
  context.console.end_progress();
  const int code =
      summarise(context, results, left_out, options.queued, StopOnInterrupt::requested().load(),
                std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count());
  if (!options.out.empty()) {
    if (code != exit_fine) {
      context.console.error(fmt::format("{} is not written, since it would be incomplete", options.out));
    } else {
      write_pack(context, runtime, options.out, results, options.sign);
    }
  }
  return code;
}

}  // namespace

void add_warm_command(const Command& root, CommandContext& context) {
  const Command command =
      root.add("warm",
               "Compile the kernels that serving a model will launch into the cache, in worker "
               "processes; any architecture, no device needed");
  const auto options = std::make_shared<WarmOptions>();
  WarmRequest& request = options->request;
  command.option("op", request.op, "Op to compile at the parameters of --set, such as norm.rms_norm");
  command
      .option("--model", request.models, "Shipped models or paths of config.json files, separated by commas")
      .separated();
  command.option("--from-record", request.records, "Files of KERNCAST_RECORD: compile what hosts asked for")
      .separated();
  command.option("--set", request.settings, "Parameters of the op, such as hidden=7168; may be repeated")
      .value_name("NAME=VALUE");
  command
      .option(
          "--arch", request.archs,
          "Architectures, such as sm_90a,sm_100a; with --from-record only these, default: all in the record")
      .separated();
  command
      .option("--sms", request.sm_counts,
              "Numbers of multiprocessors, as kerncast doctor shows them; default: those of every known "
              "device of "
              "the architecture")
      .between(1, 4096)
      .separated();
  add_selection_options(command, request.selection);
  command
      .option("--tokens", request.tokens,
              "Numbers of tokens in a batch, such as 1:8192 or 1,64; default: any number")
      .separated();
  command.option("--rows", request.rows, "Row counts of the ops themselves, instead of --tokens").separated();
  command.option("--shard", options->shard,
                 "Only part I of N of the plan, such as 1/4; the parts are the same on every machine. With "
                 "auto, machines take kernels from a queue on the Redis that they share");
  command.option("--from-pack", options->from_pack, "Take the kernels that this pack has");
  command.option("--out", options->out, "Write all kernels of the plan to this pack");
  command
      .option("--sign", options->sign,
              "Sign what is compiled, and the kernels of the pack, with the key in this file")
      .value_name("FILE");
  command
      .option("--write-record", options->record,
              "Write the kernels of the plan to this file, which Runtime::load_all loads before serving")
      .value_name("FILE");
  command.option("--jobs", options->jobs, "Most worker processes; default: one for each core")
      .between(1, 1024);
  command
      .option("--memory", options->memory,
              "Memory of all workers together, such as 4GiB: fewer run if it is short, and a worker that "
              "exceeds its "
              "share is replaced")
      .bytes();
  command.option("--timeout", options->timeout_s, "Seconds that one compile may take; default 300")
      .between(1, 86400);
  command.flag("--plan", options->plan,
               "Compile nothing; show the plan, the reason for each kernel, and the expected time");
  command.flag("--check", options->check,
               "Compile nothing; show what is missing and which place serves the rest, and exit with 1 if "
               "anything is missing");
  command.flag("--best-effort", options->best_effort,
               "Also serve a model of unknown type, whose ops are guessed from the names of its fields");
  command.json_flag();
  command.action([&context, options] { return warm(context, *options); });
}

}  // namespace kerncast::tools
