#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "tests/tools/commands/command_process.hpp"

namespace {

using nlohmann::json;
using Arguments = std::vector<std::string>;

const Arguments tune_norm = {"tune",         "norm.rms_norm", "--set",        "hidden=256",
                             "x_dtype=bf16", "--device",      "estimate:h100"};

Arguments with(Arguments arguments, const Arguments& more) {
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

TEST_CASE("tuning that is asked for wrongly is exit code 2 with a message that helps") {
  const CommandPlace place;
  struct Case {
    Arguments arguments;
    const char* message;
  };
  const Case cases[] = {
      {{"tune"}, "give either --model NAME"},
      {{"tune", "norm.rms_norm", "--set", "hidden=64"}, "give --arch or --device"},
      {{"tune", "norm.rms_nrm", "--device", "estimate:h100"}, "did you mean norm.rms_norm?"},
      {{"tune", "norm.rms_norm", "--device", "estimate:h100"}, "hidden is required"},
      {with(tune_norm, {"--device", "estimate:h10"}), "did you mean h100?"},
      {with(tune_norm, {"--device", "h100"}), "give cuda:NUMBER"},
      {with(tune_norm, {"--device", "cuda:first"}), "named by its number"},
      {with(tune_norm, {"--arch", "sm_100a"}), "has architecture sm_90a"},
      {with(tune_norm, {"--strategy", "guidd"}), "did you mean guided?"},
      {with(tune_norm, {"--stop", "patince"}), "did you mean patience?"},
      {with(tune_norm, {"--budget", "0s"}), "leaves no time"},
      {with(tune_norm, {"--budget", "soon"}), "--budget"},
      {with(tune_norm, {"--least-gain", "101"}), "--least-gain"},
      {with(tune_norm, {"--rows", "0"}), "no rows"},
      {with(tune_norm, {"--shard", "3/2"}), "3/2"},
      {with(tune_norm, {"--shard", "auto"}), "no queue"},
      {with(tune_norm, {"--model", "deepseek-v3"}), "give either"},
      {{"tune", "--model", "deepsek-v3", "--device", "estimate:h100"}, "did you mean deepseek-v3?"},
  };
  for (const Case& bad : cases) {
    const Outcome outcome = place.run(bad.arguments);
    INFO(outcome.err << " should say: " << bad.message);
    CHECK(outcome.code == 2);
    CHECK(outcome.out.empty());
    CHECK_THAT(outcome.err, Catch::StartsWith("kerncast: error: ") && Catch::Contains(bad.message));
  }
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

  // The same command makes no trial again and decides the same.
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

  const Outcome report = place.run({"tune", "report", "--json", "--replay", "--html", "page.html"});
  INFO(report.err);
  REQUIRE(report.code == 0);
  REQUIRE(report.json().at("points").size() == 1);
  CHECK(report.json().at("points").at(0).at("chosen") == point.at("chosen"));
  CHECK(report.json().at("points").at(0).at("current") == true);
  const std::string page = place.directory.read("page.html");
  CHECK_THAT(page, Catch::StartsWith("<!DOCTYPE html>") && Catch::EndsWith("</html>\n") &&
                       Catch::Contains("norm.rms_norm") && Catch::Contains("<svg") &&
                       Catch::Contains("bound-line"));
  // It is self-contained.
  CHECK_THAT(page, !Catch::Contains("src=") && !Catch::Contains("href=") && !Catch::Contains("<script"));
}

TEST_CASE("a report of no trials says where they come from") {
  const CommandPlace place;
  const Outcome outcome = place.run({"tune", "report"});
  CHECK(outcome.code == 0);
  CHECK_THAT(outcome.out, Catch::Contains("no trials"));
}

}  // namespace
