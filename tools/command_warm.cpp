#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <memory>
#include <set>
#include <thread>

#include "cache/folder.hpp"
#include "cache/pack/transfer.hpp"
#include "cache/session.hpp"
#include "kerncast/runtime.hpp"
#include "runtime/dispatch/runtime_parts.hpp"
#include "tools/command.hpp"
#include "tools/file.hpp"
#include "tools/output.hpp"
#include "tools/settings.hpp"
#include "tools/usage_error.hpp"
#include "tools/warm_plan.hpp"
#include "tools/warm_run.hpp"

namespace kerncast::tools {
namespace {

struct WarmOptions {
  WarmRequest request;
  std::string shard;
  std::string from_pack;
  std::string out;
  int jobs = 0;
  std::uint64_t memory = 0;
  int timeout_s = 300;
  bool plan = false;
  bool check = false;
};

/// Set by Ctrl-C; a second one ends the process as usual.
std::atomic<bool> interrupted{false};

class StopOnInterrupt {
 public:
  StopOnInterrupt() {
    struct sigaction action{};
    action.sa_handler = [](int) { interrupted.store(true); };
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    for (std::size_t i = 0; i < std::size(signals); ++i) {
      sigaction(signals[i], &action, &before_[i]);
    }
  }
  ~StopOnInterrupt() {
    for (std::size_t i = 0; i < std::size(signals); ++i) {
      sigaction(signals[i], &before_[i], nullptr);
    }
  }
  StopOnInterrupt(const StopOnInterrupt&) = delete;
  StopOnInterrupt& operator=(const StopOnInterrupt&) = delete;

 private:
  static constexpr int signals[] = {SIGINT, SIGTERM};
  struct sigaction before_[2]{};
};

std::string this_command() {
  std::string path(4096, '\0');
  const ssize_t length = readlink("/proc/self/exe", path.data(), path.size());
  path.resize(length > 0 ? static_cast<std::size_t>(length) : 0);
  return path;
}

std::size_t bytes_of(const KernelReport& report) {
  return report.cubin.size() + report.ptx.size();
}

std::size_t missing_of(const std::vector<PlannedKernel>& kernels) {
  return static_cast<std::size_t>(std::count_if(kernels.begin(), kernels.end(),
                                                [](const PlannedKernel& kernel) { return !kernel.cached; }));
}

/// One line of JSON on standard output.
void print_event(Json event) {
  print(event.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
}

Json describe(const PlannedKernel& kernel) {
  return {{"op", kernel.op->name},
          {"spec", kernel.spec_text},
          {"arch", kernel.arch},
          {"tunables", kernel.tunables_text},
          {"rows", rows_text(kernel.buckets)},
          {"why", kernel.why},
          {"key", kernel.key},
          {"cached", kernel.cached.has_value()}};
}

/// What a compile took here before, in milliseconds; elsewhere where nothing was compiled here yet.
double expected_compile_ms(Runtime& runtime, bool& measured) {
  constexpr double typical = 150;
  const CacheCounters before = cache::counters_of(cache::Folder::open(runtime.parts().cache.store().root()));
  measured = before.compiles > 0;
  return measured ? static_cast<double>(before.compile_us) / 1000 / static_cast<double>(before.compiles)
                  : typical;
}

int show_plan(Session& session, Runtime& runtime, const std::vector<PlannedKernel>& kernels, int jobs) {
  bool measured = false;
  const double each_ms = expected_compile_ms(runtime, measured);
  const std::size_t missing = missing_of(kernels);
  const double seconds = each_ms * static_cast<double>(missing) / 1000 / jobs;
  if (session.json) {
    Json list = Json::array();
    for (const PlannedKernel& kernel : kernels) {
      Json item = describe(kernel);
      item["estimated_ms"] = kernel.cached ? 0 : each_ms;
      list.push_back(std::move(item));
    }
    print_json({{"kernels", std::move(list)},
                {"missing", missing},
                {"jobs", jobs},
                {"estimated_seconds", seconds},
                {"estimate", measured ? "mean of this cache's compiles" : "typical"}});
    return exit_fine;
  }
  Table table({{"op"},
               {"specialisation"},
               {"arch"},
               {"rows"},
               {"tunables"},
               {"estimated ms", Align::right},
               {"why"}});
  for (const PlannedKernel& kernel : kernels) {
    table.add_row({kernel.op->name, kernel.spec_text, kernel.arch, rows_text(kernel.buckets),
                   kernel.tunables_text, kernel.cached ? "cached" : fixed(each_ms, 0),
                   fmt::format("{}", fmt::join(kernel.why, "; "))});
  }
  print(table.text());
  print(fmt::format(
      "{} kernels: {} cached, {} to compile; about {} s with {} jobs ({})\n", kernels.size(),
      kernels.size() - missing, missing, fixed(seconds, 0), jobs,
      measured ? "by the mean of this cache's compiles" : "nothing compiled in this cache yet to go by"));
  return exit_fine;
}

int check(Session& session, const std::vector<PlannedKernel>& kernels) {
  const std::size_t missing = missing_of(kernels);
  if (session.json) {
    Json list = Json::array();
    for (const PlannedKernel& kernel : kernels) {
      if (!kernel.cached) {
        list.push_back(describe(kernel));
      }
    }
    print_json({{"kernels", kernels.size()}, {"missing", std::move(list)}});
  } else {
    Table table({{"missing op"}, {"specialisation"}, {"arch"}, {"rows"}, {"tunables"}});
    for (const PlannedKernel& kernel : kernels) {
      if (!kernel.cached) {
        table.add_row({kernel.op->name, kernel.spec_text, kernel.arch, rows_text(kernel.buckets),
                       kernel.tunables_text});
      }
    }
    if (!table.empty()) {
      print(table.text());
    }
    print(fmt::format("{} kernels: {} cached, {} missing\n", kernels.size(), kernels.size() - missing,
                      missing));
  }
  return missing == 0 ? exit_fine : exit_failed;
}

/// Speaks while kernels compile: a bar on a terminal, else a line every ten seconds.
class Reporter {
 public:
  explicit Reporter(Session& session) : session_(session) {}

  void tick(const WarmProgress& progress) {
    const std::string rate = progress.rate() > 0 ? fmt::format("{}/s, {} s left", fixed(progress.rate(), 1),
                                                               fixed(progress.seconds_left(), 0))
                                                 : std::string("starting");
    session_.console.progress(progress.done(), progress.total,
                              fmt::format("{} cached, {} failed, {}  {}", progress.cached, progress.failed,
                                          rate, fmt::join(progress.in_flight, " | ")));
    constexpr double interval = 10;
    if (progress.seconds < told_ + interval) {
      return;
    }
    told_ = progress.seconds;
    if (session_.json) {
      print_event({{"event", "progress"},
                   {"done", progress.done()},
                   {"total", progress.total},
                   {"cached", progress.cached},
                   {"failed", progress.failed},
                   {"rate", progress.rate()},
                   {"seconds_left", progress.seconds_left()},
                   {"in_flight", progress.in_flight}});
      static_cast<void>(flush_output());
    } else if (!session_.console.is_terminal()) {
      session_.console.note(fmt::format("{}/{} kernels: {} cached, {} failed, {}", progress.done(),
                                        progress.total, progress.cached, progress.failed, rate));
    }
  }

  void finished(const WarmResult& result) {
    if (!result.error.empty() && told_errors_.insert(result.error).second) {
      session_.console.error(result.error);
    }
    if (!session_.json) {
      return;
    }
    Json event = {{"event", "kernel"}};
    event.update(describe(*result.planned));
    event["ok"] = result.error.empty();
    if (!result.error.empty()) {
      event["error"] = result.error;
    } else {
      const KernelReport& report = result.report;
      event["cached"] = report.origin != Origin::compiled;
      event["compile_ms"] = report.compile_ms;
      event["registers"] = report.registers;
      event["spill_store_bytes"] = report.spill_store_bytes;
      event["spill_load_bytes"] = report.spill_load_bytes;
      event["shared_bytes"] = report.shared_bytes;
      event["bytes"] = bytes_of(report);
    }
    print_event(std::move(event));
  }

 private:
  Session& session_;
  double told_ = 0;
  std::set<std::string> told_errors_;
};

/// What came of it all, and the exit code.
int summarise(Session& session, const std::vector<WarmResult>& results, double seconds) {
  std::size_t cached = 0;
  std::size_t compiled = 0;
  std::size_t failed = 0;
  std::size_t left = 0;
  std::uint64_t bytes = 0;
  double compile_ms = 0;
  std::vector<const WarmResult*> slowest;
  for (const WarmResult& result : results) {
    if (!result.reached) {
      ++left;
    } else if (!result.error.empty()) {
      ++failed;
    } else {
      // Another process may have compiled it meanwhile.
      const bool ours = result.report.origin == Origin::compiled;
      ours ? ++compiled : ++cached;
      bytes += bytes_of(result.report);
      if (ours) {
        compile_ms += result.report.compile_ms;
        slowest.push_back(&result);
      }
    }
  }
  std::sort(slowest.begin(), slowest.end(), [](const WarmResult* a, const WarmResult* b) {
    return a->report.compile_ms > b->report.compile_ms;
  });
  slowest.resize(std::min<std::size_t>(slowest.size(), 5));
  if (session.json) {
    Json slow = Json::array();
    for (const WarmResult* result : slowest) {
      slow.push_back({{"op", result->planned->op->name},
                      {"spec", result->planned->spec_text},
                      {"arch", result->planned->arch},
                      {"compile_ms", result->report.compile_ms}});
    }
    print_event({{"event", "end"},
                 {"kernels", results.size()},
                 {"cached", cached},
                 {"compiled", compiled},
                 {"failed", failed},
                 {"left", left},
                 {"seconds", seconds},
                 {"compile_ms", compile_ms},
                 {"bytes", bytes},
                 {"slowest", std::move(slow)}});
  } else {
    Table table({{"kernels", Align::right},
                 {"cached", Align::right},
                 {"compiled", Align::right},
                 {"failed", Align::right},
                 {"seconds", Align::right},
                 {"cubin and PTX", Align::right}});
    table.add_row({fmt::format("{}", results.size()), fmt::format("{}", cached), fmt::format("{}", compiled),
                   fmt::format("{}", failed), fixed(seconds, 1), human_bytes(bytes)});
    print(table.text());
    if (!slowest.empty()) {
      Table slow({{"slowest to compile"}, {"specialisation"}, {"arch"}, {"tunables"}, {"ms", Align::right}});
      for (const WarmResult* result : slowest) {
        slow.add_row({result->planned->op->name, result->planned->spec_text, result->planned->arch,
                      result->planned->tunables_text, fixed(result->report.compile_ms, 0)});
      }
      print(slow.text());
    }
  }
  if (left > 0) {
    session.console.note(fmt::format(
        "stopped with {} kernels left; what was compiled is kept, and the same command goes on", left));
  }
  return failed == 0 && left == 0 ? exit_fine : exit_failed;
}

void write_pack(Session& session, Runtime& runtime, const std::string& path,
                const std::vector<WarmResult>& results) {
  std::set<std::string> keys;
  for (const WarmResult& result : results) {
    keys.insert(result.report.key);
  }
  AtomicOutput output(path);
  std::uint64_t bytes = 0;
  const cache::ExportResult written = cache::export_pack(
      runtime.parts().cache.store(),
      [&](const cache::Entry& entry) {
        cache::KeyFields fields;
        for (const auto& [label, value] : entry.key_fields) {
          fields.add(label, value);
        }
        return keys.contains(fields.key().hex());
      },
      [&](std::string_view more) {
        output.write(more.data(), more.size());
        bytes += more.size();
      });
  if (written.entries != keys.size()) {
    throw Error(ErrorCode::io_error,
                fmt::format("{} of {} kernels could not be read back for {}; nothing was written there",
                            keys.size() - written.entries, keys.size(), path));
  }
  output.commit();
  session.console.note(fmt::format("{} kernels, {} in {}", written.entries, human_bytes(bytes), path));
}

void check_request(const WarmOptions& options) {
  const WarmRequest& request = options.request;
  const int ways =
      (request.op.empty() ? 0 : 1) + (request.models.empty() ? 0 : 1) + (request.records.empty() ? 0 : 1);
  if (ways == 0 || (!request.op.empty() && ways > 1)) {
    throw UsageError(
        "give either --model NAME, --from-record FILE or an op with --set; see kerncast warm --help");
  }
  if (request.op.empty() && !request.settings.empty()) {
    throw UsageError("--set goes with an op only");
  }
  if (request.archs.empty() && (!request.op.empty() || !request.models.empty())) {
    throw UsageError("--arch is required with a model or an op, as --arch sm_90a,sm_100a");
  }
  if (options.plan && options.check) {
    throw UsageError("give --plan or --check, not both");
  }
  for (const std::string& arch : request.archs) {
    check_arch(arch);
  }
  if (!options.out.empty()) {
    check_output(options.out);
  }
}

int warm(Session& session, WarmOptions options) {
  check_request(options);
  if (!options.shard.empty()) {
    options.request.shard = parse_shard(options.shard);
  }
  const int jobs =
      options.jobs > 0 ? options.jobs : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  RuntimeOptions runtime_options = session.runtime_options();
  runtime_options.miss_policy = MissPolicy::compile;
  runtime_options.compile_workers = {this_command(), jobs, options.memory, options.timeout_s};
  if (!options.from_pack.empty()) {
    runtime_options.cache_read_only = cache::options_from_environment().read_only;
    runtime_options.cache_read_only.push_back(options.from_pack);
  }
  Runtime runtime(std::move(runtime_options));
  const std::vector<PlannedKernel> kernels = plan_warm(runtime, options.request, session.console);
  if (options.plan) {
    return show_plan(session, runtime, kernels, jobs);
  }
  if (options.check) {
    return check(session, kernels);
  }
  if (session.json) {
    print_event(
        {{"event", "plan"}, {"kernels", kernels.size()}, {"missing", missing_of(kernels)}, {"jobs", jobs}});
  }
  const auto started = std::chrono::steady_clock::now();
  Reporter reporter(session);
  interrupted.store(false);
  std::vector<WarmResult> results;
  {
    const StopOnInterrupt guard;
    results = run_warm(
        runtime, kernels, jobs, interrupted, [&](const WarmProgress& progress) { reporter.tick(progress); },
        [&](const WarmResult& result) { reporter.finished(result); });
  }
  session.console.end_progress();
  const int code = summarise(
      session, results, std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count());
  if (!options.out.empty()) {
    if (code != exit_fine) {
      session.console.error(fmt::format("{} is not written, as it would not hold everything", options.out));
    } else {
      write_pack(session, runtime, options.out, results);
    }
  }
  return code;
}

}  // namespace

void add_warm_command(const Command& root, Session& session) {
  const Command command = root.add("warm",
                                   "Compile what serving a model will launch into the cache, in "
                                   "worker processes, for any architecture; needs no "
                                   "device");
  const auto options = std::make_shared<WarmOptions>();
  WarmRequest& request = options->request;
  command.option("op", request.op, "Op to compile at the parameters of --set, as norm.rms_norm");
  command
      .option("--model", request.models, "Shipped models or paths of config.json files, separated by commas")
      .separated();
  command.option("--from-record", request.records, "Files of KERNCAST_RECORD: warm what hosts asked for")
      .separated();
  command
      .option("--set", request.settings, "The op's parameters, as hidden=7168; several, or may be repeated")
      .value_name("NAME=VALUE");
  command
      .option("--arch", request.archs,
              "Architectures, as sm_90a,sm_100a; of a record only these, else those it has")
      .separated();
  command
      .option(
          "--sms", request.sm_counts,
          "Multiprocessors of the devices, as kerncast doctor shows them; default: of every device known of "
          "an architecture")
      .between(1, 4096)
      .separated();
  command.option("--tp", request.tensor_ranks, "Ranks of tensor parallelism; default 1")
      .between(1, 1024)
      .separated();
  command.option("--ep", request.expert_ranks, "Ranks that experts are spread over; default 1")
      .between(1, 4096);
  command.option(
      "--quant", request.quant,
      "How activations are quantised: fp8-block, fp8, int8, nvfp4, mxfp8, mxfp4, none; default: in "
      "every way");
  command
      .option("--tokens", request.tokens,
              "Tokens of a batch to be ready for, as 1:8192 or 1,64; default: any number")
      .separated();
  command.option("--rows", request.rows, "Rows of the ops themselves, instead of --tokens").separated();
  command.option("--ops", request.op_globs, "Only these ops, as 'norm.*'").separated();
  command.option("--shard", options->shard,
                 "Part I of N of the plan, as 1/4: the same parts on every machine");
  command.option("--from-pack", options->from_pack, "Take from this pack what it has");
  command.option("--out", options->out, "Write all of the plan's kernels to this pack");
  command.option("--jobs", options->jobs, "Worker processes at most; default: one for each core")
      .between(1, 1024);
  command
      .option(
          "--memory", options->memory,
          "Memory of all workers, as 4GiB: fewer run where it is short, and one past its share is replaced")
      .bytes();
  command.option("--timeout", options->timeout_s, "Seconds that one compile may take; default 300")
      .between(1, 86400);
  command.flag("--plan", options->plan, "Compile nothing; show what would be, why, and how long it may take");
  command.flag("--check", options->check, "Compile nothing; show what is missing, and exit 1 if anything is");
  command.json_flag();
  command.action([&session, options] { return warm(session, *options); });
}

}  // namespace kerncast::tools
