// `kerncast cache metrics` and KERNCAST_METRICS_FILE, end to end.
#include <catch2/catch.hpp>
#include <cstdint>
#include <filesystem>
#include <string>

#include "cache/cache.hpp"
#include "tests/cache/sample.hpp"
#include "tests/prometheus_text.hpp"
#include "tests/tools/commands/cache/sample_cache.hpp"
#include "tests/tools/commands/command_process.hpp"

namespace {

using nlohmann::json;
namespace fs = std::filesystem;

TEST_CASE("metrics are the counters of all processes, on standard output or in a file") {
  const CommandPlace place;
  const std::string root = place.directory.file("cache");
  const PrometheusText none(place.run({"cache", "metrics"}).out);
  CHECK(none.value("kerncast_cache_misses_total", {{"directory", root}}) == "0");
  for (std::uint64_t i = 0; i < 3; ++i) {
    kerncast::cache::CacheOptions options;
    options.directory = root;
    kerncast::cache::Cache cache(options, nullptr);
    CHECK(!cache.load(sample_key(i)));
    REQUIRE(cache.publish(sample_key(i), sample_entry()));
  }
  const auto is_right = [&](const std::string& text) {
    const json counters = place.run({"cache", "stat", "--json"}).json().at("counters");
    const PrometheusText metrics(text);
    CHECK(counters.at("misses") == 3);
    CHECK(metrics.size() == counters.size());
    CHECK(metrics.value("kerncast_cache_misses_total", {{"directory", root}}) == "3");
    CHECK(metrics.value("kerncast_cache_publishes_total", {{"directory", root}}) == "3");
    CHECK(metrics.value("kerncast_cache_hits_total", {{"directory", root}, {"layer", "memory"}}) == "0");
    CHECK(metrics.value("kerncast_cache_written_bytes_total", {{"directory", root}}) ==
          counters.at("bytes_written").dump());
  };
  is_right(place.run({"cache", "metrics"}).out);
  is_right(place.run({"cache", "metrics", "--json"}).json().at("text"));
  is_right(place.run({"cache", "metrics", "--out", "-"}).out);
  place.directory.write("a.prom", "old");
  const Outcome written = place.run({"cache", "metrics", "--out", "a.prom"});
  CHECK(written.code == 0);
  CHECK_THAT(written.out, Catch::Contains("are in a.prom"));
  is_right(place.directory.read("a.prom"));
  CHECK(place.run({"cache", "metrics", "--out", "nowhere/a.prom"}).code == 1);
}

TEST_CASE("a process writes its metrics where the environment names a file") {
  if (!has_nvrtc()) {
    return;
  }
  const Warmed warmed;
  REQUIRE(warmed.place.run(warmed.warm, {{"KERNCAST_METRICS_FILE", "%p.prom"}}).code == 0);
  std::string text;
  for (const fs::directory_entry& file : fs::directory_iterator(warmed.place.directory.path())) {
    const std::string name = file.path().filename().string();
    text += name.ends_with(".prom") ? warmed.place.directory.read(name) : "";
  }
  CHECK_THAT(text, Catch::Contains("kerncast_cache_misses_total{pid=\""));
}

}  // namespace
