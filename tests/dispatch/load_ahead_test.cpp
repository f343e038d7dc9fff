// Loading the kernels of a record before serving, and sealing a runtime.
#include <catch2/catch.hpp>
#include <string>

#include "tests/dispatch/rows_of_ones.hpp"

using namespace kerncast;

namespace {

/// A record of the kernels that a host of `f` asked for, one line for each row count.
std::string record_of(RowsOfOnes& f, const std::vector<std::int64_t>& row_counts, const std::string& name) {
  RuntimeOptions options = f.options(MissPolicy::compile);
  options.record = f.folder.file(name);
  Runtime host(options);
  for (const std::int64_t rows : row_counts) {
    norm::RmsNorm arguments = f.arguments;
    arguments.x = TensorView::contiguous(f.x.data(), DType::f32, {rows, RowsOfOnes::hidden});
    arguments.y = TensorView::contiguous(f.y.data(), DType::f32, {rows, RowsOfOnes::hidden});
    launch(host, arguments, nullptr);
  }
  f.context.synchronize();
  return options.record;
}

}  // namespace

TEST_CASE("what a record names is in memory before the first launch, and nothing else is") {
  RowsOfOnes f;
  const std::string record = record_of(f, {1, 3}, "record.jsonl");
  Runtime fresh(f.options(MissPolicy::compile));
  const LoadReport report = fresh.load_all(record);
  CHECK(report.loaded + report.present == 2);
  CHECK(report.loaded >= 1);
  CHECK(report.compiled == 0);
  CHECK(report.failures.empty());
  CHECK(implementation_of(fresh).hot.size() == 2);

  const CacheCounters before = fresh.cache_counters();
  f.y.fill(0xCD);
  launch(fresh, f.arguments, nullptr);
  f.context.synchronize();
  CHECK(f.result() == std::vector<float>(RowsOfOnes::rows * RowsOfOnes::hidden, 1.0F));
  CHECK(fresh.cache_counters().directory_hits == before.directory_hits);
  CHECK(implementation_of(fresh).hot.size() == 2);
  CHECK(fresh.load_all(record).present == 2);
}

TEST_CASE("a kernel that the cache lacks is compiled while loading ahead, unless the runtime is sealed") {
  RowsOfOnes f;
  const std::string record = record_of(f, {3}, "record.jsonl");
  implementation_of(f.runtime).cache.store().clear();
  RuntimeOptions options = f.options(MissPolicy::compile);
  const TemporaryDirectory empty;
  options.cache_directory = empty.path();
  Runtime fresh(options);
  SECTION("open") {
    CHECK(fresh.load_all(record).compiled == 1);
  }
  SECTION("sealed") {
    fresh.seal();
    const LoadReport report = fresh.load_all(record);
    CHECK(report.compiled == 0);
    REQUIRE(report.failures.size() == 1);
    CHECK_THAT(report.failures.front(), Catch::Contains("norm.rms_norm") && Catch::Contains("sealed") &&
                                            Catch::Contains("kerncast warm norm.rms_norm"));
  }
}

TEST_CASE("kernels of other architectures are left out, and bad lines and unknown ops are told") {
  RowsOfOnes f;
  const std::string own = f.runtime.arch(0);
  const std::string line = R"({"op": "norm.rms_norm", "set": "x_dtype=f32 hidden=256", "arch": ")";
  const std::string record = f.folder.write(
      "mixed.jsonl", line + R"(sm_80", "sms": 108, "rows": 3})" + "\n" + line + own +
                         R"(", "sms": 132, "rows": 3})" + "\nhalf of a li\n" +
                         R"({"op": "own.op", "set": "", "arch": ")" + own + R"(", "sms": 132, "rows": 3})" +
                         "\n" + line + own + R"(", "sms": 132, "rows": 0})" + "\n");
  const LoadReport report = f.runtime.load_all(record);
  CHECK(report.elsewhere == 1);
  CHECK(report.loaded + report.compiled + report.present >= 1);
  REQUIRE(report.failures.size() >= 2);
  CHECK_THAT(report.failures.front(), Catch::Contains("own.op"));
  CHECK_THAT(report.failures.back(), Catch::Contains("1 lines are no records") && Catch::Contains("line 3"));
}

TEST_CASE("a record that cannot be read, or a device that does not exist, is an error") {
  RowsOfOnes f;
  CHECK_THROWS_WITH(f.runtime.load_all(f.folder.file("missing")), Catch::Contains("cannot be read"));
  CHECK_THROWS_WITH(f.runtime.load_all(f.folder.path()), Catch::Contains("cannot be read"));
  CHECK_THROWS_WITH(f.runtime.load_all(f.folder.write("text", "no record\n")),
                    Catch::Contains("KERNCAST_RECORD"));
  const std::string record = record_of(f, {3}, "record.jsonl");
  CHECK_THROWS_AS(f.runtime.load_all(record, 99), Error);
  CHECK(f.runtime.load_all(f.folder.write("empty", "")).loaded == 0);
}

TEST_CASE("a sealed runtime serves what it has, and a miss names the command that warms it") {
  RowsOfOnes f;
  launch(f.runtime, f.arguments, nullptr);
  f.runtime.seal();
  launch(f.runtime, f.arguments, nullptr);
  const auto refused = [](auto&& call) {
    try {
      call();
      FAIL("compiled although sealed");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::cache_miss);
      CHECK_THAT(error.what(),
                 Catch::Contains("Runtime::seal") && Catch::Contains("kerncast warm norm.rms_norm"));
    }
  };
  norm::RmsNorm other = f.arguments;
  other.x = TensorView::contiguous(f.x.data(), DType::f32, {RowsOfOnes::rows * 2, RowsOfOnes::hidden / 2});
  other.y = TensorView::contiguous(f.y.data(), DType::f32, {RowsOfOnes::rows * 2, RowsOfOnes::hidden / 2});
  refused([&] { launch(f.runtime, other, nullptr); });
  const OpDefinition& op = OpRegistry::instance().require("norm.rms_norm");
  refused(
      [&] { static_cast<void>(f.runtime.compile(op, specialise(op, {{"hidden", "640"}}), "sm_90a", 1)); });
  f.context.synchronize();
  CHECK(f.runtime.cache_counters().compiles == 1);
}
