// Tuned records, shown by `kerncast cache` and used by `kerncast inspect`, end to end.
#include <catch2/catch.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/tools/commands/cache/sample_cache.hpp"
#include "tests/tools/commands/command_process.hpp"

namespace {

using nlohmann::json;
namespace fs = std::filesystem;

TEST_CASE("tuned records that cannot be read are not none") {
  const CommandPlace place;
  keep(place, tuned_record());
  fs::remove(place.directory.file("cache/tuning.sqlite"));
  fs::remove(place.directory.file("cache/tuning.good.sqlite"));
  fs::create_directory(place.directory.file("cache/tuning.sqlite"));
  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
           {"cache", "tuned"}, {"cache", "clear", "--tuned"}, {"cache", "export", "x.pack"}}) {
    const Outcome outcome = place.run(command);
    INFO(command[1] << ": " << outcome.err);
    CHECK(outcome.code == 1);
    CHECK_THAT(outcome.err, Catch::Contains("the tuned records in") && Catch::Contains("cannot be read"));
  }
  CHECK(place.run({"cache", "clear"}).code == 0);
}

TEST_CASE("tuned records are counted, listed, carried by packs, and cleared only when asked") {
  const CommandPlace place;
  CHECK(place.run({"cache", "stat", "--json"}).json().at("tuned") == 0);
  CHECK(place.run({"cache", "tuned", "--json"}).json().empty());
  CHECK_THAT(place.run({"cache", "tuned"}).out, Catch::Contains("no tuned records"));
  CHECK(!fs::exists(place.directory.file("cache/tuning.sqlite")));

  kerncast::cache::TunedRecord record = tuned_record();
  keep(place, record);
  record.source = kerncast::cache::TunedSource::estimate;
  record.device = "H100";
  record.templates[0] = record.templates[0] == '0' ? '1' : '0';
  keep(place, record);
  CHECK(place.run({"cache", "stat", "--json"}).json().at("tuned") == 2);
  CHECK_THAT(place.run({"cache", "stat"}).out, Catch::Contains("tuned records"));
  const json list = place.run({"cache", "tuned", "--json"}).json();
  REQUIRE(list.size() == 2);
  CHECK(list[0].at("source") == "measured");
  CHECK(list[0].at("device") == "NVIDIA H100");
  CHECK(list[0].at("state") == "current");
  CHECK(list[0].at("tunables") == json{{"threads", 64}, {"rows_per_block", 2}});
  CHECK(list[0].at("time_us") == 2.5);
  CHECK(list[0].at("recorded") == 1'764'000'000);
  CHECK(list[1].at("source") == "estimate");
  CHECK(list[1].at("state") == "stale");
  CHECK_THAT(place.run({"cache", "tuned"}).out,
             Catch::Contains("threads=64 rows_per_block=2") && Catch::Contains("measured NVIDIA H100"));

  const std::string pack = place.directory.file("tuned.pack");
  const json exported = place.run({"cache", "export", pack, "--json"}).json();
  CHECK(exported.at("entries") == 0);
  CHECK(exported.at("tuned") == 2);
  const Outcome none = place.run({"cache", "export", place.directory.file("other"), "--op", "norm.other"});
  CHECK(none.code == 1);
  CHECK_THAT(none.err, Catch::Contains("--op norm.other"));
  CHECK_FALSE(std::filesystem::exists(place.directory.file("other")));
  const std::string again = place.directory.file("again.pack");
  REQUIRE(place.run({"cache", "export", again}).code == 0);
  CHECK(place.directory.read("again.pack") == place.directory.read("tuned.pack"));
  CHECK(place.run({"cache", "verify", pack, "--json"}).json().at("tuned") == 2);
  {
    const CommandPlace to;
    const json mounted = to.run({"cache", "tuned", "--json"}, {{"KERNCAST_CACHE_READONLY", pack}}).json();
    REQUIRE(mounted.size() == 2);
    CHECK(mounted[0].at("layer") == pack);
    CHECK(to.run({"cache", "import", pack, "--json"}).json().at("tuned_imported") == 2);
    const json second = to.run({"cache", "import", pack, "--json"}).json();
    CHECK(second.at("tuned_imported") == 0);
    CHECK(second.at("tuned_already") == 2);
    CHECK(to.run({"cache", "tuned", "--json"}).json().size() == 2);
  }

  CHECK_THAT(place.run({"cache", "clear"}).out, Catch::Contains("2 tuned records are kept"));
  CHECK(place.run({"cache", "stat", "--json"}).json().at("tuned") == 2);
  CHECK(place.run({"cache", "clear", "--tuned", "--json"}).json().at("removed").at("tuned") == 2);
  CHECK(place.run({"cache", "stat", "--json"}).json().at("tuned") == 0);
}

TEST_CASE("inspect says whether tunables are the op's own, tuned or given") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  const std::vector<std::string> inspect{"inspect", "norm.rms_norm", "--set", hidden, "--arch", "sm_90a"};
  const auto with = [&](const std::vector<std::string>& more) {
    std::vector<std::string> words = inspect;
    words.insert(words.end(), more.begin(), more.end());
    return words;
  };
  CHECK(place.run(with({"--json"})).json().at("tunables_origin") == "defaults");
  CHECK_THAT(place.run(inspect).out, Catch::Contains("the op's defaults"));
  keep(place, tuned_record());
  const json tuned = place.run(with({"--json"})).json();
  CHECK(tuned.at("tunables_origin") == "tuned");
  CHECK(tuned.at("tunables") == "threads=64 rows_per_block=2");
  CHECK_THAT(tuned.at("tuned_record").get<std::string>(),
             Catch::Contains("measured on NVIDIA H100: 2.50 us for 1 row, 2025-11-24"));
  CHECK_THAT(place.run(inspect).out, Catch::Contains("tuned: measured on NVIDIA H100"));
  // No record covers these rows, so the nearest is used, and it is said which rows it was tuned for.
  CHECK_THAT(place.run(with({"--json", "--rows", "64"})).json().at("tuned_record").get<std::string>(),
             Catch::Contains("for 1 row") && Catch::Contains("no record covers 33 to 64 rows"));
  const json given =
      place.run(with({"--json", "--tunables", "threads=128", "--tunables", "rows_per_block=4"})).json();
  CHECK(given.at("tunables_origin") == "given");
  CHECK(given.at("tunables") == "threads=128 rows_per_block=4");
  CHECK(given.at("tuned_record").is_null());
  for (const char* bad : {"threads=100", "thread=128", "threads", "threads=128"}) {
    const Outcome refused = place.run(with({"--tunables", bad}));
    CHECK(refused.code == 2);
    CHECK_THAT(refused.err, Catch::Contains("threads"));
  }

  // A changed template makes the record stale, with a warning.
  fs::copy(KERNCAST_TEMPLATES, place.directory.file("templates"), fs::copy_options::recursive);
  const std::string changed = "templates/norm/rms_norm/kernel.cuh";
  place.directory.write(changed, place.directory.read(changed) + "// changed\n");
  const Outcome stale =
      place.run(with({"--json"}), {{"KERNCAST_TEMPLATE_DIR", place.directory.file("templates")}});
  CHECK(stale.json().at("tunables_origin") == "defaults");
  CHECK_THAT(stale.err, Catch::Contains("templates or launches have changed"));
}

}  // namespace
