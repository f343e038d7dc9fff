#include <catch2/catch.hpp>
#include <filesystem>
#include <set>

#include "tests/tools/commands/command_process.hpp"
#include "tests/tools/commands/refused_arguments.hpp"

namespace {

using nlohmann::json;

const Arguments profile_norm = {"profile", "norm.rms_norm", "--set", "hidden=512", "--rows", "4"};

TEST_CASE("a profile asked for wrongly is exit code 2 with a message that helps") {
  const RefusedArguments cases[] = {
      {{"profile"}, "op is required"},
      {{"profile", "norm.rms_nrm"}, "did you mean norm.rms_norm?"},
      {{"profile", "norm.rms_norm"}, "hidden is required"},
      {{"profile", "norm.rms_norm", "--set", "hidden=512", "--rows", "0"}, "at least one row"},
      {{"profile", "norm.rms_norm", "--set", "hidden=512", "--rows", "-3"}, "at least one row"},
      {{"profile", "norm.rms_norm", "--set", "hidden=512", "--rows", "x"}, "--rows"},
      {{"profile", "norm.rms_norm", "--set", "hiden=512"}, "did you mean hidden?"},
      {with(profile_norm, {"--device", "h10"}), "did you mean h100?"},
      {with(profile_norm, {"--device", "tpu"}), "there are a100, rtx4090, h100, h200, b200"},
      {with(profile_norm, {"--arch", "h100"}), "not an architecture"},
      {with(profile_norm, {"--arch", "sm_75"}), "no described device has architecture sm_75"},
      {{"profile", "norm.rms_norm", "--model", "deepsek-v3"}, "did you mean deepseek-v3?"},
      {{"profile", "moe.fused_gate", "--model", "llama-3-8b"}, "does not use moe.fused_gate"},
  };
  check_refused(cases);
}

TEST_CASE("a page that cannot be written is an error, before any work") {
  const CommandPlace place;
  const Outcome outcome = place.run(with(profile_norm, {"--html", "no/such/folder/page.html"}));
  CHECK(outcome.code == 1);
  CHECK(outcome.out.empty());
  CHECK_THAT(outcome.err, Catch::Contains("cannot write no/such/folder/page.html"));
}

TEST_CASE("a driver chosen by name is not replaced by the virtual GPU") {
  const CommandPlace place;
  const Outcome outcome = place.run(profile_norm, {{"KERNCAST_DRIVER", "/no/such/libcuda.so"}});
  CHECK(outcome.code == 1);
  CHECK_THAT(outcome.err, Catch::Contains("/no/such/libcuda.so"));
}

TEST_CASE("a profile counts one launch, checks it and estimates every device") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  const Outcome outcome = place.run(with(profile_norm, {"--json", "--html", "page.html"}));
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  const json all = outcome.json().at("profiles");
  REQUIRE(all.size() == 1);
  const json& profile = all.at(0);
  CHECK(profile.at("op") == "norm.rms_norm");
  CHECK(profile.at("rows") == 4);
  CHECK(profile.at("arch") == "sm_90a");
  CHECK(profile.at("device") == "h100");
  CHECK(profile.at("checked") == true);
  CHECK(profile.at("ok") == true);
  CHECK(profile.at("registers").get<int>() > 0);
  CHECK(profile.at("line_info") == true);
  // Whatever the launch geometry, every element of x (4 x 512 bf16) is read and every element of y is
  // written.
  CHECK(profile.at("global").at("stores").at("bytes") == 4 * 512 * 2);
  CHECK(profile.at("global").at("loads").at("bytes").get<int>() >= 4 * 512 * 2);
  CHECK(profile.at("global").at("loads").at("sectors") >=
        profile.at("global").at("loads").at("least_sectors"));
  CHECK(profile.at("read_bytes") == (4 * 512 + 512) * 2);
  CHECK(profile.at("written_bytes") == 4 * 512 * 2);
  std::uint64_t by_unit = 0;
  for (const json& unit : profile.at("units")) {
    by_unit += unit.at("warp_instructions").get<std::uint64_t>();
  }
  CHECK(by_unit == profile.at("warp_instructions"));
  std::set<std::string> files;
  for (const json& line : profile.at("lines")) {
    files.insert(line.at("file"));
  }
  CHECK(files.count("norm/rms_norm/kernel.cuh") == 1);  // not where the compiler happened to run
  CHECK(profile.at("estimates").size() == 5);

  const std::string page = place.directory.read("page.html");
  CHECK_THAT(page, Catch::Contains("norm.rms_norm") && Catch::Contains("rms_norm/kernel.cuh") &&
                       Catch::EndsWith("</html>\n"));
  // The page contains text of the template, so the heat map has found its source.
  CHECK_THAT(page, Catch::Contains("__global__"));
  // Profiling does not change the cache, and gives the same counts again.
  CHECK(place.run({"cache", "stat", "--json"}).json().at("entries") == 0);
  CHECK(place.run(with(profile_norm, {"--json"})).json().at("profiles") == all);

  const Outcome text = place.run(profile_norm);
  CHECK(text.code == 0);
  CHECK_THAT(text.out, Catch::StartsWith("op ") && Catch::Contains("global loads") &&
                           Catch::Contains("estimate µs") && Catch::Contains("not a measurement"));
}

TEST_CASE("the kernel profiled is the one that runs, but for its line info") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  const Arguments inspect = {"inspect", "norm.rms_norm", "--set",  "hidden=512", "--rows",
                             "4",       "--arch",        "sm_90a", "--json"};
  const json inspected = place.run(inspect).json();
  const json profiled = place.run(with(profile_norm, {"--json"})).json().at("profiles").at(0);
  CHECK(profiled.at("key") == inspected.at("key"));
  CHECK(profiled.at("registers") == inspected.at("registers"));
  CHECK(profiled.at("tunables") == inspected.at("tunables"));
  // Without a compiler the cached kernel is profiled, with the same counts by PTX line.
  const Arguments warm = {"warm", "--model", "tiny.json", "--arch", "sm_90a", "--rows", "4"};
  place.directory.write("tiny.json", tiny_model());
  REQUIRE(place.run(warm).code == 0);
  const Arguments of_model = {"profile", "norm.rms_norm", "--model", "tiny.json", "--rows", "4", "--json"};
  const json compiled = place.run(of_model).json().at("profiles");
  const Outcome cached = place.run(of_model, {{"KERNCAST_NVRTC", "none"}});
  INFO(cached.err);
  REQUIRE(cached.code == 0);
  const json from_cache = cached.json().at("profiles");
  REQUIRE(from_cache.size() == compiled.size());
  for (std::size_t i = 0; i < compiled.size(); ++i) {
    const json& other = from_cache.at(i);
    CHECK(other.at("line_info") == false);
    CHECK(compiled.at(i).at("line_info") == true);
    for (const char* field : {"key", "label", "warp_instructions", "thread_instructions", "units", "global",
                              "shared", "estimates"}) {
      INFO(field);
      CHECK(other.at(field) == compiled.at(i).at(field));
    }
  }
}

TEST_CASE("device and architecture choose what is compiled") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  const json b200 = place.run(with(profile_norm, {"--device", "b200", "--json"})).json().at("profiles").at(0);
  CHECK(b200.at("arch") == "sm_100a");
  CHECK(b200.at("device") == "b200");
  const json ampere =
      place.run(with(profile_norm, {"--arch", "sm_80", "--json"})).json().at("profiles").at(0);
  CHECK(ampere.at("arch") == "sm_80");
  CHECK(ampere.at("device") == "a100");
}

}  // namespace
