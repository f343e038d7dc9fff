// The record of a plan, loaded ahead by a host, and the trace of a host, summed up.
#include <algorithm>
#include <catch2/catch.hpp>
#include <string>

#include "kerncast/runtime.hpp"
#include "tests/tools/commands/command_process.hpp"

using nlohmann::json;

TEST_CASE("a host loads ahead what a plan has warmed and written, all of it from the cache") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  place.directory.write("tiny.json", tiny_dense_model());
  const std::string arch = place.run({"doctor", "--json"}).json().at("devices").at(0).at("arch");
  const std::string cache = place.directory.file("kernels");
  const Outcome warm = place.run({"warm", "--model", "tiny.json", "--arch", arch, "--rows", "1,16",
                                  "--write-record", "serving.jsonl", "--json"},
                                 {{"KERNCAST_CACHE_DIR", cache}});
  INFO(warm.err);
  REQUIRE(warm.code == 0);

  kerncast::RuntimeOptions options;
  options.cache_directory = cache;
  options.driver = "sim";
  options.miss_policy = kerncast::MissPolicy::cache_only;
  kerncast::Runtime host(options);
  const kerncast::LoadReport report = host.load_all(place.directory.file("serving.jsonl"));
  CHECK(report.failures.empty());
  CHECK(report.elsewhere == 0);
  CHECK(report.loaded + report.present >= warm.events("end").at(0).at("kernels").get<std::size_t>());
}

TEST_CASE("a plan without a compile writes the same record") {
  const CommandPlace place;
  place.directory.write("tiny.json", tiny_dense_model());
  const std::vector<std::string> plan = {"warm",   "--model", "tiny.json",     "--arch",
                                         "sm_90a", "--plan",  "--write-record"};
  const auto written = [&](const std::string& name) {
    std::vector<std::string> arguments = plan;
    arguments.push_back(name);
    REQUIRE(place.run(arguments).code == 0);
    return place.directory.read(name);
  };
  const std::string record = written("a");
  CHECK_FALSE(record.empty());
  CHECK(written("b") == record);
  const Outcome merged = place.run({"record", "merge", "c", "a", "b"});
  INFO(merged.err);
  REQUIRE(merged.code == 0);
  CHECK(place.directory.read("c") == record);
  CHECK(
      place.run({"warm", "--model", "tiny.json", "--arch", "sm_90a", "--plan", "--write-record", "no/such/x"})
          .code == 1);
}

TEST_CASE("the trace of a run is summed up, as a table and as JSON") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  place.directory.write("tiny.json", tiny_dense_model());
  const Outcome run = place.run({"run", "--model", "tiny.json", "--rows", "1,5"},
                                {{"KERNCAST_TRACE", place.directory.file("trace.json")}});
  INFO(run.err);
  REQUIRE(run.code == 0);
  const json summary = place.run({"trace", "view", "trace.json", "--json"}).json();
  const auto named = [](const json& kernel) { return kernel.at("op") == "norm.rms_norm"; };
  const json& kernels = summary.at("kernels");
  const auto found = std::find_if(kernels.begin(), kernels.end(), named);
  REQUIRE(found != kernels.end());
  const json& kernel = *found;
  CHECK(kernel.at("launches") >= 2);
  CHECK(kernel.at("compiles") >= 1);
  CHECK(kernel.at("compile_ms") > 1);
  CHECK(kernel.at("rows") == json::array({1, 5}));
  CHECK(summary.at("bad_lines") == 0);
  const Outcome table = place.run({"trace", "view", "trace.json"});
  CHECK(table.code == 0);
  CHECK_THAT(table.out, Catch::Contains("norm.rms_norm") && Catch::Contains("launches"));
  place.directory.write("text", "no trace\n");
  CHECK(place.run({"trace", "view", "text"}).code == 1);
  CHECK(place.run({"trace", "view", "missing"}).code == 1);
  CHECK(place.run({"trace"}).code == 2);
}
