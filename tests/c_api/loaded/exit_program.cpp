// A host that ends while threads of it are inside the library: exit_program instance|static|workers CACHE
// [COMMAND].
#include <atomic>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "kerncast/kerncast.hpp"
#include "kerncast/op_definition.hpp"

namespace {

constexpr int compiles = 4;

kerncast::RuntimeOptions options(int count, char** words, std::atomic<int>& begun) {
  kerncast::RuntimeOptions out;
  out.cache_directory = words[2];
  out.warn = [](std::string_view) {};
  out.listener = [&begun](const kerncast::KernelEvent& event) {
    begun += event.kind == kerncast::KernelEventKind::compile_begin ? 1 : 0;
  };
  if (count > 3) {
    out.compile_workers.command = words[3];
    out.compile_workers.jobs = 2;
  }
  return out;
}

/// Compiles kernels in threads that nobody waits for.
void compile_in_threads(kerncast::Runtime& runtime, std::atomic<int>& ended) {
  const kerncast::OpDefinition& op = kerncast::OpRegistry::instance().require("norm.rms_norm");
  for (int i = 0; i < compiles; ++i) {
    const std::string hidden = std::to_string(256 * (i + 1));
    std::thread([&runtime, &op, &ended, hidden] {
      try {
        runtime.compile(op, kerncast::specialise(op, {{"x_dtype", "bf16"}, {"hidden", hidden}}), "sm_90a", 1);
      } catch (const kerncast::Error&) {
        ++ended;
        return;
      }
      ++ended;
    }).detach();
  }
}

}  // namespace

int main(int count, char** words) {
  if (count < 3) {
    return 2;
  }
  // Threads count here while the process ends.
  static auto& begun = *new std::atomic<int>(0);
  static auto& ended = *new std::atomic<int>(0);
  if (std::string_view(words[1]) == "instance") {
    ::setenv("KERNCAST_CACHE_DIR", words[2], 1);
    kerncast::Runtime& runtime = kerncast::Runtime::instance();
    compile_in_threads(runtime, ended);
    while (runtime.cache_counters().misses == 0 && ended == 0) {
      std::this_thread::yield();
    }
    return runtime.cache_counters().misses != 0 ? 0 : 3;
  }
  static kerncast::Runtime runtime(options(count, words, begun));
  compile_in_threads(runtime, ended);
  while (begun == 0 && ended == 0) {
    std::this_thread::yield();
  }
  return begun != 0 ? 0 : 3;
}
