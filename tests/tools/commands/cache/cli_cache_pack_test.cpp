// Packs, end to end.
#include <catch2/catch.hpp>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "cache/directory/store.hpp"
#include "tests/tools/commands/cache/sample_cache.hpp"
#include "tests/tools/commands/command_process.hpp"

namespace {

using nlohmann::json;
namespace fs = std::filesystem;

TEST_CASE("a file that is not a pack is refused with the reason") {
  const CommandPlace place;
  place.directory.write("junk.pack", "junk");
  for (const char* command : {"verify", "import"}) {
    const Outcome outcome = place.run({"cache", command, "junk.pack"});
    CHECK(outcome.code == 1);
    CHECK_THAT(outcome.err, Catch::Contains("junk.pack is not a sound pack: not a pack"));
    CHECK(place.run({"cache", command, "missing.pack"}).code == 1);
  }
  CHECK(place.run({"cache", "export", "missing/x.pack"}).code == 1);
}

TEST_CASE("a pack carries a cache to a machine without a compiler") {
  if (!has_nvrtc()) {
    return;
  }
  const Warmed warmed;
  const CommandPlace& from = warmed.place;
  const std::string pack = from.directory.file("kernels.pack");
  CHECK(from.run({"cache", "export", pack, "--json"}).json().at("entries") == 1);
  const Outcome none = from.run({"cache", "export", from.directory.file("none.pack"), "--arch", "sm_80"});
  CHECK(none.code == 1);
  CHECK_THAT(none.err, Catch::Contains("--arch sm_80"));
  CHECK_FALSE(std::filesystem::exists(from.directory.file("none.pack")));
  const CommandPlace empty;
  CHECK(empty.run({"cache", "export", empty.directory.file("empty.pack")}).code == 1);
  CHECK_FALSE(std::filesystem::exists(empty.directory.file("empty.pack")));
  CHECK(from.run({"cache", "verify", pack, "--json"}).json().at("entries") == 1);

  std::vector<std::string> warm = warmed.warm;
  warm.emplace_back("--json");
  {
    const CommandPlace to;
    CHECK(to.run(warm, {{"KERNCAST_NVRTC", "none"}}).code == 1);
    CHECK(to.run({"cache", "import", pack, "--json"}).json().at("imported") == 1);
    CHECK(to.run({"cache", "import", pack, "--json"}).json().at("already") == 1);
    CHECK(to.run(warm, {{"KERNCAST_NVRTC", "none"}}).events("kernel").at(0).at("cached") == true);
    CHECK(to.run({"cache", "stat", "--json"}).json().at("counters").at("directory_hits") == 1);
  }
  const CommandPlace to;
  const std::vector<std::pair<std::string, std::string>> mounted{{"KERNCAST_NVRTC", "none"},
                                                                 {"KERNCAST_CACHE_READONLY", pack}};
  CHECK(to.run(warm, mounted).events("kernel").at(0).at("cached") == true);
  const json statistics = to.run({"cache", "stat", "--json"}, mounted).json();
  CHECK(statistics.at("counters").at("read_only_hits") == 1);
  CHECK(statistics.at("counters").at("promoted") == 1);
  CHECK(statistics.at("read_only") == json::array({pack}));
  CHECK(to.run(warm, {{"KERNCAST_NVRTC", "none"}}).events("kernel").at(0).at("cached") == true);
}

TEST_CASE("an import that exceeds the budget is refused, and a dry run says so and writes nothing") {
  const CommandPlace from;
  kerncast::cache::Store store(from.directory.file("cache"), nullptr);
  publish_proven(store, "first", 1 << 20);
  publish_proven(store, "second", 0);
  const std::string pack = from.directory.file("kernels.pack");
  REQUIRE(from.run({"cache", "export", pack}).code == 0);

  const CommandPlace to;
  const std::vector<std::pair<std::string, std::string>> small{{"KERNCAST_CACHE_MAX_BYTES", "512K"}};
  const Outcome refused = to.run({"cache", "import", pack}, small);
  CHECK(refused.code == 1);
  CHECK_THAT(refused.err,
             Catch::Contains("KERNCAST_CACHE_MAX_BYTES=524288") && Catch::Contains("nothing was imported"));
  const Outcome told = to.run({"cache", "import", pack, "--dry-run", "--json"}, small);
  CHECK(told.code == 1);
  CHECK(told.json().at("fits") == false);
  CHECK(told.json().at("imported") == 0);
  CHECK_FALSE(fs::exists(to.directory.file("cache/v1")));

  const json fits = to.run({"cache", "import", pack, "--dry-run", "--json"}).json();
  CHECK(fits.at("fits") == true);
  CHECK(fits.at("imported") == 2);
  CHECK(fits.at("list").size() == 2);
  CHECK(fits.at("list").at(0).at("fate") == "imported");
  CHECK_FALSE(fs::exists(to.directory.file("cache/v1")));
  const Outcome table = to.run({"cache", "import", pack, "--dry-run"});
  CHECK(table.code == 0);
  CHECK_THAT(table.out, Catch::Contains("would import 2 entries"));
  CHECK(to.run({"cache", "import", pack, "--json"}).json().at("imported") == 2);
  const json again = to.run({"cache", "import", pack, "--dry-run", "--json"}).json();
  CHECK(again.at("imported") == 0);
  CHECK(again.at("already") == 2);
  CHECK(again.at("list").at(1).at("fate") == "present");
}

}  // namespace
