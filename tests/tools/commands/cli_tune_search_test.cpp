#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "tests/tools/commands/command_process.hpp"
#include "tests/tools/commands/refused_arguments.hpp"

namespace {

using nlohmann::json;

const Arguments tune_norm = {"tune",         "norm.rms_norm", "--set",        "hidden=256",
                             "x_dtype=bf16", "--device",      "estimate:h100"};

TEST_CASE("tuning that is asked for wrongly is exit code 2 with a message that helps") {
  const RefusedArguments cases[] = {
      {{"tune"}, "give either --model NAME"},
      {with(tune_norm, {"--ops", "norm.none"}), "--ops norm.none matches no op"},
      {with(tune_norm, {"--ops", "moe.*"}), "--ops moe.* selects nothing to tune"},
      {with(tune_norm, {"--quant", "fp9"}), "fp9"},
      {{"tune", "--model", "llama-3-8b", "--tp", "7", "--device", "estimate:h100"}, "7"},
      {{"tune", "norm.rms_norm", "--set", "hidden=64", "--arch", "sm_75"}, "no described device"},
      {{"tune", "norm.rms_nrm", "--device", "estimate:h100"}, "did you mean norm.rms_norm?"},
      {{"tune", "norm.rms_norm", "--device", "estimate:h100"}, "hidden is required"},
      {with(tune_norm, {"--device", "estimate:h10"}), "did you mean estimate:h100?"},
      {with(tune_norm, {"--device", "h100"}), "did you mean estimate:h100?"},
      {with(tune_norm, {"--device", "cuda:first"}), "did you mean cuda:0?"},
      {with(tune_norm, {"--arch", "sm_100a"}), "has architecture sm_90a"},
      {with(tune_norm, {"--strategy", "guidd"}), "did you mean guided?"},
      {with(tune_norm, {"--stop", "patince"}), "did you mean patience?"},
      {with(tune_norm, {"--budget", "0s"}), "leaves no time"},
      {with(tune_norm, {"--budget", "soon"}), "--budget soon is no length of time; write it as 10m or 2h"},
      {with(tune_norm, {"--least-gain", "101"}), "--least-gain"},
      {with(tune_norm, {"--rows", "0"}), "no rows"},
      {with(tune_norm, {"--shard", "3/2"}), "3/2"},
      {with(tune_norm, {"--shard", "auto"}), "no queue"},
      {with(tune_norm, {"--model", "deepseek-v3"}), "give either"},
      {{"tune", "--model", "deepsek-v3", "--device", "estimate:h100"}, "did you mean deepseek-v3?"},
  };
  check_refused(cases);
}

TEST_CASE("a plan shows the points and compiles nothing") {
  const CommandPlace place;
  const Outcome outcome = place.run(with(tune_norm, {"--plan", "--json", "--rows", "1,3,4"}));
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  const json plan = outcome.json();
  CHECK(plan.at("device") == "estimate:h100");
  REQUIRE(plan.at("points").size() == 2);
  CHECK(plan.at("points").at(1).at("rows_low") == 3);
  CHECK(plan.at("points").at(0).at("candidates").get<int>() > 1);
  CHECK(plan.at("points").at(0).at("stored") == 0);
  CHECK(place.run({"cache", "stat", "--json"}).json().at("entries") == 0);
}

TEST_CASE("without a device the first line says which one was taken, and why") {
  const CommandPlace place;
  const Arguments tune = {"tune", "norm.rms_norm", "--set", "hidden=256", "--rows", "1", "--plan"};
  CHECK_THAT(place.run(tune).out,
             Catch::StartsWith("tuning 1 point on estimate:h100 (the driver has no GPU)"));
  CHECK_THAT(place.run(with(tune, {"--arch", "sm_80"})).out,
             Catch::StartsWith("tuning 1 point on estimate:a100 (the driver has no GPU)"));
  CHECK_THAT(place.run(with(tune, {"--device", "sim:b200"})).out,
             Catch::StartsWith("tuning 1 point on sim:b200 by guided"));
  CHECK(place.run(with(tune, {"--json"})).json().at("device") == "estimate:h100");
}

TEST_CASE("ranks, quantisation and ops of a model are chosen as for a warm-up") {
  const CommandPlace place;
  place.directory.write("config.json", tiny_model());
  const auto points_of = [&](const Arguments& more) {
    const Outcome outcome = place.run(with(
        {"tune", "--model", "config.json", "--rows", "4", "--device", "estimate:h100", "--plan", "--json"},
        more));
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    std::set<std::string> points;
    const json plan = outcome.json();
    for (const json& point : plan.at("points")) {
      points.insert(point.at("op").get<std::string>() + " " + point.at("spec").get<std::string>());
    }
    return points;
  };
  const std::set<std::string> moe = points_of({"--ops", "moe.*"});
  REQUIRE_FALSE(moe.empty());
  CHECK(std::all_of(moe.begin(), moe.end(),
                    [](const std::string& point) { return point.starts_with("moe."); }));
  const auto align = [](const std::set<std::string>& points, const char* experts) {
    return std::any_of(points.begin(), points.end(), [&](const std::string& point) {
      return point.starts_with("moe.align_block_size") && point.find(experts) != std::string::npos;
    });
  };
  CHECK(align(moe, "experts=16"));
  CHECK(align(points_of({"--ops", "align_block_size", "--ep", "4"}), "experts=4"));
  const std::set<std::string> mlp = points_of({"--ops", "silu_and_mul*", "--tp", "1"});
  const std::set<std::string> both = points_of({"--ops", "silu_and_mul*", "--tp", "1,2"});
  CHECK(both.size() > mlp.size());
  CHECK(std::includes(both.begin(), both.end(), mlp.begin(), mlp.end()));
  CHECK(points_of({"--quant", "int8"}) != points_of({}));
}

TEST_CASE("the cost model of the described device orders what is measured") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  const Arguments few = {"--rows", "4", "--strategy", "model:least=2,most=2", "--json"};
  const Arguments norm = {"tune", "norm.relative_l1", "--set", "hidden=256"};
  // By the identifiers, the order without a model, the second would be threads=128.
  const std::pair<std::string, std::vector<std::pair<std::string, std::string>>> devices[] = {
      {"sim:h100", {}}, {"cuda:0", {{"KERNCAST_SIM_CLOCK", "h100"}}}};
  for (const auto& [device, environment] : devices) {
    const Outcome outcome = place.run(with(with(norm, few), {"--device", device}), environment);
    INFO(device << outcome.err);
    REQUIRE(outcome.code == 0);
    CHECK(outcome.events("point").at(0).at("tried").get<int>() <= 3);
    const std::string trials = place.run({"tune", "report", "--json"}).out;
    CHECK_THAT(trials, Catch::Contains("measured"));
  }
  // The trials are those of threads=512 vectors=1, the quickest by the model.
  bool quickest = false;
  for (const auto& file : std::filesystem::directory_iterator(place.directory.file("cache/trials"))) {
    if (!file.is_regular_file()) {
      continue;
    }
    std::ifstream in(file.path());
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    CHECK_THAT(text, !Catch::Contains("threads=128 vectors=1"));
    quickest = quickest || text.find("threads=512 vectors=1") != std::string::npos;
  }
  CHECK(quickest);
  const Outcome none =
      place.run(with(with(norm, few), {"--device", "cuda:0"}), {{"KERNCAST_SIM_ARCH", "sm_120"}});
  CHECK(none.code == 2);
  CHECK_THAT(none.err, Catch::Contains("--strategy model needs a described device"));
}

TEST_CASE("records and trials say the driver's version and how the clocks are set") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  std::filesystem::create_symlink(KERNCAST_FAKE_NVML, place.directory.file("libnvidia-ml.so.1"));
  const Arguments tune = {"tune",   "norm.relative_l1", "--set",  "hidden=256", "--rows",  "4",
                          "--stop", "trials=1",         "--json", "--device",   "sim:h100"};
  const auto record = [&](const std::vector<std::pair<std::string, std::string>>& environment) {
    const Outcome outcome = place.run(tune, environment);
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    return place.run({"tune", "show", "--json"}).json().at(0);
  };
  const json without = record({});
  CHECK(without.at("driver") == "CUDA 13.2");
  CHECK_THAT(without.at("policy").get<std::string>(), Catch::EndsWith(", clocks h100"));
  // The stand-in knows every device, the virtual GPU too.
  const json with_nvml =
      record({{"LD_LIBRARY_PATH", place.directory.path()}, {"FAKE_NVML_DRIVER", "580.65.06"}});
  CHECK(with_nvml.at("driver") == "580.65.06");
  CHECK(place.run(with(tune, {"--plan"})).json().at("points").at(0).at("stored") == 1);
  CHECK(place
            .run(with(tune, {"--plan"}),
                 {{"LD_LIBRARY_PATH", place.directory.path()}, {"FAKE_NVML_DRIVER", "590.1"}})
            .json()
            .at("points")
            .at(0)
            .at("stored") == 0);
}

TEST_CASE("an estimate tunes, is recorded, and serves launches and warm-ups") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  const Arguments arguments = with(tune_norm, {"--rows", "64", "--strategy", "random:share=0.2", "--json"});
  const Outcome first = place.run(arguments);
  INFO(first.err);
  REQUIRE(first.code == 0);
  const json points = first.events("point");
  REQUIRE(points.size() == 1);
  const json& point = points.at(0);
  CHECK(point.at("ok") == true);
  CHECK(point.at("recorded") == true);
  CHECK(point.at("source") == "estimate");
  CHECK(point.at("rows_low") == 33);
  CHECK(point.at("time_us") <= point.at("default_us"));
  CHECK(point.at("stored") == 0);
  CHECK(first.events("end").at(0).at("decided") == 1);

  CHECK_THAT(first.err, !Catch::Contains("warning"));

  // Candidates that lost take no room from what serves.
  CHECK(place.run({"cache", "stat", "--json"}).json().at("entries") == 1);
  CHECK(std::filesystem::exists(place.directory.file("cache/trials/kernels")));

  // A second run of the command makes no trial again and decides the same.
  const json again = place.run(arguments).events("point").at(0);
  CHECK(again.at("stored") == again.at("tried"));
  CHECK(again.at("chosen") == point.at("chosen"));
  CHECK(again.at("time_us") == point.at("time_us"));

  const json records = place.run({"cache", "tuned", "--json"}).json();
  REQUIRE(records.size() == 1);
  CHECK(records.at(0).at("source") == "estimate");
  CHECK(records.at(0).at("rows_high") == 64);
  CHECK(records.at(0).at("state") == "current");
  const std::string chosen = point.at("chosen");
  for (const auto& [name, value] : records.at(0).at("tunables").items()) {
    CHECK_THAT(" " + chosen + " ",
               Catch::Contains(" " + name + "=" + std::to_string(value.get<int>()) + " "));
  }

  // A warm-up compiles the variant that the record chooses.
  const json kernels = place
                           .run({"warm", "norm.rms_norm", "--set", "hidden=256", "x_dtype=bf16", "--arch",
                                 "sm_90a", "--rows", "64", "--plan", "--json"})
                           .json()
                           .at("kernels");
  bool planned = false;
  for (const json& kernel : kernels) {
    planned = planned || kernel.at("tunables") == chosen;
  }
  CHECK(planned);

  CHECK(place.run({"tune", "report", "--json", "--least-gain", "99"}).json().at("default_won") == 1);
  const Outcome report = place.run({"tune", "report", "--json", "--replay", "--html", "page.html"});
  INFO(report.err);
  REQUIRE(report.code == 0);
  REQUIRE(report.json().at("points").size() == 1);
  CHECK(report.json().at("points").at(0).at("chosen") == point.at("chosen"));
  CHECK(report.json().at("points").at(0).at("current") == true);
  CHECK(place.run({"tune", "report", "rms_norm", "--arch", "sm_90a", "--json"}).json().at("points") ==
        report.json().at("points"));
  CHECK(place.run({"tune", "report", "norm.l2_norm"}).code == 1);
  CHECK(place.run({"tune", "report", "--arch", "sm_80"}).code == 1);
  const std::string page = place.directory.read("page.html");
  CHECK_THAT(page, Catch::StartsWith("<!DOCTYPE html>") && Catch::EndsWith("</html>\n") &&
                       Catch::Contains("norm.rms_norm") && Catch::Contains("<svg") &&
                       Catch::Contains("bound-line"));
  // It is self-contained.
  CHECK_THAT(page, !Catch::Contains("src=") && !Catch::Contains("href=") && !Catch::Contains("<script"));
}

TEST_CASE("prune removes the kernels of candidates, and neither trials nor the kernel of the choice") {
  const CommandPlace place;
  const std::vector<std::string> arguments = {
      "tune",          "norm.rms_norm", "--set", "hidden=256", "x_dtype=bf16",     "--device",
      "estimate:h100", "--rows",        "64",    "--strategy", "random:share=0.1", "--json"};
  const Outcome first = place.run(arguments);
  INFO(first.err);
  REQUIRE(first.code == 0);
  const json dry = place.run({"tune", "prune", "--dry-run", "--json"}).json();
  CHECK(dry.at("kernels") > 1);
  CHECK(dry.at("bytes") > 0);
  CHECK(place.run({"tune", "prune", "--dry-run", "--json"}).json() == dry);
  CHECK(place.run({"tune", "prune", "--json"}).json().at("kernels") == dry.at("kernels"));
  CHECK(place.run({"tune", "prune", "--json"}).json().at("kernels") == 0);
  CHECK(place.run({"cache", "stat", "--json"}).json().at("entries") == 1);
  const json again = place.run(arguments).events("point").at(0);
  CHECK(again.at("stored") == again.at("tried"));
}

TEST_CASE("a report of no trials says where they come from") {
  const CommandPlace place;
  const Outcome outcome = place.run({"tune", "report"});
  CHECK(outcome.code == 0);
  CHECK_THAT(outcome.out, Catch::Contains("no trials"));
}

}  // namespace
