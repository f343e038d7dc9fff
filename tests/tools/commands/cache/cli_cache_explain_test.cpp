// `kerncast cache explain`, end to end.
#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/tools/commands/cache/sample_cache.hpp"
#include "tests/tools/commands/command_process.hpp"

namespace {

using nlohmann::json;
namespace fs = std::filesystem;

std::vector<std::string> explain(const std::string& set, const std::string& arch = "sm_90a") {
  return {"cache", "explain", "norm.rms_norm", "--set", set, "--arch", arch, "--json"};
}

std::vector<std::string> texts(const json& nearest) {
  std::vector<std::string> out;
  for (const json& difference : nearest.at("differences")) {
    out.push_back(difference.at("text"));
  }
  return out;
}

TEST_CASE("explaining with an empty cache says that there is nothing") {
  const CommandPlace place;
  const json answer = place.run(explain(hidden)).json();
  CHECK(answer.at("hit") == false);
  CHECK(answer.at("candidates") == 0);
  CHECK(answer.at("nearest").is_null());
  CHECK(place.run({"cache", "explain", "norm.rms_nrm", "--arch", "sm_90a"}).code == 2);
  CHECK(place.run({"cache", "explain", "norm.rms_norm", "--arch", "90"}).code == 2);
}

TEST_CASE("the architecture of an explanation is that of the device") {
  const CommandPlace place;
  const std::vector<std::string> words = {"cache", "explain", "norm.rms_norm", "--set", hidden, "--json"};
  CHECK(place.run(words, {{"KERNCAST_SIM_ARCH", "sm_80"}}).json().at("arch") == "sm_80");
  const Outcome none = place.run(words, {{"KERNCAST_DRIVER", "/no/such/driver"}});
  CHECK(none.json().at("arch") == "sm_90a");
  CHECK_THAT(none.err, Catch::Contains("taking sm_90a"));
}

TEST_CASE("hits, misses and what differs") {
  if (!has_nvrtc()) {
    return;
  }
  const Warmed warmed;
  const CommandPlace& place = warmed.place;
  const json hit = place.run(explain(hidden)).json();
  CHECK(hit.at("hit") == true);
  CHECK(hit.at("nearest").at("differences").empty());
  CHECK_THAT(place.run({"cache", "explain", "norm.rms_norm", "--set", hidden, "--arch", "sm_90a"}).out,
             Catch::Contains("hit: the kernel is in " + place.directory.file("cache")));

  const json arch = place.run(explain(hidden, "sm_100a")).json();
  CHECK(arch.at("hit") == false);
  CHECK(texts(arch.at("nearest")) == std::vector<std::string>{"architecture sm_90a -> sm_100a"});

  const json shape = place.run(explain("hidden=128")).json();
  const std::vector<std::string> found = texts(shape.at("nearest"));
  CHECK(std::find(found.begin(), found.end(), "parameter hidden 64 -> 128") != found.end());

  // A copy of the templates with one more line makes another template.
  fs::copy(KERNCAST_TEMPLATES, place.directory.file("templates"), fs::copy_options::recursive);
  const std::string changed = "templates/norm/rms_norm/kernel.cuh";
  place.directory.write(changed, place.directory.read(changed) + "// changed\n");
  const json other =
      place.run(explain(hidden), {{"KERNCAST_TEMPLATE_DIR", place.directory.file("templates")}}).json();
  CHECK(texts(other.at("nearest")) == std::vector<std::string>{"template changed: norm/rms_norm/kernel.cuh"});

  // Explaining counts neither as a hit nor as a miss.
  const json counters = place.run({"cache", "stat", "--json"}).json().at("counters");
  CHECK(counters.at("misses") == 1);
  CHECK(counters.at("compiles") == 1);
  CHECK(counters.at("directory_hits") == 0);
}

}  // namespace
