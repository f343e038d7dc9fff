#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <vector>

#include "cache/cache.hpp"
#include "cache/directory/health.hpp"
#include "cache/directory/index.hpp"
#include "cache/directory/store.hpp"
#include "cache/pack/pack.hpp"
#include "cache/signature/signing_key.hpp"
#include "cache/signature/trusted_keys.hpp"
#include "cache/tuning/tuning_store.hpp"
#include "kerncast/op_definition.hpp"
#include "kerncast/version.hpp"
#include "runtime/compiler/nvrtc_api.hpp"
#include "runtime/dispatch/source_text/template_set.hpp"
#include "runtime/driver/device.hpp"
#include "runtime/driver/driver_api.hpp"
#include "runtime/util/environment.hpp"
#include "tools/commands/command.hpp"
#include "tools/io/environment_variables.hpp"
#include "tools/io/output.hpp"
#include "tools/run/launch_probe.hpp"
#include "tools/verify/place_report.hpp"

namespace kerncast::tools {
namespace {

/// The findings, as lines of name and value and as JSON, and the problems.
struct Findings {
  Json json = Json::object();
  std::vector<std::pair<std::string, std::string>> lines;
  Json problems = Json::array();
  bool ready = true;        ///< false after an error
  bool has_device = false;  ///< a driver with a device was found
  bool compiles = false;    ///< an NVRTC was found
  /// True if nothing has to be compiled, since the user said so: KERNCAST_STRICT or KERNCAST_NVRTC=none.
  bool serves_only = false;

  void line(const std::string& name, const std::string& value) { lines.emplace_back(name, value); }

  void warning(const std::string& text, const std::string& remedy) { add("warning", text, remedy); }
  void error(const std::string& text, const std::string& remedy) {
    add("error", text, remedy);
    ready = false;
  }
  /// An error where kernels have to be compiled and kept, else a warning.
  void error_unless_serving(const std::string& text, const std::string& remedy) {
    serves_only ? warning(text, remedy) : error(text, remedy);
  }

 private:
  void add(const char* severity, const std::string& text, const std::string& remedy) {
    problems.push_back({{"severity", severity}, {"problem", text}, {"remedy", remedy}});
  }
};

/// Runs `work` in a child process. Returns the signal that ended it in words, or an empty text. A broken
/// library can end the process that loads it, which must not be this one.
std::string signal_of(void (*work)()) {
  const pid_t child = fork();
  if (child == 0) {
    // A library may also hang, and must not do so for longer than somebody waits for it.
    static_cast<void>(prctl(PR_SET_PDEATHSIG, SIGKILL));
    static_cast<void>(std::freopen("/dev/null", "w", stderr));
    work();
    _exit(0);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child || !WIFSIGNALED(status)) {
    return {};
  }
  return fmt::format("SIG{}", sigabbrev_np(WTERMSIG(status)));
}

void examine_variables(Findings& findings) {
  Json& json = findings.json["environment"];
  json = Json::object();
  for (const std::string& setting : own_environment()) {
    if (setting.starts_with("KERNCAST_")) {
      const std::size_t equals = setting.find('=');
      const std::string name = setting.substr(0, equals);
      const std::string value = setting.substr(equals + 1);
      json[name] =
          name == "KERNCAST_CACHE_REMOTE" ? cache::RemoteAddress(value).name() : shown_value(name, value);
    }
  }
  for (const VariableMistake& mistake : examine_environment(own_environment())) {
    findings.error(mistake.problem, mistake.remedy);
  }
  const std::string strict = environment("KERNCAST_STRICT");
  findings.serves_only = (!strict.empty() && strict != "0") || environment("KERNCAST_NVRTC") == "none";
}

/// Lists the candidates of a search, each with its path and the reason why it was refused.
template <class Candidates>
Json describe_candidates(Findings& findings, const Candidates& candidates) {
  Json list = Json::array();
  for (const auto& candidate : candidates) {
    list.push_back({{"path", candidate.path}, {"refused", candidate.refused}});
    std::string outcome = candidate.refused.empty() ? std::string("taken") : candidate.refused;
    if (const std::string twice = candidate.path + ": "; outcome.starts_with(twice)) {
      outcome.erase(0, twice.size());  // the loader names the file as well
    }
    findings.line("  tried", fmt::format("{}: {}", candidate.path, outcome));
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
  if (const std::string signal = signal_of([] { static_cast<void>(driver::search_driver()); });
      !signal.empty()) {
    findings.json["driver"]["found"] = false;
    findings.json["devices"] = Json::array();
    findings.line("driver", fmt::format("loading it ends the process by {}", signal));
    findings.error(fmt::format("loading the driver ends the process by {}: its library is broken", signal),
                   "install the driver again, or name another one by KERNCAST_DRIVER");
    return;
  }
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
    findings.error("no usable driver: nothing can be launched",
                   driver_remedy(environment("KERNCAST_DRIVER")));
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
      findings.error(error.what(), "check the device with nvidia-smi");
    }
  }
  findings.has_device = !devices.empty();
  if (search.driver != nullptr && devices.empty()) {
    findings.error("the driver has no usable device: nothing can be launched",
                   "make a device visible (CUDA_VISIBLE_DEVICES), or set KERNCAST_DRIVER=sim");
  }
}

void examine_nvrtc(Findings& findings) {
  Json& json = findings.json["nvrtc"];
  if (const std::string signal = signal_of([] { static_cast<void>(compiler::load_nvrtc()); });
      !signal.empty()) {
    json["found"] = false;
    findings.line("NVRTC", fmt::format("loading it ends the process by {}", signal));
    findings.error(fmt::format("loading NVRTC ends the process by {}: its library is broken", signal),
                   "install NVRTC again, or name another one by KERNCAST_NVRTC");
    return;
  }
  const compiler::NvrtcSearch search = compiler::load_nvrtc();
  json["found"] = search.nvrtc != nullptr;
  findings.compiles = search.nvrtc != nullptr;
  if (search.nvrtc != nullptr) {
    json["path"] = search.nvrtc->path;
    json["version"] = search.nvrtc->version();
    json["archs"] = search.nvrtc->supported_archs;
    findings.line("NVRTC", fmt::format("{}, {}", search.nvrtc->version(), search.nvrtc->path));
  } else {
    findings.line("NVRTC", "none");
    findings.error_unless_serving(
        "no NVRTC was found: cached kernels can run, but no new ones can be compiled", search.remedy);
  }
  json["candidates"] = describe_candidates(findings, search.candidates);
}

/// Verifies some entries of the directory, as many as take a moment.
void examine_entries(Findings& findings, const cache::CacheOptions& options, cache::Store& store) {
  cache::TuningStore tuning(store.root(), [](std::string_view) {}, cache::directory_trust(options));
  const cache::TrustedKeys trusted;
  const EntryVerifier verifier(trusted, nullptr);
  Bounds bounds;
  bounds.entries = 32;
  bounds.time = std::chrono::seconds(1);
  const PlaceReport report = verify(*own_source(store, tuning), verifier, bounds);
  findings.json["cache"]["verified"] = report.entries;
  findings.json["cache"]["unsound"] = report.entry_defects.size();
  findings.line("  verified", fmt::format("{}{}: {} sound", counted(report.entries, "entry"),
                                          report.whole ? "" : " as a sample", report.count(Verdict::sound)));
  if (!report.entry_defects.empty()) {
    const EntryDefect& first = report.entry_defects.front();
    findings.warning(
        fmt::format("{} of the {} that were verified {} not sound, such as {}: {}",
                    report.entry_defects.size(), counted(report.entries, "entry"),
                    report.entry_defects.size() == 1 ? "is" : "are", first.key.hex(), first.finding.reason),
        "`kerncast cache verify` verifies all, and with --repair moves bad ones away");
  }
}

void examine_cache(Findings& findings) {
  const cache::CacheOptions options = cache::options_from_environment();
  cache::Store store(cache::default_directory(), [](std::string_view) {}, cache::directory_trust(options));
  const cache::Health health = cache::check_health(store);
  findings.json["cache"] = {
      {"directory", health.directory},    {"exists", health.exists},
      {"writable", health.writable},      {"entries", health.statistics.entries},
      {"bytes", health.statistics.bytes}, {"quarantined", health.statistics.quarantined},
      {"free_bytes", health.free_bytes}};
  findings.line("cache", fmt::format("{}, {}", health.directory.empty() ? "none" : health.directory,
                                     health.writable ? "writable" : "not writable"));
  findings.line("  holds", fmt::format("{}, {}; {} free", counted(health.statistics.entries, "entry"),
                                       human_bytes(health.statistics.bytes), human_bytes(health.free_bytes)));
  for (const cache::HealthProblem& problem : health.problems) {
    if (problem.unusable && !(problem.distrust && options.trust_everyone)) {
      findings.error_unless_serving(problem.problem, problem.remedy);
    } else {
      findings.warning(problem.problem, problem.remedy);
    }
  }
  if (health.writable) {
    examine_entries(findings, options, store);
  }
  if (const std::string defect = cache::index_defect(store); !defect.empty()) {
    findings.warning(fmt::format("the index {}/index.sqlite is damaged: {}", health.directory, defect),
                     "no kernel is lost: `kerncast cache ls` rebuilds it from the entries");
  }
}

/// The reason why `path` cannot serve as a read-only layer; empty if it can.
std::string layer_defect(const std::string& path, const cache::Trust& trust) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) {
    return std::generic_category().message(errno);
  }
  if (!S_ISDIR(info.st_mode)) {
    std::string defect;
    return cache::Pack::open(path, trust, defect) != nullptr ? std::string() : defect;
  }
  const cache::Folder root = cache::Folder::open(path, trust);
  if (!root.valid()) {
    return root.failure().text;
  }
  const cache::Folder entries = root.child("v1");
  if (entries.failure().error == ENOENT) {
    return "it holds no kernels (no folder v1)";
  }
  if (!entries.valid()) {
    return entries.failure().text;
  }
  const std::string reason = cache::reason_not_trusted(entries.fd(), trust);
  return reason.empty() ? reason : fmt::format("{}: {}", entries.path(), reason);
}

void examine_layers(Findings& findings) {
  const cache::CacheOptions options = cache::options_from_environment();
  const cache::Trust trust = cache::layer_trust(options, [&](std::string_view text) {
    findings.warning(std::string(text), "correct or unset KERNCAST_CACHE_OWNERS");
  });
  Json& json = findings.json["layers"];
  json = Json::array();
  for (const std::string& path : options.read_only) {
    const std::string defect = layer_defect(path, trust);
    json.push_back({{"path", path}, {"defect", defect}});
    findings.line("layer", fmt::format("{}, {}", path, defect.empty() ? "usable" : "not usable"));
    if (!defect.empty()) {
      findings.error(
          fmt::format("the read-only layer {} cannot be used: {}", path, defect),
          "correct KERNCAST_CACHE_READONLY, mount what it names, or write the pack again; name an owner that "
          "you trust in KERNCAST_CACHE_OWNERS, and let nobody else write on the way to the layer");
    }
  }
  const cache::RemoteOptions remote = cache::remote_options(options);
  if (remote.address.empty()) {
    if (!remote.credentials_file.empty()) {
      findings.warning("KERNCAST_CACHE_REMOTE_CREDENTIALS is set, but no server is named",
                       "set KERNCAST_CACHE_REMOTE, or unset KERNCAST_CACHE_REMOTE_CREDENTIALS");
    }
    return;
  }
  const std::string& name = remote.address.name();
  const std::string defect = cache::remote_defect(remote);
  findings.json["remote"] = {{"url", name}, {"defect", defect}};
  findings.line("remote", fmt::format("{}, {}", name, defect.empty() ? "answers" : "not usable"));
  if (!defect.empty()) {
    findings.error(fmt::format("the remote cache {} cannot be used: {}", name, defect),
                   "correct or unset KERNCAST_CACHE_REMOTE and KERNCAST_CACHE_REMOTE_CREDENTIALS, or start "
                   "the server");
  }
}

void examine_keys(Findings& findings) {
  const cache::CacheOptions options = cache::options_from_environment();
  std::size_t mistakes = 0;
  const cache::TrustedKeys trusted(options.trusted_keys, [&](std::string_view text) {
    ++mistakes;
    findings.error(std::string(text), "correct KERNCAST_TRUSTED_KEYS");
  });
  findings.json["keys"] = {{"trusted", trusted.keys().size()}, {"demanded", trusted.demanded()}};
  if (trusted.demanded()) {
    findings.line("keys", fmt::format("what comes from outside must be signed by one of {}",
                                      counted(trusted.keys().size(), "key")));
  }
  if (trusted.demanded() && trusted.keys().empty() && mistakes == 0) {
    findings.error("KERNCAST_TRUSTED_KEYS names no key, so nothing from outside is used",
                   "correct or unset KERNCAST_TRUSTED_KEYS");
  }
  std::string defect;
  if (!options.signing_key.empty() && !cache::SigningKey::read(options.signing_key, defect)) {
    findings.error(fmt::format("the signing key {} cannot be used: {}", options.signing_key, defect),
                   "correct or unset KERNCAST_SIGNING_KEY; `kerncast key generate FILE` makes a key");
  }
}

void examine_templates(Findings& findings) {
  const std::string directory = environment("KERNCAST_TEMPLATE_DIR");
  if (directory.empty()) {
    findings.json["templates"] = {{"directory", nullptr}};
    findings.line("templates", "built in");
    return;
  }
  findings.json["templates"] = {{"directory", directory}};
  findings.line("templates", fmt::format("{} (KERNCAST_TEMPLATE_DIR)", directory));
  const TemplateSet templates(directory);
  std::vector<std::string> defective;
  std::string first;
  for (const OpDefinition* op : OpRegistry::instance().all()) {
    try {
      static_cast<void>(templates.closure(op->include, op->sources));
    } catch (const Error& error) {
      defective.push_back(op->name);
      first = first.empty() ? error.what() : first;
    }
  }
  if (!defective.empty()) {
    findings.error(fmt::format("{} of {} ops cannot be built from {}, such as {}: {}", defective.size(),
                               OpRegistry::instance().all().size(), directory, defective.front(), first),
                   "correct KERNCAST_TEMPLATE_DIR, or unset it to use the built-in templates");
  }
}

/// Sends a trivial kernel through everything that was found.
void examine_launch(Findings& findings) {
  Json& json = findings.json["launch"];
  json = {{"compiled", false}, {"stored", false}, {"launched", false}};
  if (!findings.has_device) {
    return;
  }
  // The probe is not what a host asks for or counts.
  ::unsetenv("KERNCAST_RECORD");
  ::unsetenv("KERNCAST_METRICS_FILE");
  ::unsetenv("KERNCAST_TRACE");
  ::unsetenv("KERNCAST_NVTX");
  RuntimeOptions options;
  options.warn = [](std::string_view) {};  // the findings say it
  LaunchProbe probe;
  if (findings.compiles) {
    probe = probe_launch(options);
  } else {
    Runtime runtime(options);
    probe.launch_defect = probe_driver(runtime);
    probe.launched = probe.launch_defect.empty();
  }
  json = {{"compiled", probe.compiled}, {"stored", probe.stored}, {"launched", probe.launched}};
  const auto done = [](bool step) { return step ? "yes" : "no"; };
  findings.line("a kernel", fmt::format("compiled: {}, stored and read back: {}, launched: {}",
                                        done(probe.compiled), done(probe.stored), done(probe.launched)));
  if (!probe.compile_defect.empty()) {
    findings.error_unless_serving(
        fmt::format("a trivial kernel cannot be compiled: {}", probe.compile_defect),
        "install NVRTC again with its builtins library, or name another one by "
        "KERNCAST_NVRTC");
  }
  if (!probe.store_defect.empty()) {
    findings.error_unless_serving(fmt::format("a compiled kernel cannot be kept: {}", probe.store_defect),
                                  "make the cache directory usable, or set KERNCAST_CACHE_DIR");
  }
  if (!probe.launch_defect.empty()) {
    findings.error(fmt::format("a trivial kernel cannot be launched: {}", probe.launch_defect),
                   "check the driver and the device (nvidia-smi), or set KERNCAST_DRIVER=sim");
  }
}

std::string verdict(const Findings& findings) {
  if (!findings.ready) {
    return "not ready";
  }
  return findings.compiles ? "ready to launch" : "ready to launch what is cached; nothing can be compiled";
}

/// Says on standard error that nothing can be launched, since a script may keep that alone.
int conclude(CommandContext& context, const Findings& findings) {
  for (const Json& problem : findings.problems) {
    if (!findings.ready && problem["severity"] == "error") {
      context.console.error(fmt::format("{}: {}", verdict(findings), problem["problem"].get<std::string>()));
    }
  }
  return findings.ready ? exit_fine : exit_failed;
}

int examine(CommandContext& context) {
  Findings findings;
  examine_variables(findings);
  examine_driver(findings);
  examine_nvrtc(findings);
  examine_cache(findings);
  examine_layers(findings);
  examine_keys(findings);
  examine_templates(findings);
  examine_launch(findings);
  findings.json["problems"] = findings.problems;
  findings.json["verdict"] = verdict(findings);
  findings.json["ok"] = findings.ready;
  if (context.json) {
    print_json(findings.json);
    return conclude(context, findings);
  }
  Table table({{"kerncast"}, {KERNCAST_VERSION}});
  for (const auto& [name, value] : findings.lines) {
    table.add_row({name, value});
  }
  print(table);
  for (const Json& problem : findings.problems) {
    print(fmt::format("\n{}: {}\n  remedy: {}\n", problem["severity"].get<std::string>(),
                      problem["problem"].get<std::string>(), problem["remedy"].get<std::string>()));
  }
  print(fmt::format("\n{}\n", verdict(findings)));
  return conclude(context, findings);
}

}  // namespace

void add_doctor_command(const Command& root, CommandContext& context) {
  const Command command = root.add("doctor",
                                   "Examine variables, driver, devices, NVRTC and cache, send a trivial "
                                   "kernel through them, and say what to "
                                   "do about problems");
  command.json_flag();
  command.action([&context] { return examine(context); });
}

}  // namespace kerncast::tools
