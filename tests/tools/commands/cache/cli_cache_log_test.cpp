// `kerncast cache log`, end to end.
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "cache/event_log.hpp"
#include "tests/cache/sample.hpp"
#include "tests/tools/commands/command_process.hpp"

namespace {

using kerncast::cache::Event;
using kerncast::cache::EventKind;
using nlohmann::json;
namespace fs = std::filesystem;

struct Logged {
  Logged() {
    fs::create_directory(place.directory.file("cache"));
    append({EventKind::promotion, sample_key(1), "norm.rms_norm", "/layer", {}});
    append({EventKind::quarantine, sample_key(2), {}, {}, "checksum"});
    append({EventKind::eviction, std::nullopt, {}, {}, {}, {{"entries", 2}}, {sample_key(3), sample_key(4)}});
  }
  void append(const Event& event) const {
    kerncast::cache::append_event(kerncast::cache::Folder::open(place.directory.file("cache")),
                                  kerncast::cache::Trust::mine, event);
  }
  /// The names of the events that `cache log` shows with `more`.
  [[nodiscard]] std::vector<std::string> names(const std::vector<std::string>& more) const {
    std::vector<std::string> words{"cache", "log", "--json"};
    words.insert(words.end(), more.begin(), more.end());
    const Outcome outcome = place.run(words);
    REQUIRE(outcome.code == 0);
    std::vector<std::string> out;
    const json report = outcome.json();
    for (const json& event : report.at("events")) {
      out.push_back(event.at("event"));
    }
    return out;
  }
  CommandPlace place;
};

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("the log of a cache can be chosen from") {
  const Logged logged;
  CHECK(logged.names({}) == Names{"promotion", "quarantine", "eviction"});
  CHECK(logged.names({"--event", "quarantine"}) == Names{"quarantine"});
  CHECK(logged.names({"--last", "2"}) == Names{"quarantine", "eviction"});
  CHECK(logged.names({"--key", sample_key(1).hex()}) == Names{"promotion"});
  CHECK(logged.names({"--key", sample_key(4).hex().substr(0, 12)}) == Names{"eviction"});
  CHECK(logged.names({"--since", "1h"}).size() == 3);
  CHECK(logged.names({"--since", "2020-01-31 12:00"}).size() == 3);
  CHECK(logged.names({"--since", "2999-01-01"}).empty());
  CHECK_THAT(logged.place.run({"cache", "log"}).out,
             Catch::Contains("quarantine") && Catch::Contains("checksum") && Catch::Contains("/layer"));
  for (const std::vector<std::string>& bad : std::vector<std::vector<std::string>>{
           {"--event", "hit"}, {"--key", "xyz"}, {"--since", "2026-02-30"}, {"--last", "0"}}) {
    const Outcome outcome = logged.place.run({"cache", "log", bad[0], bad[1]});
    CHECK(outcome.code == 2);
    CHECK_THAT(outcome.err, Catch::Contains(bad[0]) && Catch::Contains(bad[1]));
  }
}

TEST_CASE("foreign lines are counted, and what they hold never reaches a terminal") {
  const Logged logged;
  {
    std::ofstream file(logged.place.directory.file("cache/log"), std::ios::app);
    file << "foreign\n{\"time\":\"2026-01-31T13:05:09.123Z\",\"ev\n"
         << R"({"time":"2026-01-31T13:05:09Z","event":"x\u001b[31m\ny","pid":1,"reason":"\u009b"})" << '\n';
  }
  const Outcome outcome = logged.place.run({"cache", "log"});
  CHECK(outcome.code == 0);
  CHECK_THAT(outcome.err, Catch::Contains("2 lines of the log"));
  CHECK(outcome.out.find('\x1b') == std::string::npos);
  CHECK_THAT(outcome.out, Catch::Contains("x\\u001b[31m\\ny"));
  CHECK(logged.place.run({"cache", "log", "--json"}).json().at("skipped") == 2);
}

TEST_CASE("a log that cannot be read is no empty log") {
  const CommandPlace place;
  CHECK_THAT(place.run({"cache", "log"}).out, Catch::Contains("no such events"));
  fs::create_directories(place.directory.file("cache/log"));
  const Outcome outcome = place.run({"cache", "log"});
  CHECK(outcome.code == 1);
  CHECK_THAT(outcome.err, Catch::Contains("cannot be read"));
}
