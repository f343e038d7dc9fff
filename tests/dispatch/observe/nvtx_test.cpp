// The ranges and marks that NVIDIA's profilers see.
#include <dlfcn.h>

#include <catch2/catch.hpp>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "runtime/dispatch/observe/nvtx_ranges.hpp"
#include "tests/cache/child_process.hpp"
#include "tests/dispatch/rows_of_ones.hpp"

using namespace kerncast;

namespace {

/// The recorder, under the name by which NVIDIA's library is asked for: the loader then takes it for that.
class Recorder {
 public:
  Recorder() : library_(::dlopen(KERNCAST_NVTX_RECORDER, RTLD_NOW | RTLD_LOCAL)) {
    REQUIRE(library_ != nullptr);
    static_cast<void>(calls());
  }
  [[nodiscard]] std::vector<std::string> calls() const {
    const auto recorded = reinterpret_cast<const char* (*)()>(::dlsym(library_, "recorded_calls"));
    std::istringstream lines(recorded());
    std::vector<std::string> out;
    for (std::string line; std::getline(lines, line);) {
      // The specialisation stands behind the name.
      out.push_back(line.substr(0, line.find(" [")));
    }
    return out;
  }

 private:
  void* library_;
};

struct Fixture : RowsOfOnes {
  [[nodiscard]] std::unique_ptr<Runtime> marking(const std::string& setting) {
    RuntimeOptions out = options(MissPolicy::compile);
    out.nvtx = setting;
    out.warn = [this](std::string_view text) { warnings.emplace_back(text); };
    return std::make_unique<Runtime>(out);
  }
  std::vector<std::string> warnings;
};

}  // namespace

TEST_CASE("NVIDIA's library is used if it is there; if not, there is one warning, and launches work") {
  // In a process of its own, since the loader would give the later tests a library that this one has loaded.
  CHECK(run_child([] {
          const bool there = ::dlopen("libnvtx3interop.so.1", RTLD_NOW) != nullptr ||
                             ::dlopen("libnvToolsExt.so.1", RTLD_NOW) != nullptr;
          Fixture fixture;
          const std::unique_ptr<Runtime> marked = fixture.marking("launches");
          launch(*marked, fixture.arguments, nullptr);
          launch(*marked, fixture.arguments, nullptr);
          const bool launched = fixture.result() == std::vector<float>(Fixture::rows * Fixture::hidden, 1.0F);
          const bool warned = fixture.warnings.size() == 1 &&
                              fixture.warnings[0].find("NVTX cannot be loaded (libnvtx3interop.so.1: ") !=
                                  std::string::npos &&
                              fixture.warnings[0].find("libnvToolsExt.so.1: ") != std::string::npos &&
                              fixture.warnings[0].find("unset KERNCAST_NVTX") != std::string::npos;
          return launched && (there ? fixture.warnings.empty() : warned) ? 0 : 1;
        }) == 0);
}

TEST_CASE_METHOD(Fixture, "a miss is a mark, a compile and a load are ranges") {
  const Recorder recorder;
  const std::unique_ptr<Runtime> marked = marking("1");
  launch(*marked, arguments, nullptr);
  launch(*marked, arguments, nullptr);
  CHECK(recorder.calls() == std::vector<std::string>{"mark kerncast miss norm.rms_norm",
                                                     "push kerncast compile norm.rms_norm", "pop",
                                                     "push kerncast load norm.rms_norm", "pop"});
  CHECK(warnings.empty());
}

TEST_CASE_METHOD(Fixture, "launches are ranges when they are asked for") {
  const Recorder recorder;
  const std::unique_ptr<Runtime> marked = marking("launches");
  launch(*marked, arguments, nullptr);
  static_cast<void>(recorder.calls());
  launch(*marked, arguments, nullptr);
  CHECK(recorder.calls() == std::vector<std::string>{"push norm.rms_norm", "pop"});
}

TEST_CASE_METHOD(Fixture, "the range of a compile that fails ends") {
  const Recorder recorder;
  RuntimeOptions failing = options(MissPolicy::compile);
  failing.nvtx = "1";
  failing.compile_workers.command = "/bin/false";
  Runtime marked(failing);
  CHECK_THROWS_AS(launch(marked, arguments, nullptr), Error);
  CHECK(recorder.calls() == std::vector<std::string>{"mark kerncast miss norm.rms_norm",
                                                     "push kerncast compile norm.rms_norm", "pop"});
}

TEST_CASE_METHOD(Fixture, "nothing is marked unless it is asked for") {
  const Recorder recorder;
  for (const std::string setting : {"", "0"}) {
    launch(*marking(setting), arguments, nullptr);
  }
  CHECK(warnings.empty());
  launch(*marking("yes"), arguments, nullptr);
  REQUIRE(warnings.size() == 1);
  CHECK_THAT(warnings[0], Catch::Contains("KERNCAST_NVTX is 'yes', which is none of 0, 1 and launches"));
  CHECK(recorder.calls().empty());
}
