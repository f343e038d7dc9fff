// Keys, signed packs, and a process that demands signatures. Nothing here needs a device.
#include <signal.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "cache/tuning/tuning_store.hpp"
#include "tests/cache/tuning/tuned_sample.hpp"
#include "tests/tools/commands/command_process.hpp"
#include "tests/tools/commands/refused_arguments.hpp"

namespace {

namespace fs = std::filesystem;

const std::vector<std::string> kernel{"norm.rms_norm", "--set",  "hidden=64", "--arch",
                                      "sm_90a",        "--rows", "1"};

}  // namespace

TEST_CASE("a key is made once, in a file of its owner alone, and only its public part is printed") {
  const CommandPlace place;
  const std::string file = place.directory.file("key");
  const Outcome made = place.run({"key", "generate", file});
  REQUIRE(made.code == 0);
  CHECK(made.out.starts_with("ed25519:"));
  struct stat info{};
  REQUIRE(::stat(file.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  CHECK(place.run({"key", "show", file}).out == made.out);
  CHECK(place.run({"key", "show", file, "--json"}).json().at("public_key").get<std::string>() + "\n" ==
        made.out);

  const Outcome again = place.run({"key", "generate", file});
  CHECK(again.code == 1);
  CHECK_THAT(again.err, Catch::Contains("never overwritten"));
  CHECK(place.run({"key", "show", file}).out == made.out);
  CHECK(place.run({"key", "show", place.directory.write("other", "text")}).code == 2);
  CHECK(place.run({"key", "generate", place.directory.file("absent/key")}).code == 1);
}

TEST_CASE("a secret key is never written to standard output, nor to a file called -") {
  const CommandPlace place;
  for (const char* name : {"-", "/dev/stdout"}) {
    const Outcome outcome = place.run({"key", "generate", name});
    CHECK(outcome.code == 2);
    CHECK(outcome.out.empty());
    CHECK_THAT(outcome.err, Catch::Contains("is standard output") && Catch::Contains("name a new file"));
  }
  CHECK(!fs::exists(place.directory.file("-")));
}

TEST_CASE("a key that is interrupted while it is made is whole or not there") {
  const CommandPlace place;
  const fs::path out = place.directory.file("out");
  fs::create_directory(out);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGKILL}) {
    for (const int delay_ms : {0, 5, 10, 20}) {
      const pid_t child = place.start({"key", "generate", "out/key"});
      std::this_thread::sleep_for(std::chrono::milliseconds(delay_ms));
      ::kill(child, signal);
      const Outcome outcome = place.wait(child);
      INFO(signal << " after " << delay_ms << " ms: " << outcome.code);
      CHECK((outcome.code == 0 || outcome.code == 128 + signal));
      const bool made = fs::exists(out / "key");
      CHECK((outcome.code != 0 || made));
      CHECK((!made || place.run({"key", "show", "out/key"}).code == 0));
      CHECK(std::distance(fs::directory_iterator(out), fs::directory_iterator()) == (made ? 1 : 0));
      fs::remove(out / "key");
    }
  }
}

TEST_CASE("a signed pack serves where its key is demanded, and an unsigned one does not") {
  const CommandPlace place;
  const std::string file = place.directory.file("key");
  std::string trusted = place.run({"key", "generate", file}).out;
  trusted.pop_back();
  const std::string plain = place.directory.file("plain.pack");
  const std::string by_warm = place.directory.file("warm.pack");
  const std::string by_export = place.directory.file("export.pack");
  REQUIRE(place.run(with(with({"warm"}, kernel), {"--out", plain})).code == 0);
  REQUIRE(place.run(with(with({"warm"}, kernel), {"--out", by_warm, "--sign", file})).code == 0);
  REQUIRE(place.run({"cache", "export", by_export, "--sign", file}).code == 0);

  const auto check = [&](const std::string& pack, const std::string& keys) {
    const CommandPlace other;
    return other.run(with(with({"warm"}, kernel), {"--check"}),
                     {{"KERNCAST_CACHE_READONLY", pack}, {"KERNCAST_TRUSTED_KEYS", keys}});
  };
  CHECK(check(plain, "").code == 0);
  CHECK(check(by_warm, trusted).code == 0);
  CHECK(check(by_export, trusted).code == 0);
  const Outcome refused = check(plain, trusted);
  CHECK(refused.code == 1);
  CHECK_THAT(refused.err, Catch::Contains("it is not signed"));
  const std::string other_key = place.directory.file("other");
  std::string other = place.run({"key", "generate", other_key}).out;
  other.pop_back();
  CHECK(check(by_warm, other).code == 1);

  const auto import = [&](const std::string& pack) {
    return CommandPlace().run({"cache", "import", pack}, {{"KERNCAST_TRUSTED_KEYS", trusted}});
  };
  CHECK(import(by_export).code == 0);
  const Outcome unsigned_pack = import(plain);
  CHECK(unsigned_pack.code == 1);
  CHECK_THAT(unsigned_pack.err,
             Catch::Contains("it is not signed") && Catch::Contains("nothing was imported"));

  // A key that cannot be used is an error before anything is compiled.
  const Outcome bad = place.run(with(with({"warm"}, kernel), {"--sign", plain}));
  CHECK(bad.code == 2);
  CHECK_THAT(bad.err, Catch::Contains("cannot be used as a signing key"));
  const std::string unwritten = place.directory.file("unwritten.pack");
  CHECK(place.run({"cache", "export", unwritten, "--sign", plain}).code == 2);
  CHECK(!fs::exists(unwritten));
}

TEST_CASE("tuned records in a pack are signed by an export, and imported where the key is trusted") {
  const CommandPlace place;
  const std::string file = place.directory.file("key");
  std::string trusted = place.run({"key", "generate", file}).out;
  trusted.pop_back();
  REQUIRE(kerncast::cache::TuningStore(place.directory.file("cache"), nullptr)
              .record({sample_record(1), sample_record(2)})
              .written == 2);
  const std::string plain = place.directory.file("plain.pack");
  const std::string signed_pack = place.directory.file("signed.pack");
  REQUIRE(place.run({"cache", "export", plain}).code == 0);
  REQUIRE(place.run({"cache", "export", signed_pack, "--sign", file}).code == 0);

  const CommandPlace other;
  const std::vector<std::pair<std::string, std::string>> demand{{"KERNCAST_TRUSTED_KEYS", trusted}};
  const Outcome refused = other.run({"cache", "import", plain}, demand);
  CHECK(refused.code == 1);
  CHECK_THAT(refused.err, Catch::Contains("the tuned record of norm.rms_norm") &&
                              Catch::Contains("it is not signed") && Catch::Contains("nothing was imported"));
  CHECK(other.run({"cache", "tuned", "--json"}).json().empty());
  CHECK(other.run({"cache", "import", signed_pack, "--json"}, demand).json().at("tuned_imported") == 2);
  const nlohmann::json listed = other.run({"cache", "tuned", "--json"}).json();
  REQUIRE(listed.size() == 2);
  CHECK(listed.at(0).at("signers") == nlohmann::json::array({trusted}));

  const auto warning = [&](const std::string& layer) {
    return CommandPlace().run({"cache", "tuned"},
                              {{"KERNCAST_CACHE_READONLY", layer}, {"KERNCAST_TRUSTED_KEYS", trusted}});
  };
  CHECK(warning(signed_pack).err.find("not used") == std::string::npos);
  CHECK_THAT(warning(plain).err, Catch::Contains("2 tuned records of " + plain + " are not used"));
}
