// The shared library as a plugin has it: loaded, used, closed, and beside another version of itself.
#include "tests/c_api/loaded/loaded_library.hpp"

#include <catch2/catch.hpp>
#include <string>
#include <thread>
#include <vector>

#include "tests/temporary_directory.hpp"

namespace {

constexpr const char* library_path = KERNCAST_LIBRARY;

std::string version_of(const LoadedLibrary& library) {
  return library.symbol<decltype(kerncast_version)>("kerncast_version")();
}

}  // namespace

TEST_CASE("the library is loaded, launches, and is closed, again and again") {
  const TemporaryDirectory cache;
  for (int turn = 0; turn < 3; ++turn) {
    {
      const LoadedLibrary library(library_path);
      const LoadedRuntime runtime(library, {{"driver", KERNCAST_SIM},
                                            {"cache_directory", cache.path()},
                                            {"metrics_file", cache.file("metrics.prom")},
                                            {"trace", cache.file("trace.json")}});
      CHECK(runtime.normalise_twos() == 1.0F);
      std::vector<std::thread> threads;
      for (std::int64_t hidden : {512, 1024}) {
        threads.emplace_back([&runtime, hidden] { static_cast<void>(runtime.normalise_twos(hidden)); });
      }
      for (std::thread& thread : threads) {
        thread.join();
      }
      CHECK(runtime.warnings().empty());
    }
    CHECK(::dlopen(library_path, RTLD_NOW | RTLD_NOLOAD) == nullptr);
  }
  CHECK_THAT(cache.read("trace.json"), Catch::EndsWith("]\n"));
}

#ifdef KERNCAST_COMMAND
TEST_CASE("a library whose kernels worker processes compile is closed") {
  for (int turn = 0; turn < 2; ++turn) {
    const TemporaryDirectory cache;
    const LoadedLibrary library(library_path);
    const LoadedRuntime runtime(library, {{"driver", KERNCAST_SIM},
                                          {"cache_directory", cache.path()},
                                          {"workers_command", KERNCAST_COMMAND},
                                          {"workers_jobs", "2"}});
    std::thread other([&runtime] { static_cast<void>(runtime.normalise_twos(512)); });
    CHECK(runtime.normalise_twos() == 1.0F);
    other.join();
  }
}
#endif

TEST_CASE("the instance of the process outlives no library") {
  const LoadedLibrary library(library_path);
  kerncast_runtime* instance = nullptr;
  KERNCAST_CALL(library, kerncast_runtime_instance, &instance);
  char* text = nullptr;
  KERNCAST_CALL(library, kerncast_cache_metrics, instance, &text);
  library.symbol<decltype(kerncast_text_free)>("kerncast_text_free")(text);
  library.symbol<decltype(kerncast_runtime_free)>("kerncast_runtime_free")(instance);
}

TEST_CASE("two versions of the library serve one process") {
  const int scope = GENERATE(RTLD_LOCAL, RTLD_GLOBAL);
  const TemporaryDirectory cache;
  const LoadedLibrary library(library_path, scope);
  const LoadedLibrary other(KERNCAST_OTHER_LIBRARY, scope);
  CHECK(version_of(library) == KERNCAST_TEST_VERSION);
  CHECK(version_of(other) == KERNCAST_TEST_VERSION ".other");

  const std::vector<std::pair<std::string, std::string>> options = {{"driver", KERNCAST_SIM},
                                                                    {"cache_directory", cache.path()}};
  const LoadedRuntime runtime(library, options);
  const LoadedRuntime other_runtime(other, options);
  CHECK(runtime.normalise_twos() == 1.0F);
  CHECK(other_runtime.normalise_twos() == 1.0F);
  CHECK(runtime.normalise_twos() == 1.0F);

  // A handle that crossed over would make the functions of one copy run on the state of the other.
  const kerncast_op* op = nullptr;
  const kerncast_op* other_op = nullptr;
  KERNCAST_CALL(library, kerncast_op_find, "norm.rms_norm", &op);
  KERNCAST_CALL(other, kerncast_op_find, "norm.rms_norm", &other_op);
  CHECK(op != other_op);
}
