#include "runtime/compiler/worker/worker_environment.hpp"

#include <fmt/format.h>

#include "runtime/util/environment.hpp"

namespace kerncast::compiler::worker {
namespace {

constexpr const char* passed_on[] = {
    // load_nvrtc() reads these.
    "KERNCAST_NVRTC",
    "CUDA_HOME",
    "CUDA_PATH",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "PATH",
    "HOME",
    // The dynamic loader and the C library read these.
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "GLIBC_TUNABLES",
    "TMPDIR",
    "LANG",
    "LC_ALL",
    // The runtimes of the sanitizers read these in builds with them.
    "ASAN_OPTIONS",
    "LSAN_OPTIONS",
    "TSAN_OPTIONS",
    "UBSAN_OPTIONS",
    "ASAN_SYMBOLIZER_PATH",
};

}  // namespace

std::vector<std::string> worker_environment() {
  std::vector<std::string> out;
  for (const char* name : passed_on) {
    if (const std::string value = environment(name); !value.empty()) {
      out.push_back(fmt::format("{}={}", name, value));
    }
  }
  return out;
}

}  // namespace kerncast::compiler::worker
