// The cache's commands end to end; none of them needs a device.
#include <sys/wait.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "tests/tools/command_process.hpp"

namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr const char* hidden = "hidden=64";

struct Warmed {
  Warmed() { REQUIRE(place.run(warm).code == 0); }
  CommandPlace place;
  std::vector<std::string> warm{"warm", "norm.rms_norm", "--set", hidden, "--arch", "sm_90a", "--rows", "1"};
};

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

TEST_CASE("help names every command of the cache") {
  const CommandPlace place;
  const Outcome help = place.run({"cache", "--help"});
  for (const char* command : {"stat", "ls", "path", "clear", "explain", "export", "import", "verify"}) {
    CHECK_THAT(help.out, Catch::Contains(command));
    const Outcome sub = place.run({"cache", command, "--help"});
    CHECK(sub.code == 0);
    CHECK_THAT(sub.out, Catch::Contains("--json"));
  }
}

TEST_CASE("a pack that is none is refused with its reason") {
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

TEST_CASE("explaining with an empty cache says that there is nothing") {
  const CommandPlace place;
  const json answer = place.run(explain(hidden)).json();
  CHECK(answer.at("hit") == false);
  CHECK(answer.at("candidates") == 0);
  CHECK(answer.at("nearest").is_null());
  CHECK(place.run({"cache", "explain", "norm.rms_nrm", "--arch", "sm_90a"}).code == 2);
  CHECK(place.run({"cache", "explain", "norm.rms_norm", "--arch", "90"}).code == 2);
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
             Catch::Contains("hit: it is in " + place.directory.file("cache")));

  const json arch = place.run(explain(hidden, "sm_100a")).json();
  CHECK(arch.at("hit") == false);
  CHECK(texts(arch.at("nearest")) == std::vector<std::string>{"architecture sm_90a -> sm_100a"});

  const json shape = place.run(explain("hidden=128")).json();
  const std::vector<std::string> found = texts(shape.at("nearest"));
  CHECK(std::find(found.begin(), found.end(), "parameter hidden 64 -> 128") != found.end());

  // Another template, by a copy of the templates with one line more.
  fs::copy(KERNCAST_TEMPLATES, place.directory.file("templates"), fs::copy_options::recursive);
  const std::string changed = "templates/norm/rms_norm.cuh";
  place.directory.write(changed, place.directory.read(changed) + "// changed\n");
  const json other =
      place.run(explain(hidden), {{"KERNCAST_TEMPLATE_DIR", place.directory.file("templates")}}).json();
  CHECK(texts(other.at("nearest")) == std::vector<std::string>{"template changed: norm/rms_norm.cuh"});

  // Looking counts as nothing.
  const json counters = place.run({"cache", "stat", "--json"}).json().at("counters");
  CHECK(counters.at("misses") == 1);
  CHECK(counters.at("compiles") == 1);
  CHECK(counters.at("directory_hits") == 0);
}

TEST_CASE("a pack carries a cache to a machine without a compiler") {
  if (!has_nvrtc()) {
    return;
  }
  const Warmed warmed;
  const CommandPlace& from = warmed.place;
  const std::string pack = from.directory.file("kernels.pack");
  CHECK(from.run({"cache", "export", pack, "--json"}).json().at("entries") == 1);
  CHECK(from.run({"cache", "export", from.directory.file("none.pack"), "--arch", "sm_80", "--json"})
            .json()
            .at("entries") == 0);
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

TEST_CASE("the cubin is extracted as the assembler wrote it") {
  if (!has_nvrtc()) {
    return;
  }
  const Warmed warmed;
  const json entry = warmed.place.run({"cache", "ls", "--json"}).json().at(0);
  const std::string key = entry.at("key");
  const std::string file = "cache/v1/" + key.substr(0, 2) + "/" + key.substr(2) + ".kce";
  const json shown = warmed.place.run({"inspect", file, "--json"}).json();
  REQUIRE(warmed.place.run({"inspect", file, "--extract", "out.cubin"}).code == 0);
  const std::string cubin = warmed.place.directory.read("out.cubin");
  CHECK(cubin.size() == shown.at("cubin_bytes"));
  CHECK(cubin.substr(1, 3) == "ELF");
}

}  // namespace
