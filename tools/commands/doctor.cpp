#include <fmt/format.h>
#include <sqlite3.h>

#include <cstdlib>
#include <filesystem>

#include "cache/directory/health.hpp"
#include "cache/directory/store.hpp"
#include "kerncast/op_definition.hpp"
#include "kerncast/version.hpp"
#include "runtime/compiler/nvrtc_api.hpp"
#include "runtime/dispatch/template_set.hpp"
#include "runtime/driver/device.hpp"
#include "runtime/driver/driver_api.hpp"
#include "tools/commands/command.hpp"
#include "tools/io/output.hpp"

namespace kerncast::tools {
namespace {

/// The findings, as lines of name and value and as JSON, and the problems.
struct Findings {
  Json json = Json::object();
  std::vector<std::pair<std::string, std::string>> lines;
  Json problems = Json::array();
  bool launchable = true;

  void line(const std::string& name, const std::string& value) { lines.emplace_back(name, value); }

  void problem(const char* severity, const std::string& text, const std::string& remedy) {
    problems.push_back({{"severity", severity}, {"problem", text}, {"remedy", remedy}});
  }
};

/// Lists the candidates of a search, each with its path and the reason why it was refused.
template <class Candidates>
Json describe_candidates(Findings& findings, const Candidates& candidates) {
  Json list = Json::array();
  for (const auto& candidate : candidates) {
    list.push_back({{"path", candidate.path}, {"refused", candidate.refused}});
    findings.line("  tried",
                  fmt::format("{}: {}", candidate.path,
                              candidate.refused.empty() ? std::string("taken") : candidate.refused));
  }
  return list;
}

std::string version_text(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

std::string driver_remedy(const std::string& choice) {
  if (choice == "cuda") {
    return "install the NVIDIA driver, or unset KERNCAST_DRIVER (now cuda) to use the virtual GPU";
  }
  if (!choice.empty() && choice != "sim") {
    return fmt::format("correct or unset KERNCAST_DRIVER ({})", choice);
  }
  return fmt::format("{}build the virtual GPU (libkerncast-sim.so) and keep it beside the command",
                     choice.empty() ? "install the NVIDIA driver, or " : "");
}

void examine_driver(Findings& findings) {
  const driver::DriverSearch search = driver::search_driver();
  Json& json = findings.json["driver"];
  json["found"] = search.driver != nullptr;
  if (search.driver != nullptr) {
    const driver::Driver& found = *search.driver;
    const char* kind = found.is_virtual ? "virtual GPU" : "NVIDIA";
    json["kind"] = found.is_virtual ? "sim" : "cuda";
    json["path"] = found.path;
    json["version"] = version_text(found.version);
    findings.line("driver", fmt::format("{}, CUDA {}, {}", kind, version_text(found.version), found.path));
  } else {
    findings.line("driver", "none");
    findings.launchable = false;
    const char* choice = std::getenv("KERNCAST_DRIVER");
    findings.problem("error", "no usable driver: nothing can be launched",
                     driver_remedy(choice != nullptr ? choice : ""));
  }
  json["candidates"] = describe_candidates(findings, search.candidates);
  Json& devices = findings.json["devices"];
  devices = Json::array();
  for (int i = 0; search.driver != nullptr && i < search.driver->device_count; ++i) {
    try {
      const driver::DeviceInfo info = driver::query_device(search.driver->api, i);
      devices.push_back({{"ordinal", i},
                         {"name", info.name},
                         {"arch", info.arch},
                         {"sm_count", info.sm_count},
                         {"memory_bytes", info.total_memory}});
      findings.line(fmt::format("device {}", i), fmt::format("{}, {}, {} SMs, {}", info.name, info.arch,
                                                             info.sm_count, human_bytes(info.total_memory)));
    } catch (const Error& error) {
      findings.problem("warning", error.what(), "check the device with nvidia-smi");
    }
  }
  if (search.driver != nullptr && devices.empty()) {
    findings.launchable = false;
    findings.problem("error", "the driver has no usable device: nothing can be launched",
                     "make a device visible (CUDA_VISIBLE_DEVICES), or set KERNCAST_DRIVER=sim");
  }
}

void examine_nvrtc(Findings& findings) {
  const compiler::NvrtcSearch search = compiler::load_nvrtc();
  Json& json = findings.json["nvrtc"];
  json["found"] = search.nvrtc != nullptr;
  if (search.nvrtc != nullptr) {
    json["path"] = search.nvrtc->path;
    json["version"] = search.nvrtc->version();
    json["archs"] = search.nvrtc->supported_archs;
    findings.line("NVRTC", fmt::format("{}, {}", search.nvrtc->version(), search.nvrtc->path));
  } else {
    findings.line("NVRTC", "none");
    findings.problem("warning", "no NVRTC was found: cached kernels can run, but no new ones can be compiled",
                     search.remedy);
  }
  json["candidates"] = describe_candidates(findings, search.candidates);
}

/// The defect that SQLite reports for the index at `path`. Empty if it is sound or does not exist.
std::string index_defect(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    return {};
  }
  std::string defect = "quick_check gave no result";
  const auto first_answer = [](void* to, int count, char** texts, char**) {
    *static_cast<std::string*>(to) = count > 0 && texts[0] != nullptr ? texts[0] : "";
    return 1;  // stop here
  };
  sqlite3* database = nullptr;
  if (sqlite3_open_v2(path.c_str(), &database, SQLITE_OPEN_READONLY, nullptr) == SQLITE_OK) {
    const int code = sqlite3_exec(database, "PRAGMA quick_check(1)", first_answer, &defect, nullptr);
    if (code != SQLITE_ABORT) {
      defect = sqlite3_errmsg(database);
    }
  } else {
    defect = sqlite3_errmsg(database);
  }
  sqlite3_close(database);
  return defect == "ok" ? std::string() : defect;
}

void examine_cache(Findings& findings) {
  const cache::Store store(cache::default_directory(), [](std::string_view) {});
  const cache::Health health = cache::check_health(store);
  findings.json["cache"] = {
      {"directory", health.directory},    {"exists", health.exists},
      {"writable", health.writable},      {"entries", health.statistics.entries},
      {"bytes", health.statistics.bytes}, {"quarantined", health.statistics.quarantined},
      {"free_bytes", health.free_bytes}};
  findings.line("cache", fmt::format("{}, {}", health.directory.empty() ? "none" : health.directory,
                                     health.writable ? "writable" : "not writable"));
  findings.line("  holds", fmt::format("{} entries, {}; {} free", health.statistics.entries,
                                       human_bytes(health.statistics.bytes), human_bytes(health.free_bytes)));
  for (const cache::HealthProblem& problem : health.problems) {
    findings.problem("warning", problem.problem, problem.remedy);
  }
  const std::string index = health.directory + "/index.sqlite";
  if (const std::string defect = index_defect(index); !defect.empty()) {
    findings.problem("warning", fmt::format("the index {} is damaged: {}", index, defect),
                     "no kernel is lost: `kerncast cache ls` rebuilds it from the entries");
  }
}

void examine_templates(Findings& findings) {
  const char* directory = std::getenv("KERNCAST_TEMPLATE_DIR");
  if (directory == nullptr || *directory == '\0') {
    findings.json["templates"] = {{"directory", nullptr}};
    findings.line("templates", "built in");
    return;
  }
  findings.json["templates"] = {{"directory", directory}};
  findings.line("templates", fmt::format("{} (KERNCAST_TEMPLATE_DIR)", directory));
  const TemplateSet templates(directory);
  for (const OpDefinition* op : OpRegistry::instance().all()) {
    try {
      static_cast<void>(templates.closure(op->include, op->sources));
    } catch (const Error& error) {
      findings.launchable = false;
      findings.problem("error", fmt::format("{}: {}", op->name, error.what()),
                       "correct KERNCAST_TEMPLATE_DIR, or unset it to use the built-in templates");
    }
  }
}

int examine(CommandContext& context) {
  Findings findings;
  examine_driver(findings);
  examine_nvrtc(findings);
  examine_cache(findings);
  examine_templates(findings);
  findings.json["problems"] = findings.problems;
  findings.json["ok"] = findings.launchable;
  if (context.json) {
    print_json(findings.json);
    return findings.launchable ? exit_fine : exit_failed;
  }
  Table table({{"kerncast"}, {KERNCAST_VERSION}});
  for (const auto& [name, value] : findings.lines) {
    table.add_row({name, value});
  }
  print(table.text());
  for (const Json& problem : findings.problems) {
    print(fmt::format("\n{}: {}\n  remedy: {}\n", problem["severity"].get<std::string>(),
                      problem["problem"].get<std::string>(), problem["remedy"].get<std::string>()));
  }
  print(findings.launchable ? "\nready to launch\n" : "\nnot able to launch\n");
  return findings.launchable ? exit_fine : exit_failed;
}

}  // namespace

void add_doctor_command(const Command& root, CommandContext& context) {
  const Command command = root.add(
      "doctor", "Show which driver, devices, NVRTC and cache were found, and what to do about problems");
  command.json_flag();
  command.action([&context] { return examine(context); });
}

}  // namespace kerncast::tools
