// Starts eight processes that ask for the same forty kernels at once, with an empty cache. Each kernel must
// be compiled once; more compiles are a failure.
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "cache/directory/process_usage.hpp"
#include "kerncast/op_definition.hpp"
#include "kerncast/runtime.hpp"

namespace {

namespace fs = std::filesystem;
constexpr int processes = 8;
constexpr int kernels = 40;

int compile_all(const std::string& folder) {
  kerncast::RuntimeOptions options;
  options.cache_directory = folder;
  kerncast::Runtime runtime(options);
  const kerncast::OpDefinition& op = kerncast::OpRegistry::instance().require("norm.rms_norm");
  for (int i = 1; i <= kernels; ++i) {
    const auto spec = kerncast::specialise(op, {{"hidden", std::to_string(64 * i)}});
    if (runtime.compile(op, spec, "sm_90a", 1).cubin.empty()) {
      return 1;
    }
  }
  return 0;
}

}  // namespace

int main() {
  const std::string folder = (fs::temp_directory_path() / "kerncast-bench-cold").string();
  fs::remove_all(folder);
  const auto start = std::chrono::steady_clock::now();
  std::vector<pid_t> children;
  for (int i = 0; i < processes; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      int code = 1;
      try {
        code = compile_all(folder);
      } catch (const std::exception& error) {
        fmt::print(stderr, "{}\n", error.what());
      }
      _exit(code);
    }
    children.push_back(child);
  }
  bool good = true;
  for (const pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    good = good && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const kerncast::CacheCounters counted = kerncast::cache::counters_of(kerncast::cache::Folder::open(folder));
  good = good && counted.compiles == kernels;
  fmt::print("{} processes, {} kernels, {:.1f} s: {} compiles ({} wanted), {} waits, {} hits from disk  {}\n",
             processes, kernels, seconds, counted.compiles, kernels, counted.waits, counted.directory_hits,
             good ? "pass" : "FAIL");
  fs::remove_all(folder);
  return good ? 0 : 1;
}
