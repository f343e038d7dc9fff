// `kerncast cache` shows the content of a cache, end to end. None of it needs a device.
#include <catch2/catch.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "cache/directory/store.hpp"
#include "tests/cache/sample.hpp"
#include "tests/tools/commands/cache/sample_cache.hpp"
#include "tests/tools/commands/command_process.hpp"

namespace {

using nlohmann::json;
namespace fs = std::filesystem;

TEST_CASE("help names every command of the cache") {
  const CommandPlace place;
  const Outcome help = place.run({"cache", "--help"});
  for (const char* command : {"stat", "ls", "tuned", "path", "show", "clear", "explain", "metrics", "export",
                              "import", "log", "verify"}) {
    CHECK_THAT(help.out, Catch::Contains(command));
    const Outcome sub = place.run({"cache", command, "--help"});
    CHECK(sub.code == 0);
    CHECK_THAT(sub.out, Catch::Contains("--json"));
  }
}

TEST_CASE("a directory that cannot be read is no empty cache") {
  const CommandPlace place;
  place.directory.write("file", "no directory");
  for (const std::vector<std::string>& command :
       std::vector<std::vector<std::string>>{{"cache", "ls"},
                                             {"cache", "stat"},
                                             {"cache", "metrics"},
                                             {"cache", "clear"},
                                             {"cache", "export", "x.pack"},
                                             {"cache", "explain", "norm.rms_norm", "--set", hidden}}) {
    const Outcome file = place.run(command, {{"KERNCAST_CACHE_DIR", "file"}});
    INFO(command[1] << ": " << file.err);
    CHECK(file.code == 1);
    CHECK_THAT(file.err, Catch::Contains("cannot be read") && Catch::Contains("/file"));
  }
  CHECK(place.directory.read("file") == "no directory");
  for (const char* command : {"ls", "clear", "metrics", "path"}) {
    const Outcome none =
        place.run({"cache", command}, {{"KERNCAST_CACHE_DIR", ""}, {"XDG_CACHE_HOME", ""}, {"HOME", ""}});
    CHECK(none.code == 1);
    CHECK_THAT(none.err, Catch::Contains("there is no cache directory"));
  }
}

TEST_CASE("show prints one entry, found by the beginning of its key, in a layer or in a file") {
  const CommandPlace place;
  kerncast::cache::Store own(place.directory.file("cache"), nullptr);
  kerncast::cache::Store layer(place.directory.file("layer"), nullptr);
  const kerncast::cache::Key first{0xabcdef0123456789, 1};
  const kerncast::cache::Key second{0xabcdef0200000000, 2};
  const kerncast::cache::Key third{0x1234560000000000, 3};
  kerncast::cache::Entry entry = dated_entry();
  entry.key_fields.emplace_back("long", std::string(500, 'x'));
  entry.provenance->from = "/a/\x1b[2Jpack";
  REQUIRE(own.publish(first, entry));
  REQUIRE(own.publish(second, sample_entry("second")));
  REQUIRE(layer.publish(first, entry));
  REQUIRE(layer.publish(third, sample_entry("third")));
  const auto show = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"cache", "show"});
    return place.run(words, {{"KERNCAST_CACHE_READONLY", layer.root()}});
  };

  const json shown = show({"ABCDEF01", "--json"}).json();
  CHECK(shown.at("key") == first.hex());
  CHECK(shown.at("op") == entry.op);
  CHECK(shown.at("cubin_bytes") == entry.cubin.size());
  CHECK(shown.at("resources").at("registers") == 40);
  CHECK(shown.at("layer") == own.root());
  CHECK(shown.at("file") == own.path_of(first));
  CHECK(shown.at("also") == json::array({layer.root()}));
  CHECK(shown.at("signatures").at(0).at("state") == "wrong");
  CHECK(shown.at("provenance").at("build") == "0.1.0");
  CHECK(shown.at("provenance").at("source") == "pack");
  CHECK(shown.at("provenance").at("copied") == 1'700'000'060);
  CHECK(shown.at("key_fields").back().at("bytes") == 500);
  CHECK(!shown.contains("ptx"));
  CHECK(show({first.hex(), "--json", "--ptx"}).json().at("ptx") == entry.ptx);
  CHECK(show({first.hex(), "--ptx"}).out == entry.ptx);
  const std::string cubin = place.directory.file("x.cubin");
  const Outcome written = show({first.hex(), "--cubin", cubin});
  CHECK(written.code == 0);
  CHECK(written.out.empty());
  CHECK(place.directory.read("x.cubin") == entry.cubin);

  const Outcome text = show({own.path_of(first)});
  CHECK(text.code == 0);
  CHECK_THAT(text.out, Catch::Contains("kerncast 0.1.0") && Catch::Contains("the pack /a/\\u001b[2Jpack") &&
                           Catch::Contains("not of this content") && Catch::Contains("500 bytes, digest") &&
                           Catch::Contains("2023-11-14 22:13:20 UTC"));
  CHECK(text.out.find('\x1b') == std::string::npos);
  CHECK(show({"123456", "--json"}).json().at("layer") == layer.root());
  CHECK(show({third.hex(), "--json"}).json().at("provenance").is_null());

  const Outcome ambiguous = show({"abcdef"});
  CHECK(ambiguous.code == 2);
  CHECK_THAT(ambiguous.err, Catch::Contains("2 keys") && Catch::Contains(first.hex()) &&
                                Catch::Contains(second.hex()) && Catch::Contains("second"));
  const Outcome unknown = show({"fedcba"});
  CHECK(unknown.code == 1);
  CHECK_THAT(unknown.err, Catch::Contains("has an entry fedcba"));
  for (const char* bad : {"abcde", "abcdeg", "norm.rms_norm"}) {
    CHECK(show({bad}).code == 2);
  }
  CHECK(show({"./absent.kce"}).code == 1);
  CHECK(show({place.directory.write("junk.kce", "junk")}).code == 1);
  fs::resize_file(own.path_of(second), 20);
  const Outcome damaged = show({second.hex()});
  CHECK(damaged.code == 1);
  CHECK_THAT(damaged.err, Catch::Contains("checksum") || Catch::Contains("not an entry"));
  // Looking changes nothing.
  CHECK(fs::exists(own.path_of(second)));
}

TEST_CASE("a listing names the files that it leaves out") {
  if (!has_nvrtc()) {
    return;
  }
  const Warmed warmed;
  const std::string key = warmed.place.run({"cache", "ls", "--json"}).json().at(0).at("key");
  const std::string file = "cache/v1/" + key.substr(0, 2) + "/" + key.substr(2) + ".kce";
  std::string bytes = warmed.place.directory.read(file);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  warmed.place.directory.write(file, bytes);
  const Outcome list = warmed.place.run({"cache", "ls", "--json"});
  CHECK(list.json().empty());
  CHECK_THAT(list.err, Catch::Contains("1 file in ") && Catch::Contains("cannot be read as an entry"));
  const Outcome clear = warmed.place.run({"cache", "clear", "--op", "rms_norm"});
  CHECK(clear.code == 1);
  CHECK_THAT(clear.err, Catch::Contains("no such kernel") && Catch::Contains("cannot be read as an entry"));
  CHECK(warmed.place.run({"cache", "clear", "--json"}).json().at("removed").at("entries") == 1);
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
