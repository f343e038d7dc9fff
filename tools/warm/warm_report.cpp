#include "tools/warm/warm_report.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "cache/directory/process_usage.hpp"
#include "cache/posix/folder.hpp"
#include "runtime/dispatch/runtime_impl.hpp"
#include "runtime/util/printable.hpp"
#include "tools/io/failure_cause.hpp"
#include "tools/io/output.hpp"
#include "tools/model/model_report.hpp"

namespace kerncast::tools {
namespace {

std::size_t bytes_of(const KernelReport& report) {
  return report.cubin.size() + report.ptx.size();
}

std::size_t missing_of(const std::vector<PlannedKernel>& kernels) {
  return static_cast<std::size_t>(std::count_if(kernels.begin(), kernels.end(),
                                                [](const PlannedKernel& kernel) { return !kernel.cached; }));
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

/// The place that serves a cached kernel.
std::string place_of(const KernelReport& report) {
  return report.found_in.empty() ? "memory" : report.found_in;
}

Json describe(const std::vector<LeftOut>& left_out) {
  Json list = Json::array();
  for (const LeftOut& item : left_out) {
    list.push_back({{"op", item.op}, {"where", item.where}, {"why", item.why}, {"failed", item.failed}});
  }
  return list;
}

/// True if something was left out that was asked for; then an error says so.
bool failed(CommandContext& context, const std::vector<LeftOut>& left_out) {
  const auto count =
      std::count_if(left_out.begin(), left_out.end(), [](const LeftOut& item) { return item.failed; });
  if (count > 0) {
    context.console.error(fmt::format("{} that were asked for are left out of the plan", count));
  }
  return count > 0;
}

/// Expected compile time in ms: the mean measured in this cache directory, else a typical value (`measured`
/// is false).
double expected_compile_ms(Runtime& runtime, bool& measured) {
  constexpr double typical = 150;
  const CacheCounters before =
      cache::counters_of(cache::Folder::open(implementation_of(runtime).cache.store().root()));
  measured = before.compiles > 0;
  return measured ? static_cast<double>(before.compile_us) / 1000 / static_cast<double>(before.compiles)
                  : typical;
}

}  // namespace

int show_plan(CommandContext& context, Runtime& runtime, const std::vector<ModelReading>& models,
              const std::vector<PlannedKernel>& kernels, const std::vector<LeftOut>& left_out, int jobs) {
  bool measured = false;
  const double each_ms = expected_compile_ms(runtime, measured);
  const std::size_t missing = missing_of(kernels);
  const double seconds = each_ms * static_cast<double>(missing) / 1000 / jobs;
  if (context.json) {
    Json list = Json::array();
    for (const PlannedKernel& kernel : kernels) {
      Json item = describe(kernel);
      item["estimated_ms"] = kernel.cached ? 0 : each_ms;
      list.push_back(std::move(item));
    }
    Json read = Json::array();
    for (const ModelReading& model : models) {
      read.push_back(Json(facts_json(model)));
    }
    print_json({{"models", std::move(read)},
                {"kernels", std::move(list)},
                {"missing", missing},
                {"left_out", describe(left_out)},
                {"jobs", jobs},
                {"estimated_seconds", seconds},
                {"estimate", measured ? "mean of this cache's compiles" : "typical"}});
    return failed(context, left_out) ? exit_failed : exit_fine;
  }
  for (const ModelReading& model : models) {
    print(facts_text(model));
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
  print(table);
  print(fmt::format("{}: {} cached, {} to compile; about {} s with {} ({})\n",
                    counted(kernels.size(), "kernel"), kernels.size() - missing, missing, fixed(seconds, 0),
                    counted(static_cast<std::uint64_t>(jobs), "job"),
                    measured ? "by the mean of this cache's compiles"
                             : "by a typical compile time; nothing was compiled in this cache yet"));
  return failed(context, left_out) ? exit_failed : exit_fine;
}

int show_missing(CommandContext& context, const std::vector<PlannedKernel>& kernels,
                 const std::vector<LeftOut>& left_out) {
  const std::size_t missing = missing_of(kernels);
  if (context.json) {
    Json list = Json::array();
    Json served = Json::array();
    for (const PlannedKernel& kernel : kernels) {
      Json item = describe(kernel);
      if (kernel.cached) {
        item["found_in"] = place_of(*kernel.cached);
      }
      (kernel.cached ? served : list).push_back(std::move(item));
    }
    print_json({{"kernels", kernels.size()},
                {"cached", std::move(served)},
                {"missing", std::move(list)},
                {"left_out", describe(left_out)}});
  } else {
    // The missing kernels stand first, where a long plan does not hide it.
    Table table({{"served by"}, {"op"}, {"specialisation"}, {"arch"}, {"rows"}, {"tunables"}});
    for (const bool cached : {false, true}) {
      for (const PlannedKernel& kernel : kernels) {
        if (kernel.cached.has_value() == cached) {
          table.add_row({cached ? printable_line(place_of(*kernel.cached)) : std::string("missing"),
                         kernel.op->name, kernel.spec_text, kernel.arch, rows_text(kernel.buckets),
                         kernel.tunables_text});
        }
      }
    }
    print(table);
    print(fmt::format("{}: {} cached, {} missing\n", counted(kernels.size(), "kernel"),
                      kernels.size() - missing, missing));
  }
  if (missing > 0) {
    context.console.error(fmt::format("{} of {} kernels are not in the cache", missing, kernels.size()));
  }
  return !failed(context, left_out) && missing == 0 ? exit_fine : exit_failed;
}

void WarmReporter::begin(const std::vector<PlannedKernel>& kernels, int jobs) {
  if (context_.json) {
    print_json_line(
        {{"event", "plan"}, {"kernels", kernels.size()}, {"missing", missing_of(kernels)}, {"jobs", jobs}});
  }
}

void WarmReporter::tick(const WarmProgress& progress) {
  const std::string rate = progress.rate() > 0 ? fmt::format("{}/s, {} s left", fixed(progress.rate(), 1),
                                                             fixed(progress.seconds_left(), 0))
                                               : std::string("starting");
  context_.console.progress(progress.done(), progress.total,
                            fmt::format("{} cached, {} failed, {}  {}", progress.cached, progress.failed,
                                        rate, fmt::join(progress.in_flight, " | ")));
  constexpr double interval = 10;
  if (progress.seconds < told_ + interval) {
    return;
  }
  told_ = progress.seconds;
  if (context_.json) {
    print_json_line({{"event", "progress"},
                     {"done", progress.done()},
                     {"total", progress.total},
                     {"cached", progress.cached},
                     {"failed", progress.failed},
                     {"rate", progress.rate()},
                     {"seconds_left", progress.seconds_left()},
                     {"in_flight", progress.in_flight}});
    static_cast<void>(flush_output());
  } else if (!context_.console.is_terminal()) {
    context_.console.note(fmt::format("{}/{} kernels: {} cached, {} failed, {}", progress.done(),
                                      progress.total, progress.cached, progress.failed, rate));
  }
}

void WarmReporter::finished(const WarmResult& result) {
  const PlannedKernel& planned = *result.planned;
  if (!result.error.empty() &&
      told_causes_.insert(cause_of(result.error, planned.op->name, planned.spec_text, planned.arch)).second) {
    context_.console.error(result.error);
  }
  if (!context_.json) {
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
  print_json_line(event);
}

int summarise(CommandContext& context, const std::vector<WarmResult>& results,
              const std::vector<LeftOut>& left_out, bool shared, bool stopped, double seconds) {
  std::size_t cached = 0;
  std::size_t compiled = 0;
  std::size_t others = 0;
  std::size_t failed = 0;
  std::size_t left = 0;
  std::uint64_t bytes = 0;
  double compile_ms = 0;
  std::string error;
  std::vector<const WarmResult*> slowest;
  for (const WarmResult& result : results) {
    if (!result.reached) {
      ++left;
    } else if (!result.error.empty()) {
      error = failed++ == 0 ? result.error : error;
    } else {
      // Another process may have compiled the kernel since the plan was made.
      const bool ours = result.report.origin == Origin::compiled;
      ++(ours ? compiled : shared && !result.planned->cached ? others : cached);
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
  if (context.json) {
    Json slow = Json::array();
    for (const WarmResult* result : slowest) {
      slow.push_back({{"op", result->planned->op->name},
                      {"spec", result->planned->spec_text},
                      {"arch", result->planned->arch},
                      {"compile_ms", result->report.compile_ms}});
    }
    Json end = {{"event", "end"},
                {"kernels", results.size()},
                {"cached", cached},
                {"compiled", compiled},
                {"failed", failed},
                {"left", left},
                {"error", failed == 0 ? Json() : Json(error)},
                {"left_out", describe(left_out)},
                {"seconds", seconds},
                {"compile_ms", compile_ms},
                {"bytes", bytes},
                {"slowest", std::move(slow)}};
    if (shared) {
      end["others"] = others;
    }
    print_json_line(end);
  } else {
    Table table({{"kernels", Align::right},
                 {"cached", Align::right},
                 {"compiled", Align::right},
                 {"failed", Align::right},
                 {"seconds", Align::right},
                 {"cubin and PTX", Align::right}});
    table.add_row({fmt::format("{}", results.size()), fmt::format("{}", cached), fmt::format("{}", compiled),
                   fmt::format("{}", failed), fixed(seconds, 1), human_bytes(bytes)});
    print(table);
    if (shared) {
      print(fmt::format(
          "{} compiled here, {} by other machines meanwhile, {} in the cache or on the server before\n",
          compiled, others, cached));
    }
    if (!slowest.empty()) {
      Table slow({{"slowest to compile"}, {"specialisation"}, {"arch"}, {"tunables"}, {"ms", Align::right}});
      for (const WarmResult* result : slowest) {
        slow.add_row({result->planned->op->name, result->planned->spec_text, result->planned->arch,
                      result->planned->tunables_text, fixed(result->report.compile_ms, 0)});
      }
      print(slow);
    }
  }
  if (left > 0) {
    context.console.note(
        fmt::format("stopped with {} left; what was compiled is kept, and the same command continues",
                    counted(left, "kernel")));
  }
  if (failed > 0) {
    context.console.error(fmt::format("{} of {} kernels are not in the cache", failed, results.size()));
  }
  if (stopped && left > 0) {
    return exit_interrupted;
  }
  return !tools::failed(context, left_out) && failed == 0 && left == 0 ? exit_fine : exit_failed;
}

}  // namespace kerncast::tools
