#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <memory>
#include <set>
#include <tuple>

#include "kerncast/runtime.hpp"
#include "tools/command.hpp"
#include "tools/model_config.hpp"
#include "tools/output.hpp"
#include "tools/settings.hpp"
#include "tools/usage_error.hpp"
#include "tools/workload.hpp"

namespace kerncast::tools {
namespace {

struct WarmOptions {
  std::string op;
  std::vector<std::string> settings;
  std::vector<std::string> models;
  std::vector<std::string> archs;
  std::vector<std::int64_t> rows;
};

/// One call of Runtime::compile.
struct WarmJob {
  const OpDefinition* op = nullptr;
  Specialisation spec;
  std::string arch;
  std::int64_t rows = 0;
};

/// One kernel, or one job that gave none.
struct WarmResult {
  KernelReport report;
  std::vector<std::int64_t> rows;
  std::string error;
};

/// A row count of every bucket that launches are tuned under.
std::vector<std::int64_t> all_row_buckets() {
  std::vector<std::int64_t> rows;
  for (std::int64_t count = 1; rows.empty() || row_bucket(count) != row_bucket(rows.back()); count *= 2) {
    rows.push_back(count);
  }
  return rows;
}

/// The op named, at its settings; else every op of the models at their shapes.
std::vector<std::pair<const OpDefinition*, Specialisation>> wanted(const WarmOptions& options) {
  std::vector<std::pair<const OpDefinition*, Specialisation>> all;
  if (!options.op.empty()) {
    const OpDefinition& op = require_op(options.op);
    all.emplace_back(&op, specialise_settings(op, parse_settings(op, options.settings)));
  }
  for (const std::string& name : options.models) {
    for (const Workload& workload : workloads_of(load_model_config(name))) {
      all.emplace_back(workload.op, specialise(*workload.op, workload.params));
    }
  }
  return all;
}

std::vector<WarmJob> plan(const WarmOptions& options) {
  const std::vector<std::int64_t> rows = options.rows.empty() ? all_row_buckets() : check_rows(options.rows);
  std::vector<WarmJob> jobs;
  std::set<std::tuple<std::string, std::string, std::string, int>> seen;
  for (const auto& [op, spec] : wanted(options)) {
    for (const std::string& arch : options.archs) {
      for (const std::int64_t count : rows) {
        const auto identity =
            std::tuple(op->name, fmt::format("{}", fmt::join(spec.values, ",")), arch, row_bucket(count));
        if (seen.insert(identity).second) {
          jobs.push_back({op, spec, arch, count});
        }
      }
    }
  }
  return jobs;
}

std::vector<WarmResult> compile_all(Session& session, const std::vector<WarmJob>& jobs) {
  Runtime runtime(session.runtime_options());
  std::vector<WarmResult> results;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    const WarmJob& job = jobs[i];
    const std::string spec = format_specialisation(*job.op, job.spec);
    session.console.progress(i, jobs.size(), fmt::format("{} {} {}", job.arch, job.op->name, spec));
    WarmResult result;
    result.rows = {job.rows};
    try {
      result.report = runtime.compile(*job.op, job.spec, job.arch, job.rows);
    } catch (const Error& error) {
      result.report.op = job.op->name;
      result.report.spec = spec;
      result.report.arch = job.arch;
      result.error = error.what();
    }
    // Buckets that share their tunables share the kernel; so do failures with one cause.
    const auto same = std::find_if(results.begin(), results.end(), [&](const WarmResult& other) {
      return other.report.key == result.report.key && other.error == result.error &&
             std::tie(other.report.op, other.report.spec, other.report.arch) ==
                 std::tie(result.report.op, result.report.spec, result.report.arch);
    });
    if (same != results.end()) {
      same->rows.push_back(job.rows);
    } else {
      results.push_back(std::move(result));
    }
  }
  session.console.end_progress();
  return results;
}

Json to_json(const WarmResult& result) {
  const KernelReport& report = result.report;
  Json json = {{"op", report.op}, {"spec", report.spec}, {"arch", report.arch}, {"rows", result.rows}};
  const bool ok = result.error.empty();
  json["ok"] = ok;
  if (!ok) {
    json["error"] = result.error;
    return json;
  }
  json["cached"] = report.origin != Origin::compiled;
  json["compile_ms"] = report.compile_ms;
  json["tunables"] = report.tunables;
  json["registers"] = report.registers;
  json["spill_store_bytes"] = report.spill_store_bytes;
  json["spill_load_bytes"] = report.spill_load_bytes;
  json["shared_bytes"] = report.shared_bytes;
  json["key"] = report.key;
  return json;
}

int warm(Session& session, const WarmOptions& options) {
  if (options.op.empty() == options.models.empty()) {
    throw UsageError("give either --model NAME or an op with --set; see kerncast warm --help");
  }
  if (options.op.empty() && !options.settings.empty()) {
    throw UsageError("--set goes with an op only");
  }
  for (const std::string& arch : options.archs) {
    check_arch(arch);
  }
  const std::vector<WarmResult> results = compile_all(session, plan(options));
  Json list = Json::array();
  Table table({{"op"},
               {"specialisation"},
               {"arch"},
               {"rows"},
               {"tunables"},
               {"compile ms", Align::right},
               {"registers", Align::right}});
  std::size_t failed = 0;
  std::size_t compiled = 0;
  std::set<std::string> told;
  for (const WarmResult& result : results) {
    list.push_back(to_json(result));
    const KernelReport& report = result.report;
    const std::string rows = result.rows.size() == 1
                                 ? fmt::format("{}", result.rows.front())
                                 : fmt::format("{}..{}", result.rows.front(), result.rows.back());
    if (!result.error.empty()) {
      ++failed;
      table.add_row({report.op, report.spec, report.arch, rows, "", "FAILED", ""});
      if (told.insert(result.error).second) {
        session.console.error(result.error);
      }
      continue;
    }
    const bool cached = report.origin != Origin::compiled;
    compiled += cached ? 0 : 1;
    table.add_row({report.op, report.spec, report.arch, rows, report.tunables,
                   cached ? "cached" : fixed(report.compile_ms, 1), fmt::format("{}", report.registers)});
  }
  if (session.json) {
    print_json(list);
  } else {
    print(table.text());
    print(fmt::format("{} kernels: {} compiled, {} cached, {} failed\n", results.size(), compiled,
                      results.size() - compiled - failed, failed));
  }
  return failed == 0 ? exit_fine : exit_failed;
}

}  // namespace

void add_warm_command(CLI::App& root, Session& session) {
  CLI::App* command = root.add_subcommand(
      "warm",
      "Compile a model's kernels, or one op's, into the cache without launching, for any architecture; needs "
      "no device");
  const auto options = std::make_shared<WarmOptions>();
  command->add_option("op", options->op, "Op to compile at the parameters of --set, as norm.rms_norm");
  command
      ->add_option("--model", options->models,
                   "Shipped models or paths of config.json files, separated by commas")
      ->delimiter(',');
  command
      ->add_option("--set", options->settings,
                   "The op's parameters, as hidden=7168; several, or may be repeated")
      ->type_name("NAME=VALUE");
  command->add_option("--arch", options->archs, "Architectures, as sm_90a,sm_100a")
      ->required()
      ->delimiter(',');
  command->add_option("--rows", options->rows, "Row counts to be ready for; default: all")->delimiter(',');
  add_json_flag(*command, session);
  command->callback(
      [&session, options] { session.action = [&session, options] { return warm(session, *options); }; });
}

}  // namespace kerncast::tools
