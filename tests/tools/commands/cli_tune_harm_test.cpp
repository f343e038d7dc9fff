// Tuning that is interrupted, that has several devices, or whose device or store fails.
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <thread>

#include "tests/cache/tuning/database_connection.hpp"
#include "tests/tools/commands/command_process.hpp"
#include "tests/tools/commands/refused_arguments.hpp"
#include "tools/tune/trials/trial.hpp"

namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Environment = std::vector<std::pair<std::string, std::string>>;

/// Points of nine candidates each, measured in about two seconds.
Arguments tune_on(const std::string& devices, const std::string& rows) {
  return {"tune",  "norm.relative_l1", "--set",      "hidden=256", "--rows", rows, "--device",
          devices, "--strategy",       "exhaustive", "--json"};
}
const Arguments tune_small = tune_on("sim:h100", "4");

/// The outcomes of the trials in the cache directory by tunables, without those of the last rounds.
std::map<std::string, std::string> outcomes_of(const CommandPlace& place) {
  std::map<std::string, std::string> outcomes;
  std::error_code none;
  for (const auto& file : fs::directory_iterator(place.directory.file("cache/trials"), none)) {
    std::ifstream in(file.path());
    for (std::string line; std::getline(in, line);) {
      const json object = json::parse(line, nullptr, false);
      const std::optional<kerncast::tools::Trial> trial =
          object.contains("trial") ? kerncast::tools::parse_trial(object.at("trial").dump()) : std::nullopt;
      if (trial && !trial->is_final) {
        outcomes[trial->tunables] = name_of(trial->outcome);
      }
    }
  }
  return outcomes;
}

std::size_t count_of(const std::map<std::string, std::string>& outcomes, const std::string& outcome) {
  return static_cast<std::size_t>(std::count_if(outcomes.begin(), outcomes.end(),
                                                [&](const auto& one) { return one.second == outcome; }));
}

/// The only point of a run that was printed as events.
json point_of(const Outcome& outcome) {
  INFO(outcome.err);
  const json points = outcome.events("point");
  REQUIRE(points.size() == 1);
  return points.at(0);
}

TEST_CASE("Ctrl-C ends a tuning run with its own exit code, and the next run goes on from its trials") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  // 59 candidates, which take far longer than the first of them.
  const Arguments tune = {"tune",       "norm.rms_norm", "--set",    "hidden=256", "--rows", "4",
                          "--strategy", "exhaustive",    "--device", "sim:h100",   "--json"};
  const pid_t child = place.start(tune);
  const auto has_ended = [&] {
    siginfo_t info{};
    return ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
           info.si_pid != 0;
  };
  while (outcomes_of(place).size() < 2 && !has_ended()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  ::kill(child, SIGINT);
  const Outcome stopped = place.wait(child);
  INFO(stopped.err);
  CHECK(stopped.code == 130);
  CHECK_THAT(stopped.err,
             Catch::Contains("1 point is left; every trial is kept, and the same command goes on"));
  CHECK(stopped.events("point").empty());
  CHECK(stopped.events("end").at(0).at("left") == 1);
  const std::size_t kept = outcomes_of(place).size();
  CHECK(kept >= 2);
  CHECK(kept < 59);
  const json plan = place.run(with(tune, {"--plan"})).json();
  CHECK(plan.at("points").at(0).at("stored") == kept);

  const Outcome resumed = place.run(with(tune, {"--stop", "trials=" + std::to_string(kept)}));
  CHECK(resumed.code == 0);
  CHECK(point_of(resumed).at("stored") == kept);
  CHECK(point_of(resumed).at("recorded") == true);
}

TEST_CASE("several described devices are tuned one after the other, each for its architecture") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  const Outcome outcome = place.run(with(tune_on("sim:h100,sim:b200", "4"), {"--stop", "trials=1"}));
  INFO(outcome.err);
  CHECK(outcome.code == 0);
  const json points = outcome.events("point");
  REQUIRE(points.size() == 2);
  CHECK(points.at(0).at("arch") == "sm_90a");
  CHECK(points.at(1).at("arch") == "sm_100a");
  CHECK(place.run({"cache", "tuned", "--json"}).json().size() == 2);
}

TEST_CASE("the budget is one for the whole command, and its end says where the time ran out") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  // Every point has 59 candidates, and takes more than half of the second that is left.
  const Arguments tune = {
      "tune",       "norm.rms_norm", "--set",    "hidden=256", "--rows", "1,2,4,8,16,32,64,128,256",
      "--strategy", "exhaustive",    "--device", "sim:h100",   "--json", "--budget"};
  const Outcome cut = place.run(with(tune, {"1s"}));
  INFO(cut.err);
  CHECK(cut.code == 1);
  CHECK_THAT(cut.err, Catch::Contains("the time of --budget ran out") && Catch::Contains("norm.rms_norm") &&
                          Catch::Contains("left"));
  const json end = cut.events("end").at(0);
  CHECK(end.at("left") >= 1);
  CHECK(end.at("device") == "sim:h100");
  CHECK_THAT(end.at("out_of_time").get<std::string>(), Catch::Contains("norm.rms_norm"));

  // The command that took the place of one that hung has the budget of that one.
  const Outcome again = place.run(with(tune, {"1h"}), {{"KERNCAST_TUNE_BUDGET_END", "1"}});
  CHECK(again.code == 1);
  CHECK_THAT(again.events("end").at(0).at("out_of_time").get<std::string>(),
             Catch::StartsWith("the time of --budget ran out before norm.rms_norm"));
}

TEST_CASE("a plan for several described devices is one document") {
  const CommandPlace place;
  const Outcome outcome = place.run(with(tune_on("sim:h100,estimate:b200", "1,64"), {"--plan"}));
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  const json plan = outcome.json();
  CHECK(plan.at("device") == "sim:h100, estimate:b200");
  REQUIRE(plan.at("points").size() == 4);
  CHECK(plan.at("points").at(0).at("device") == "sim:h100");
  CHECK(plan.at("points").at(3).at("device") == "estimate:b200");
  CHECK(plan.at("points").at(3).at("arch") == "sm_100a");
}

TEST_CASE("devices of the driver share the points") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  const Environment two = {{"KERNCAST_SIM_CLOCK", "h100"}, {"KERNCAST_SIM_DEVICES", "2"}};
  const Outcome outcome = place.run(tune_on("cuda:0,cuda:1", "4,64"), two);
  INFO(outcome.err);
  CHECK(outcome.code == 0);
  const json points = outcome.events("point");
  CHECK(points.size() == 2);
  for (const json& point : points) {
    CHECK(point.at("recorded") == true);
    CHECK(point.at("tried") == 9);
  }
  CHECK(outcome.events("end").at(0).at("errors").empty());

  // One that is not there is told before anything is tried.
  const Outcome missing = place.run(tune_on("cuda:0,cuda:7", "4,64"), two);
  CHECK(missing.code == 2);
  CHECK_THAT(missing.err, Catch::Contains("7"));
}

TEST_CASE("a device that faults or hangs costs one trial, and one that is lost keeps the trials before") {
  if (!has_nvrtc()) {
    return;
  }
  for (const auto& [fault, outcome] : {std::pair("fault=60", "failed"), std::pair("hang=60", "timed out")}) {
    const CommandPlace place;
    const Outcome harmed = place.run(tune_small, {{"KERNCAST_SIM_FAULTS", fault}});
    INFO(fault << harmed.err);
    CHECK(harmed.code == 0);
    CHECK(point_of(harmed).at("recorded") == true);
    const auto outcomes = outcomes_of(place);
    CHECK(outcomes.size() == 9);
    CHECK(count_of(outcomes, outcome) == 1);
    CHECK(count_of(outcomes, "timed") == 8);
    // A candidate that hung is never tried again; a failure may have been the machine's.
    const json again = point_of(place.run(tune_small));
    CHECK(again.at("stored") == (outcome == std::string("failed") ? 8 : 9));
  }
  // The points after the one that lost the device are left for the next run.
  const CommandPlace place;
  const Outcome lost = place.run(tune_on("sim:h100", "4,64,512"), {{"KERNCAST_SIM_FAULTS", "lost=250"}});
  INFO(lost.err);
  CHECK(lost.code == 1);
  CHECK_THAT(lost.err,
             Catch::Contains("a device is lost") && Catch::Contains("CUDA_ERROR_DEVICE_UNAVAILABLE"));
  CHECK(lost.events("point").size() < 3);
  CHECK(lost.events("end").at(0).at("errors").size() == 1);
  const std::size_t kept = count_of(outcomes_of(place), "timed");
  CHECK(kept > 0);
  const Outcome next = place.run(tune_small);
  CHECK(next.code == 0);
  CHECK(point_of(next).at("stored") >= 1);
  CHECK(kept >= point_of(next).at("stored").get<std::size_t>());
}

TEST_CASE("a store of records that is newer, locked or damaged costs no trial") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  const std::string database = place.directory.file("cache/tuning.sqlite");
  REQUIRE(place.run(tune_small).code == 0);
  REQUIRE(fs::exists(database));
  const auto all_stored = [](const json& point) { return point.at("stored") == 9 && point.at("tried") == 9; };

  DatabaseConnection(database).run("PRAGMA user_version = 99; PRAGMA application_id = 0x4B430063");
  const Outcome newer = place.run(tune_small);
  CHECK(newer.code == 1);
  CHECK(all_stored(point_of(newer)));
  CHECK(point_of(newer).at("recorded") == false);
  CHECK_THAT(newer.err, Catch::Contains("the record is not stored") && Catch::Contains("schema version 99"));
  DatabaseConnection(database).run("PRAGMA user_version = 3; PRAGMA application_id = 0x4B430003");
  CHECK(place.run(tune_small).code == 0);

  {
    const DatabaseConnection other(database);
    other.run("BEGIN EXCLUSIVE");
    const Outcome locked = place.run(tune_small);
    CHECK(locked.code == 1);
    CHECK(all_stored(point_of(locked)));
    CHECK_THAT(locked.err,
               Catch::Contains("the record is not stored") && Catch::Contains("another process holds it"));
  }
  CHECK(place.run(tune_small).code == 0);

  std::ofstream(database, std::ios::trunc) << "garbage";
  const Outcome damaged = place.run(tune_small);
  INFO(damaged.err);
  CHECK(damaged.code == 0);
  CHECK(all_stored(point_of(damaged)));
  CHECK(place.run({"cache", "tuned", "--json"}).json().size() == 1);
}

TEST_CASE("without a directory that can be written the choice is printed, and what is lost is said") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  const Outcome outcome =
      place.run(with(tune_small, {"--stop", "trials=1"}), {{"KERNCAST_CACHE_DIR", "/proc/kerncast"}});
  CHECK(outcome.code == 1);
  CHECK(point_of(outcome).at("ok") == true);
  CHECK(point_of(outcome).at("recorded") == false);
  CHECK_THAT(outcome.err, Catch::Contains("the record is not stored") &&
                              Catch::Contains("1 trial could not be kept in /proc/kerncast"));
}

}  // namespace
