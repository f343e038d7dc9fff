// `kerncast cache clear`, end to end.
#include <signal.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "cache/directory/store.hpp"
#include "tests/cache/child_process.hpp"
#include "tests/cache/sample.hpp"
#include "tests/tools/commands/cache/sample_cache.hpp"
#include "tests/tools/commands/command_process.hpp"

namespace {

using nlohmann::json;
namespace fs = std::filesystem;

TEST_CASE("clearing removes what the options select, and a dry run nothing") {
  if (!has_nvrtc()) {
    return;
  }
  const Warmed warmed;
  const CommandPlace& place = warmed.place;
  REQUIRE(
      place.run({"warm", "norm.l2_norm", "--set", hidden, "--arch", "sm_80,sm_90a", "--rows", "1"}).code ==
      0);
  const auto names = [&] {
    std::vector<std::string> out;
    for (const json& entry : place.run({"cache", "ls", "--json"}).json()) {
      out.push_back(entry.at("op").get<std::string>() + " " + entry.at("arch").get<std::string>());
    }
    return out;
  };
  const std::vector<std::string> all = {"norm.l2_norm sm_80", "norm.l2_norm sm_90a", "norm.rms_norm sm_90a"};
  REQUIRE(names() == all);
  const auto clear = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"cache", "clear"});
    return place.run(more);
  };

  const Outcome dry = clear({"--op", "l2_norm", "--arch", "sm_90a", "--dry-run", "--json"});
  CHECK(dry.code == 0);
  CHECK(dry.json().at("removed").at("entries") == 1);
  REQUIRE(dry.json().at("list").size() == 1);
  CHECK(dry.json().at("list")[0].at("op") == "norm.l2_norm");
  CHECK(dry.json().at("removed").at("bytes") == dry.json().at("list")[0].at("bytes"));
  CHECK_THAT(clear({"--dry-run"}).out, Catch::Contains("norm.rms_norm") &&
                                           Catch::Contains("would remove 3 entries") &&
                                           Catch::Contains(" bytes)"));
  CHECK(names() == all);

  // An option that selects nothing removes nothing, whatever the others select.
  const std::vector<std::vector<std::string>> nothing = {{"--op", "norm.rms_nrm"},
                                                         {"--op", "rms_norm,norm.none"},
                                                         {"--arch", "sm_75"},
                                                         {"--op", "rms_norm", "--arch", "sm_80"},
                                                         {"--compiler", "1.0"},
                                                         {"--older-than", "1h"},
                                                         {"--stale"},
                                                         {"--op", "norm.rms_nrm", "--dry-run"}};
  for (const std::vector<std::string>& options : nothing) {
    const Outcome outcome = clear(options);
    INFO(options.back() << ": " << outcome.err);
    CHECK(outcome.code == 1);
    CHECK_THAT(outcome.err, Catch::Contains("no such kernel") || Catch::Contains("nothing was removed"));
    CHECK(names() == all);
  }

  const json removed = clear({"--op", "l2_norm", "--arch", "sm_90a", "--json"}).json();
  CHECK(removed.at("removed").at("entries") == 1);
  CHECK(removed.at("left").at("entries") == 2);
  CHECK(names() == std::vector<std::string>{"norm.l2_norm sm_80", "norm.rms_norm sm_90a"});

  const std::string key = place.run({"cache", "ls", "--json"}).json().at(0).at("key");
  const fs::path file = place.directory.file("cache/v1/" + key.substr(0, 2) + "/" + key.substr(2) + ".kce");
  fs::last_write_time(file, fs::file_time_type::clock::now() - std::chrono::hours(48));
  CHECK_THAT(clear({"--older-than", "1d"}).out, Catch::Contains("removed 1 entry"));
  CHECK(names() == std::vector<std::string>{"norm.rms_norm sm_90a"});

  // To a build with other templates the kernel is stale; to this one it is not.
  fs::copy(KERNCAST_TEMPLATES, place.directory.file("templates"), fs::copy_options::recursive);
  const std::string changed = "templates/norm/rms_norm/kernel.cuh";
  place.directory.write(changed, place.directory.read(changed) + "// changed\n");
  const std::string compiler = place.run({"doctor", "--json"}).json().at("nvrtc").at("version");
  CHECK(clear({"--compiler", compiler, "--dry-run"}).code == 0);
  const Outcome stale = place.run({"cache", "clear", "--stale", "--compiler", compiler},
                                  {{"KERNCAST_TEMPLATE_DIR", place.directory.file("templates")}});
  CHECK(stale.code == 0);
  CHECK(names().empty());
  CHECK(clear({}).code == 0);
}

TEST_CASE("a date ahead of the clock is older than any age, and an age may be any number") {
  const CommandPlace place;
  kerncast::cache::Store store(place.directory.file("cache"), nullptr);
  const auto publish = [&](std::uint64_t i, std::chrono::hours ago) {
    REQUIRE(store.publish(sample_key(i), sample_entry()));
    fs::last_write_time(store.path_of(sample_key(i)), fs::file_time_type::clock::now() - ago);
  };
  publish(1, std::chrono::hours(0));
  publish(2, std::chrono::hours(30));
  publish(3, std::chrono::hours(-48));
  kerncast::cache::TunedRecord record = tuned_record();
  record.recorded_us = std::chrono::duration_cast<std::chrono::microseconds>(
                           std::chrono::system_clock::now().time_since_epoch())
                           .count();
  keep(place, record);
  const auto would_go = [&](const char* age) {
    return place.run({"cache", "clear", "--older-than", age, "--dry-run", "--json"});
  };
  CHECK(would_go("1d").json().at("removed").at("entries") == 2);
  CHECK(would_go("30d").json().at("removed").at("entries") == 1);
  // 4294967295 weeks are more nanoseconds than a number can hold.
  CHECK(would_go("4294967295w").json().at("removed").at("entries") == 1);
  CHECK(place.run({"cache", "clear", "--older-than", "1d", "--tuned"}).code == 0);
  CHECK(store.list().size() == 1);
  CHECK(place.run({"cache", "stat", "--json"}).json().at("tuned") == 1);
  CHECK(would_go("1d").code == 1);
  CHECK_THAT(place.run({"cache", "clear", "--help"}).out, Catch::Contains("ahead of the"));
}

TEST_CASE("tuned records are selected like entries") {
  const CommandPlace place;
  kerncast::cache::TunedRecord record = tuned_record();
  keep(place, record);
  record.arch = "sm_100a";
  record.templates[0] = record.templates[0] == '0' ? '1' : '0';
  keep(place, record);
  CHECK(place.run({"cache", "clear", "--arch", "sm_90a"}).code == 1);
  const std::vector<std::string> dry = {"cache", "clear", "--tuned", "--stale", "--dry-run", "--json"};
  CHECK(place.run(dry).json().at("removed").at("tuned") == 1);
  CHECK(place.run({"cache", "stat", "--json"}).json().at("tuned") == 2);
  CHECK(place.run({"cache", "clear", "--tuned", "--stale"}).code == 0);
  const json left = place.run({"cache", "tuned", "--json"}).json();
  REQUIRE(left.size() == 1);
  CHECK(left[0].at("arch") == "sm_90a");
  CHECK(place.run({"cache", "clear", "--tuned", "--op", "norm.none"}).code == 1);
  CHECK(place.run({"cache", "clear", "--tuned", "--op", "rms_norm", "--older-than", "1w"}).code == 0);
  CHECK(place.run({"cache", "tuned", "--json"}).json().empty());
}

TEST_CASE("clearing everything removes the sources of failed compiles") {
  const CommandPlace place;
  kerncast::cache::Store store(place.directory.file("cache"), nullptr);
  REQUIRE(store.publish(sample_key(1), sample_entry()));
  REQUIRE(store.publish(sample_key(2), sample_entry("norm.other")));
  REQUIRE(!store.keep_failed("1.cu", "source").empty());
  const auto sources = [&] { return place.run({"cache", "stat", "--json"}).json().at("sources"); };
  CHECK(place.run({"cache", "clear", "--op", "norm.other", "--json"}).json().at("removed").at("sources") ==
        0);
  CHECK(sources() == 1);
  const Outcome dry = place.run({"cache", "clear", "--dry-run"});
  CHECK_THAT(dry.out, Catch::Contains("would remove 1 entry") && Catch::Contains("1 failed source"));
  CHECK(sources() == 1);
  const json cleared = place.run({"cache", "clear", "--json"}).json();
  CHECK(cleared.at("removed").at("sources") == 1);
  CHECK(cleared.at("left").at("sources") == 0);
  CHECK(sources() == 0);
}

TEST_CASE("clearing succeeds while others publish, and fails if a file stays") {
  const CommandPlace place;
  const std::string root = place.directory.file("cache");
  const auto publish = [&](std::uint64_t first) {
    return start_child([&, first] {
      kerncast::cache::Store store(root, nullptr);
      for (std::uint64_t i = 0;; ++i) {
        if (!store.publish(sample_key(first + i % 50), sample_entry())) {
          return 1;
        }
      }
    });
  };
  const std::vector<pid_t> publishers{publish(0), publish(25), publish(1000)};
  for (int round = 0; round < 8; ++round) {
    const Outcome cleared = place.run({"cache", "clear", "--json"});
    INFO(cleared.err);
    CHECK(cleared.code == 0);
  }
  for (const pid_t publisher : publishers) {
    kill(publisher, SIGKILL);
    CHECK(exit_code(publisher) == 128 + SIGKILL);
  }
  CHECK(place.run({"cache", "clear"}).code == 0);

  kerncast::cache::Store store(root, nullptr);
  REQUIRE(store.publish(sample_key(1), sample_entry()));
  fs::permissions(root + "/v1", fs::perms::others_write, fs::perm_options::add);
  CHECK(place.run({"cache", "clear"}).code == 1);
  CHECK(fs::exists(store.path_of(sample_key(1))));
}

}  // namespace
