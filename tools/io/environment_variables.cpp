#include "tools/io/environment_variables.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <system_error>

#include "runtime/util/environment.hpp"
#include "runtime/util/nearest_name.hpp"
#include "runtime/util/pid_pattern.hpp"

namespace kerncast::tools {
namespace {

std::string flag(const std::string& value) {
  return value == "0" || value == "1" ? std::string() : "is neither 0 nor 1";
}

bool is_number(std::string_view text, std::uint64_t least, std::uint64_t most) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && number >= least && number <= most;
}

std::string amount(const std::string& value) {
  std::string_view digits = value;
  if (!digits.empty() && std::string_view("KMG").find(digits.back()) != std::string_view::npos) {
    digits.remove_suffix(1);
  }
  return is_number(digits, 0, UINT64_MAX) ? std::string()
                                          : "is not an amount; write a number, or one like 2G or 512M";
}

std::string seconds(const std::string& value) {
  char* end = nullptr;
  const double number = std::strtod(value.c_str(), &end);
  return *end == '\0' && number > 0 ? std::string() : "is not a number of seconds above 0";
}

std::string threads(const std::string& value) {
  return is_number(value, 1, 1'000'000) ? std::string() : "is not a number of threads";
}

std::string devices(const std::string& value) {
  return is_number(value, 0, 64) ? std::string() : "is not a number from 0 to 64";
}

std::string isa(const std::string& value) {
  return value == "v2" || value == "v3" || value == "v4" ? std::string() : "is none of v2, v3 and v4";
}

std::string clock(const std::string& value) {
  constexpr std::string_view devices[] = {"a100", "rtx4090", "h100", "h200", "b200"};
  const bool known = std::find(std::begin(devices), std::end(devices), value) != std::end(devices);
  return known ? std::string() : "is none of a100, rtx4090, h100, h200 and b200";
}

std::string checks(const std::string& value) {
  return value == "on" || value == "off" || value == "report" ? std::string()
                                                              : "is none of on, off and report";
}

std::string report(const std::string& value) {
  return value == "stderr" || value == "off" ? std::string() : "is neither stderr nor off";
}

std::string nvtx(const std::string& value) {
  return value == "0" || value == "1" || value == "launches" ? std::string() : "is none of 0, 1 and launches";
}

std::string arch(const std::string& value) {
  const bool known = value.starts_with("sm_") && is_number(std::string_view(value).substr(3, 3), 75, 999) &&
                     value.size() <= 6;
  return known ? std::string() : "is not an architecture such as sm_90";
}

std::string paths(const std::string& value) {
  return value.find("://") == std::string::npos ? std::string()
                                                : "is a URL; KERNCAST_CACHE_REMOTE names a server";
}

std::string folder(const std::string& value) {
  std::error_code error;
  return std::filesystem::is_directory(value, error) ? std::string() : "is no directory";
}

std::string record(const std::string& value) {
  const std::string above = std::filesystem::path(value).parent_path().string();
  const bool there = ::access(value.c_str(), F_OK) == 0;
  return ::access(there           ? value.c_str()
                  : above.empty() ? "."
                                  : above.c_str(),
                  W_OK) == 0
             ? std::string()
             : "cannot be written";
}

std::string trace(const std::string& value) {
  return record(expand_pid(value, ::getpid()).path);
}

std::string metrics(const std::string& value) {
  const std::string path = expand_pid(value, ::getpid()).path;
  struct stat info{};
  if (::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
    return "is not a regular file";
  }
  // The file is replaced, so its folder has to be writable.
  const std::string above = std::filesystem::path(path).parent_path().string();
  return ::access(above.empty() ? "." : above.c_str(), W_OK | X_OK) == 0 ? std::string()
                                                                         : "cannot be written";
}

/// Variables of tests and scripts of the source tree, which may be set while the command runs, and the one
/// that `kerncast tune` sets for itself when it starts again.
constexpr std::string_view of_the_tree[] = {"KERNCAST_TUNE_BUDGET_END", "KERNCAST_TEST_LABEL",
                                            "KERNCAST_TEST_CACHE",      "KERNCAST_STRESS_SECONDS",
                                            "KERNCAST_FUZZ_ROUNDS",     "KERNCAST_CONFORMANCE_DRIVER",
                                            "KERNCAST_SIM_LEVELS"};

}  // namespace

const std::vector<EnvironmentVariable>& environment_variables() {
  static const std::vector<EnvironmentVariable> all = {
      {"KERNCAST_DRIVER", "cuda, sim (the virtual GPU) or the path of a driver library", nullptr},
      {"KERNCAST_NVRTC", "toolkit, wheel, none, or the path of an NVRTC library or of its folder", nullptr},
      {"KERNCAST_CACHE_DIR", "directory of the compiled kernels", nullptr},
      {"KERNCAST_CACHE_READONLY", "cache directories and packs that are only read, separated by colons",
       paths},
      {"KERNCAST_CACHE_REMOTE", "URL of a server that machines share compiled kernels through", nullptr},
      {"KERNCAST_CACHE_REMOTE_CREDENTIALS", "file with its user and password, in the form of .netrc",
       nullptr},
      {"KERNCAST_CACHE_REMOTE_READONLY", "1: upload nothing", flag},
      {"KERNCAST_CACHE_REMOTE_LEASES", "0: compile missing kernels without regard to other machines", flag},
      {"KERNCAST_CACHE_REMOTE_TIMEOUT_MS", "time-out of each answer of the server; default 1000", amount},
      {"KERNCAST_CACHE_WAIT_MS", "most that a missing kernel waits for server and locks; default 30000",
       amount},
      {"KERNCAST_CACHE_MAX_BYTES", "budget of the directory, 0 for none; default 2G", amount},
      {"KERNCAST_CACHE_MAX_ENTRIES", "most entries of the directory, 0 for any; default 100000", amount},
      {"KERNCAST_CACHE_TRUST", "1: also use a directory that others can write to", flag},
      {"KERNCAST_CACHE_OWNERS", "users whose read-only caches are trusted, separated by commas", nullptr},
      {"KERNCAST_CACHE_HOSTNAME", "1: what is compiled names this machine", flag},
      {"KERNCAST_TRUSTED_KEYS",
       "public keys, or files of them, that must have signed what comes from outside", nullptr},
      {"KERNCAST_SIGNING_KEY", "file of the key that signs what is compiled and tuned", nullptr},
      {"KERNCAST_STRICT", "1: compile nothing; a kernel that is not cached is an error", flag},
      {"KERNCAST_PDL", "0: no kernel starts before the kernel ahead of it in its stream has ended", flag},
      {"KERNCAST_RECORD", "file to which every requested kernel is appended, for warm --from-record", record},
      {"KERNCAST_METRICS_FILE", "file for the counters of a process, as Prometheus text; %p: its process id",
       metrics},
      {"KERNCAST_TRACE", "file for misses, compiles, loads and launches of a process; %p: its process id",
       trace},
      {"KERNCAST_NVTX", "1: mark compiles and loads for NVIDIA's profilers; launches: also launches", nvtx},
      {"KERNCAST_TEMPLATE_DIR", "kernel templates to use instead of the built-in ones", folder},
      {"KERNCAST_SIM_ARCH", "architecture of the virtual GPU; default sm_90", arch},
      {"KERNCAST_SIM_DEVICES", "number of virtual devices; default 1", devices},
      {"KERNCAST_SIM_CHECKS",
       "off: without the strict checks of the virtual GPU, for speed; report: go on after what they find",
       checks},
      {"KERNCAST_SIM_CLOCK", "a100, rtx4090, h100, h200 or b200: device whose time the virtual GPU estimates",
       clock},
      {"KERNCAST_SIM_NOISE", "noise on that time, such as seed=7,jitter=0.05", nullptr},
      {"KERNCAST_SIM_FAULTS", "fault=N, hang=N, lost=N: the launch of the virtual GPU that fails so",
       nullptr},
      {"KERNCAST_SIM_LEAKS", "1: print at exit what was never freed", flag},
      {"KERNCAST_SIM_THREADS", "host threads of the virtual GPU; default: one for each core", threads},
      {"KERNCAST_SIM_ISA", "v2, v3 or v4: the build of its executor", isa},
      {"KERNCAST_SIM_TIMEOUT", "seconds after which a launch ends with an error", seconds},
      {"KERNCAST_SIM_REPORT", "stderr or off: where faults are reported to programs of others", report},
  };
  return all;
}

std::string shown_value(std::string_view name, const std::string& value) {
  const std::vector<EnvironmentVariable>& all = environment_variables();
  const bool known = std::any_of(all.begin(), all.end(), [&](const EnvironmentVariable& variable) {
    return variable.name == name && name != "KERNCAST_CACHE_REMOTE";
  });
  return known && value.find("://") == std::string::npos ? value : "***";
}

std::vector<VariableMistake> examine_environment(const std::vector<std::string>& environment) {
  std::vector<std::string> names;
  for (const EnvironmentVariable& variable : environment_variables()) {
    names.emplace_back(variable.name);
  }
  std::vector<VariableMistake> mistakes;
  for (const std::string& setting : environment) {
    const std::size_t equals = std::min(setting.find('='), setting.size());
    const std::string name = setting.substr(0, equals);
    const std::string value = setting.substr(std::min(equals + 1, setting.size()));
    if (!name.starts_with("KERNCAST_") ||
        std::find(std::begin(of_the_tree), std::end(of_the_tree), name) != std::end(of_the_tree)) {
      continue;
    }
    const auto known = std::find(names.begin(), names.end(), name);
    if (known == names.end()) {
      const std::string nearest = nearest_name(name, names);
      mistakes.push_back({fmt::format("{} is no variable of Kerncast", name),
                          nearest.empty() ? fmt::format("unset {}; kerncast --help lists the variables", name)
                                          : fmt::format("did you mean {}? Else unset {}", nearest, name)});
      continue;
    }
    const EnvironmentVariable& variable =
        environment_variables()[static_cast<std::size_t>(known - names.begin())];
    if (variable.defect == nullptr || value.empty()) {
      continue;
    }
    if (const std::string defect = variable.defect(value); !defect.empty()) {
      mistakes.push_back({fmt::format("{}={} {}", name, shown_value(name, value), defect),
                          fmt::format("correct or unset {} ({})", name, variable.help)});
    }
  }
  return mistakes;
}

std::vector<std::string> own_environment() {
  std::vector<std::string> all;
  if (has_raised_privileges()) {
    return all;
  }
  for (char** variable = environ; *variable != nullptr; ++variable) {
    all.emplace_back(*variable);
  }
  return all;
}

}  // namespace kerncast::tools
