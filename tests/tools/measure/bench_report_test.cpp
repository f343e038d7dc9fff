#include "tools/measure/bench_report.hpp"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

namespace kerncast::tools {
namespace {

BenchTimes times(const char* tunables, std::vector<double> samples) {
  BenchTimes made;
  made.report.tunables = tunables;
  made.report.key = "ab";
  made.measured.samples_us = std::move(samples);
  made.measured.summary = summarise(made.measured.samples_us);
  return made;
}

BenchSetting setting() {
  BenchSetting made;
  made.op = "norm.rms_norm";
  made.device = "A device";
  made.arch = "sm_90a";
  made.policy = "graphs";
  made.width = 0.02;
  made.peak_gb_per_s = 1000;
  return made;
}

/// 8000 bytes in 10 us are 0.8 GB/s.
BenchRow row() {
  BenchRow made;
  made.spec = "hidden=64";
  made.rows = 4;
  made.result.bytes = 8e6;
  made.result.end = RoundsEnd::narrow;
  made.result.times = {times("threads=128", std::vector<double>(10, 10.0)),
                       times("threads=64", std::vector<double>(10, 9.5))};
  return made;
}

TEST_CASE("a table has a line for each contender, with rate and gain") {
  const std::string text = bench_table(setting(), {row()}).text();
  CHECK_THAT(text, Catch::Contains("median µs") && Catch::Contains("gain over the first"));
  CHECK_THAT(text, Catch::Contains("10.00 to 10.00") && Catch::Contains("800") && Catch::Contains("80"));
  CHECK_THAT(text, Catch::Contains("+5.0 % (+5.0 % to +5.0 %)"));
  BenchSetting virtual_gpu = setting();
  virtual_gpu.estimate = "Times are an estimate.";
  CHECK_THAT(bench_table(virtual_gpu, {row()}).text(), Catch::Contains("estimate µs"));
  CHECK_THAT(bench_notes(virtual_gpu, {row()}), Catch::Contains("Times are an estimate."));
  BenchRow single = row();
  single.result.times.pop_back();
  CHECK_THAT(bench_table(setting(), {single}).text(), !Catch::Contains("gain"));
}

TEST_CASE("notes name what disturbed, what was short and which interval is wide") {
  BenchRow one = row();
  one.result.disturbed = "the SM clock went from 2000 to 1000 MHz";
  one.result.note = "memory holds 2 of 9 copies";
  CHECK_THAT(bench_notes(setting(), {one}),
             Catch::Contains("disturbed: hidden=64 with 4 rows: the SM clock went") &&
                 Catch::Contains("memory holds 2 of 9") && !Catch::Contains("wider"));
  one.result.times[0] = times("threads=128", {1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
  CHECK_THAT(bench_notes(setting(), {one}),
             Catch::Contains("the interval is wider than 2 % after all rounds"));
  one.result.end = RoundsEnd::time;
  CHECK_THAT(bench_notes(setting(), {one}), Catch::Contains("wider than 2 %; give more --time"));
}

TEST_CASE("a shape or a contender that failed is told, and the report is not fine") {
  BenchRow failed;
  failed.spec = "hidden=64";
  failed.rows = 1;
  failed.error = "no memory";
  CHECK_FALSE(failed.ok());
  CHECK_THAT(bench_table(setting(), {failed}).text(), Catch::Contains("FAILED"));
  CHECK(bench_json(setting(), {failed}).at("results").at(0).at("error") == "no memory");
  BenchRow half = row();
  CHECK(half.ok());
  half.result.times[1].measured.defect = "does not compile";
  CHECK_FALSE(half.ok());
  CHECK_THAT(bench_table(setting(), {half}).text(), Catch::Contains("FAILED"));
  const Json json = bench_json(setting(), {half}).at("results").at(0);
  CHECK(json.at("times").at(1).at("error") == "does not compile");
  CHECK_FALSE(json.at("times").at(1).contains("gain"));
}

TEST_CASE("JSON holds medians, intervals, every sample and the gain") {
  const Json all = bench_json(setting(), {row()});
  CHECK(all.at("estimate") == false);
  CHECK(all.at("data").is_null());
  CHECK(all.at("peak_gb_per_s") == 1000);
  const Json result = all.at("results").at(0);
  CHECK(result.at("ended_by") == "width");
  CHECK(result.at("before").at("sm_mhz").is_null());
  const Json second = result.at("times").at(1);
  CHECK(second.at("median_us") == 9.5);
  CHECK(second.at("samples") == 10);
  CHECK(second.at("samples_us").size() == 10);
  CHECK(second.at("gain").at("median").get<double>() == Approx(0.05));
  CHECK(second.at("gain").at("pairs") == 10);
  CHECK(result.at("times").at(0).at("of_peak").get<double>() == Approx(0.8));
  CHECK_FALSE(result.at("times").at(0).contains("gain"));
}

}  // namespace
}  // namespace kerncast::tools
