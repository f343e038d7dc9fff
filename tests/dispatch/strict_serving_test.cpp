#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "tests/dispatch/rows_of_ones.hpp"

using namespace kerncast;

namespace {

/// Sets an environment variable while it lives.
class Setting {
 public:
  Setting(const char* name, const std::string& value) : name_(name) { setenv(name, value.c_str(), 1); }
  ~Setting() { unsetenv(name_); }
  Setting(const Setting&) = delete;
  Setting& operator=(const Setting&) = delete;

 private:
  const char* name_;
};

RuntimeOptions options_in(const RowsOfOnes& f) {
  RuntimeOptions options;
  options.cache_directory = f.folder.path();
  return options;
}

}  // namespace

TEST_CASE("in strict mode a miss fails with the command that would have covered it") {
  const RowsOfOnes f;
  RuntimeOptions options = options_in(f);
  const Setting strict("KERNCAST_STRICT", "1");
  Runtime runtime(options);
  try {
    launch(runtime, f.arguments, nullptr);
    FAIL("compiled in strict mode");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::cache_miss);
    CHECK_THAT(error.what(), Catch::Contains("KERNCAST_STRICT") &&
                                 Catch::Contains("kerncast warm norm.rms_norm --set x_dtype=f32 ") &&
                                 Catch::Contains("hidden=256") && Catch::EndsWith(" --rows 3"));
  }
  CHECK(runtime.cache_counters().compiles == 0);
}

TEST_CASE("a warm kernel is served in strict mode, without a compiler") {
  RowsOfOnes f;
  launch(f.runtime, f.arguments, nullptr);
  f.context.synchronize();
  f.y.fill(0xCD);
  RuntimeOptions options = options_in(f);
  options.nvrtc = "none";
  const Setting strict("KERNCAST_STRICT", "1");
  Runtime runtime(options);
  launch(runtime, f.arguments, nullptr);
  f.context.synchronize();
  CHECK(f.result() == std::vector<float>(RowsOfOnes::rows * RowsOfOnes::hidden, 1.0F));
}

TEST_CASE("an option of the host overrides the environment, and 0 is not strict") {
  const RowsOfOnes f;
  RuntimeOptions options = options_in(f);
  SECTION("the host compiles") {
    options.miss_policy = MissPolicy::compile;
    const Setting strict("KERNCAST_STRICT", "1");
    Runtime runtime(options);
    launch(runtime, f.arguments, nullptr);
    CHECK(runtime.cache_counters().compiles == 1);
  }
  SECTION("the host is strict") {
    options.miss_policy = MissPolicy::cache_only;
    Runtime runtime(options);
    CHECK_THROWS_AS(launch(runtime, f.arguments, nullptr), Error);
  }
  SECTION("0") {
    const Setting strict("KERNCAST_STRICT", "0");
    Runtime runtime(options);
    launch(runtime, f.arguments, nullptr);
    CHECK(runtime.cache_counters().compiles == 1);
  }
}

TEST_CASE("a runtime told to record notes what launches asked for, misses of strict mode too") {
  const RowsOfOnes f;
  RuntimeOptions options = options_in(f);
  const std::string path = f.folder.path() + "/record";
  SECTION("by the host") {
    options.record = path;
  }
  SECTION("by the environment") {
    options.record.clear();
  }
  const Setting record("KERNCAST_RECORD", path);
  options.miss_policy = MissPolicy::cache_only;
  Runtime runtime(options);
  CHECK_THROWS_AS(launch(runtime, f.arguments, nullptr), Error);
  std::ifstream in(path);
  std::string line;
  REQUIRE(std::getline(in, line));
  CHECK_THAT(line, Catch::StartsWith("{\"op\": \"norm.rms_norm\", \"set\": \"x_dtype=f32 ") &&
                       Catch::EndsWith(", \"rows\": 3}"));
}
