// `kerncast cache verify` and the sample of `doctor`, end to end, on the virtual GPU.
#include <catch2/catch.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "cache/directory/store.hpp"
#include "cache/remote/remote_store.hpp"
#include "cache/tuning/tuning_store.hpp"
#include "tests/cache/remote/server_process.hpp"
#include "tests/cache/sample.hpp"
#include "tests/cache/tuning/tuned_sample.hpp"
#include "tests/tools/commands/command_process.hpp"

namespace {

using kerncast::cache::Entry;
using kerncast::cache::Key;
using kerncast::cache::Store;
using nlohmann::json;
namespace fs = std::filesystem;

using Words = std::vector<std::string>;
using Environment = std::vector<std::pair<std::string, std::string>>;

/// An entry that stands for its key, with `body` as the code of its kernel.
Entry proven(const std::string& source, const std::string& body = "ret;") {
  Entry entry = sample_entry();
  entry.arch = "sm_90";
  entry.lowered_name = "kernel";
  entry.cubin.clear();
  entry.ptx = ".version 8.0\n.target sm_90\n.address_size 64\n.visible .entry kernel() { " + body + " }\n";
  entry.key_fields = {{"source", source}, {"kernel", "kernel"}, {"arch", "sm_90"}};
  return entry;
}

Key key_of(const Entry& entry) {
  return kerncast::cache::key_of_fields(entry.key_fields);
}

/// A cache directory with one entry of each kind, and a layer with sound copies.
struct Mixed {
  Mixed() {
    for (const char* name : {"cache", "layer"}) {
      Store store(place.directory.file(name), nullptr);
      for (const Entry& entry : {sound, damaged}) {
        REQUIRE(store.publish(key_of(entry), entry));
      }
    }
    Store store(place.directory.file("cache"), nullptr);
    std::ofstream(store.path_of(key_of(damaged)), std::ios::trunc) << "garbage";
    REQUIRE(store.publish(key_of(unproved), unproved));
    REQUIRE(store.publish(key_of(broken), broken));
    REQUIRE(store.publish({9, 9}, proven("elsewhere")));
    fs::create_directories(store.path_of({0xee00000000000000, 1}));
  }
  CommandPlace place;
  Entry sound = proven("sound");
  Entry damaged = proven("damaged");
  Entry unproved = [] {
    Entry entry = proven("unproved");
    entry.ptx = ".version 8.0\n.target sm_80\n.address_size 64\n";
    return entry;
  }();
  Entry broken = proven("broken", "no.such.instruction;");
};

TEST_CASE("the cache directory is verified and not changed") {
  const Mixed mixed;
  const Outcome outcome = mixed.place.run({"cache", "verify", "--json"});
  INFO(outcome.err);
  CHECK(outcome.code == 1);
  const json report = outcome.json();
  CHECK(report.at("ok") == false);
  const json& place = report.at("places").at(0);
  CHECK(place.at("kind") == "own directory");
  CHECK(place.at("entries") == 6);
  CHECK(place.at("sound") == 1);
  CHECK(place.at("loaded") == 1);
  CHECK(place.at("damaged") == 2);
  CHECK(place.at("unproved") == 2);
  CHECK(place.at("not_loadable") == 1);
  CHECK(place.at("defects").size() == 5);
  CHECK_THAT(outcome.err, Catch::Contains("5 defects are left") && Catch::Contains("--repair"));
  CHECK(fs::exists(Store(mixed.place.directory.file("cache"), nullptr).path_of(key_of(mixed.damaged))));
  CHECK_FALSE(fs::exists(mixed.place.directory.file("cache/quarantine")));
  CHECK_FALSE(fs::exists(mixed.place.directory.file("cache/log")));
  const json unloaded = mixed.place.run({"cache", "verify", "--no-load", "--json"}).json();
  CHECK(unloaded.at("places").at(0).at("not_loadable") == 0);
  CHECK(mixed.place.run({"cache", "verify", "--load"}, {{"KERNCAST_DRIVER", "cuda"}}).code == 1);
  CHECK(mixed.place.run({"cache", "verify", "--load", "--no-load"}).code == 2);
}

TEST_CASE("a repair moves bad entries away and restores them from a layer") {
  const Mixed mixed;
  const std::vector<std::pair<std::string, std::string>> layered{
      {"KERNCAST_CACHE_READONLY", mixed.place.directory.file("layer")}};
  const Outcome outcome = mixed.place.run({"cache", "verify", "--repair"}, layered);
  INFO(outcome.out << outcome.err);
  CHECK(outcome.code == 0);
  CHECK_THAT(outcome.out, Catch::Contains("restored from " + mixed.place.directory.file("layer")) &&
                              Catch::Contains("compiled again"));
  const json after = mixed.place.run({"cache", "verify", "--json"}).json();
  CHECK(after.at("entries") == 2);
  CHECK(after.at("sound") == 2);
  const json log = mixed.place.run({"cache", "log", "--json"}).json();
  int repairs = 0;
  int quarantined = 0;
  for (const json& event : log.at("events")) {
    repairs += event.at("event") == "repair" ? 1 : 0;
    quarantined += event.at("event") == "quarantine" ? 1 : 0;
  }
  CHECK(repairs == 1);
  CHECK(quarantined == 5);
}

TEST_CASE("a layer and a pack are verified and never changed") {
  const Mixed mixed;
  const std::string bad = mixed.place.directory.file("cache");
  const std::vector<std::pair<std::string, std::string>> elsewhere{
      {"KERNCAST_CACHE_DIR", mixed.place.directory.file("other")}};
  const Outcome outcome = mixed.place.run({"cache", "verify", bad, "--repair"}, elsewhere);
  INFO(outcome.out << outcome.err);
  CHECK(outcome.code == 1);
  CHECK_THAT(outcome.out, Catch::Contains("--repair changes nothing here"));
  CHECK_FALSE(fs::exists(bad + "/quarantine"));
  const std::string pack = mixed.place.directory.file("sound.pack");
  REQUIRE(mixed.place
              .run({"cache", "export", pack}, {{"KERNCAST_CACHE_DIR", mixed.place.directory.file("layer")}})
              .code == 0);
  const Outcome both = mixed.place.run({"cache", "verify", pack, "layer", "--json"}, elsewhere);
  CHECK(both.code == 0);
  CHECK(both.json().at("entries") == 4);
  CHECK(both.json().at("places").at(0).at("kind") == "pack");
  CHECK(both.json().at("places").at(1).at("kind") == "read-only directory");
  const Outcome missing = mixed.place.run({"cache", "verify", "missing", "layer"}, elsewhere);
  CHECK(missing.code == 1);
  CHECK_THAT(missing.err, Catch::Contains("missing cannot be opened"));
}

TEST_CASE("entries of others must be signed where signatures are demanded, the own need not be") {
  const Mixed mixed;
  const Outcome made = mixed.place.run({"key", "generate", "signing.key", "--json"});
  REQUIRE(made.code == 0);
  const std::vector<std::pair<std::string, std::string>> demanded{
      {"KERNCAST_TRUSTED_KEYS", made.json().at("public_key")}};
  const json layer = mixed.place.run({"cache", "verify", "layer", "--json"}, demanded).json();
  CHECK(layer.at("places").at(0).at("unsigned") == 2);
  const json own = mixed.place.run({"cache", "verify", "--json"}, demanded).json();
  CHECK(own.at("places").at(0).at("unsigned") == 0);
}

TEST_CASE("tuned records are restored from their last good copy") {
  const CommandPlace place;
  {
    kerncast::cache::TuningStore tuning(place.directory.file("cache"), nullptr);
    REQUIRE(tuning.record({sample_record()}).written == 1);
  }
  CHECK(place.run({"cache", "verify"}).code == 0);
  std::ofstream(place.directory.file("cache/tuning.sqlite"), std::ios::trunc) << "garbage";
  const Outcome found = place.run({"cache", "verify"});
  CHECK(found.code == 1);
  CHECK_THAT(found.out, Catch::Contains("tuned records"));
  CHECK(place.directory.read("cache/tuning.sqlite") == "garbage");
  const Outcome repaired = place.run({"cache", "verify", "--repair", "--json"});
  INFO(repaired.err);
  CHECK(repaired.code == 0);
  CHECK(repaired.json().at("tuned") == 1);
  std::ofstream(place.directory.file("cache/tuning.good.sqlite"), std::ios::trunc) << "garbage";
  CHECK(place.run({"cache", "verify"}).code == 1);
  CHECK(place.run({"cache", "verify", "--repair"}).code == 0);
  CHECK(place.run({"cache", "verify"}).code == 0);
}

TEST_CASE("a server that does not answer is not sound, and no secret is told") {
  const CommandPlace place;
  for (const char* name : {"remote", "redis://user:secret@127.0.0.1:1"}) {
    const Outcome outcome = place.run({"cache", "verify", name, "--json"},
                                      {{"KERNCAST_CACHE_REMOTE", "redis://user:secret@127.0.0.1:1"}});
    CHECK(outcome.code == 1);
    CHECK_THAT(outcome.out + outcome.err, Catch::Contains("127.0.0.1:1") && !Catch::Contains("secret"));
  }
  CHECK(place.run({"cache", "verify", "remote"}).code == 2);
}

/// A server of one kind that tests start, and what the command needs to use it.
class Server {
 public:
  enum class Kind { redis, s3, http };
  /// `variables` are for the script that is S3 and HTTP server.
  explicit Server(Kind kind, const Environment& variables = {}) : kind_(kind), port_(free_port()) {
    Environment all = variables;
    all.emplace_back("S3_PLAIN", kind == Kind::http ? "1" : "0");
    for (const auto& [name, value] : all) {
      setenv(name.c_str(), value.c_str(), 1);
    }
    process_.emplace(words(), port_);
    for (const auto& [name, value] : all) {
      unsetenv(name.c_str());
    }
    // The client of this process asks the same server as the command.
    for (const auto& [name, value] : environment()) {
      if (name.starts_with("AWS_")) {
        setenv(name.c_str(), value.c_str(), 1);
      }
    }
    kerncast::cache::RemoteOptions options;
    options.address = kerncast::cache::RemoteAddress(url());
    options.timeout = std::chrono::minutes(1);
    client_ = kerncast::cache::remote_server(options, defect_);
  }
  /// False, with a message, if the server or its client is not there.
  static bool possible(Kind kind) {
    const char* const program = kind == Kind::redis ? "/usr/bin/redis-server" : "/usr/bin/python3";
    if (!fs::exists(program)) {
      WARN(program << " is not installed: the case was not tried");
      return false;
    }
    kerncast::cache::RemoteOptions options;
    options.address = kerncast::cache::RemoteAddress("redis://127.0.0.1:1");
    std::string defect;
    if (kerncast::cache::remote_server(options, defect) == nullptr) {
      WARN(defect);
      return false;
    }
    return true;
  }
  [[nodiscard]] bool started() const { return process_->started() && client_ != nullptr; }
  [[nodiscard]] std::string url() const {
    const std::string place = "127.0.0.1:" + std::to_string(port_);
    return kind_ == Kind::redis ? "redis://" + place
           : kind_ == Kind::s3  ? "s3://kernels/v"
                                : "http://" + place + "/v";
  }
  [[nodiscard]] Environment environment() const {
    return {
        {"KERNCAST_CACHE_REMOTE", url()}, {"KERNCAST_CACHE_REMOTE_TIMEOUT_MS", "60000"},
        {"AWS_ACCESS_KEY_ID", "key"},     {"AWS_SECRET_ACCESS_KEY", "secret"},
        {"AWS_REGION", "eu-north-1"},     {"AWS_ENDPOINT_URL", "http://127.0.0.1:" + std::to_string(port_)}};
  }
  void put(const Key& key, const std::string& bytes) const {
    const auto answer = client_->put(kerncast::cache::object_name(key), bytes, soon());
    REQUIRE(answer.state == kerncast::cache::RemoteState::done);
  }
  /// The object that the server has under a key; empty if it has none.
  [[nodiscard]] std::string get(const Key& key) const {
    return client_->get(kerncast::cache::object_name(key), soon()).bytes;
  }

 private:
  static kerncast::cache::Deadline soon() {
    return kerncast::cache::Deadline::after(std::chrono::minutes(1));
  }
  [[nodiscard]] Words words() const {
    const std::string port = std::to_string(port_);
    if (kind_ != Kind::redis) {
      return {"/usr/bin/python3", S3_SERVER, port, "key", "secret", "eu-north-1"};
    }
    return {"/usr/bin/redis-server", "--port", port, "--save", "", "--dir", folder_.path()};
  }
  Kind kind_;
  TemporaryDirectory folder_;
  int port_;
  std::optional<ServerProcess> process_;
  std::string defect_;
  std::unique_ptr<kerncast::cache::RemoteServer> client_;
};

/// The key of an object that only a server has.
constexpr Key strange{7, 7};

/// Puts bad objects on a server: one that the layers have a sound copy of, and two that nobody has.
void spoil(const Mixed& mixed, const Server& server) {
  server.put(key_of(mixed.sound), "garbage");
  server.put(key_of(mixed.unproved), serialise(key_of(mixed.unproved), mixed.unproved));
  server.put(strange, "garbage");
}

TEST_CASE("bad objects of a server are found in its list, and replaced by sound copies or removed") {
  for (const Server::Kind kind : {Server::Kind::redis, Server::Kind::s3, Server::Kind::http}) {
    if (!Server::possible(kind)) {
      continue;
    }
    const Mixed mixed;
    const Server server(kind);
    REQUIRE(server.started());
    spoil(mixed, server);
    const bool lists = kind != Server::Kind::http;
    Environment environment = server.environment();
    const Outcome found = mixed.place.run({"cache", "verify", "remote", "--json"}, environment);
    INFO(found.out << found.err);
    CHECK(found.code == 1);
    const json place = found.json().at("places").at(0);
    CHECK(place.at("listed") == (lists ? json(3) : json()));
    CHECK(place.at("asked") == (lists ? 7 : 6));
    CHECK(place.at("damaged") == (lists ? 2 : 1));
    CHECK(place.at("unproved") == 1);
    CHECK_THAT(place.at("notes").at(0).get<std::string>(),
               Catch::Contains(lists ? "the server lists 3 entries" : "plain HTTP has no request") &&
                   Catch::Contains(lists ? "asked for 7 keys, and it lacks 4" : "asked for the 6 keys"));
    environment.emplace_back("KERNCAST_CACHE_REMOTE_READONLY", "1");
    CHECK_THAT(mixed.place.run({"cache", "verify", "remote", "--repair"}, environment).out,
               Catch::Contains("turns uploads off"));
    environment.pop_back();
    const Outcome repaired = mixed.place.run({"cache", "verify", server.url(), "--repair"}, environment);
    INFO(repaired.out << repaired.err);
    CHECK(repaired.code == 0);
    CHECK_THAT(repaired.out, Catch::Contains("replaced by the copy of") &&
                                 Catch::Contains("removed; no other place has a sound copy"));
    CHECK(server.get(key_of(mixed.sound)) == serialise(key_of(mixed.sound), mixed.sound));
    CHECK(server.get(key_of(mixed.unproved)).empty());
    CHECK(server.get(strange) == (lists ? "" : "garbage"));
    CHECK(mixed.place.run({"cache", "verify", "remote"}, environment).code == 0);
    const json log = mixed.place.run({"cache", "log", "--json", "--event", "repair"}).json();
    CHECK(log.at("events").size() == (lists ? 3 : 2));
  }
}

TEST_CASE("a server that forbids to replace or to remove is left with a sentence that says so") {
  for (const Server::Kind kind : {Server::Kind::s3, Server::Kind::http}) {
    if (!Server::possible(kind)) {
      continue;
    }
    const Mixed mixed;
    const Server server(kind, {{"S3_DELETES", "no"}, {"S3_LISTS", "no"}});
    REQUIRE(server.started());
    spoil(mixed, server);
    const Outcome outcome = mixed.place.run({"cache", "verify", "remote", "--repair"}, server.environment());
    INFO(outcome.out << outcome.err);
    CHECK(outcome.code == 1);
    CHECK_THAT(outcome.out,
               Catch::Contains("replaced by the copy of") &&
                   Catch::Contains("no other place has a sound copy, and it could not be removed: "
                                   "HTTP 403") &&
                   Catch::Contains("does not list what it holds"));
    CHECK_THAT(outcome.err, Catch::Contains("1 defect is left in server " + server.url()) &&
                                Catch::Contains("remove those objects on the server"));
  }
}

TEST_CASE("doctor verifies a sample of the entries") {
  const Mixed mixed;
  const Outcome outcome = mixed.place.run({"doctor", "--json"}, {{"KERNCAST_NVRTC", "none"}});
  CHECK(outcome.json().at("cache").at("verified") == 6);
  CHECK(outcome.json().at("cache").at("unsound") == 4);
  CHECK_THAT(outcome.json().dump(), Catch::Contains("`kerncast cache verify`"));
}

}  // namespace
