// Signals that end the commands of the cache, end to end.
#include <signal.h>
#include <sys/wait.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "cache/directory/store.hpp"
#include "tests/tools/commands/cache/sample_cache.hpp"
#include "tests/tools/commands/command_process.hpp"

namespace {

using nlohmann::json;
namespace fs = std::filesystem;

/// True if the child has ended. It can still be waited for.
bool has_ended(pid_t child) {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == child;
}

TEST_CASE("a signal stops an import between two entries, and the next import goes on") {
  const CommandPlace from;
  kerncast::cache::Store store(from.directory.file("cache"), nullptr);
  constexpr int entries = 40;
  for (int i = 0; i < entries; ++i) {
    publish_proven(store, std::to_string(i), 0);
  }
  const std::string pack = from.directory.file("kernels.pack");
  REQUIRE(from.run({"cache", "export", pack}).code == 0);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    const CommandPlace to;
    const std::string root = to.directory.file("cache");
    const pid_t child = to.start({"cache", "import", pack});
    // An entry folder shows that the import is at work.
    while (!fs::exists(root + "/v1") && !has_ended(child)) {
    }
    kill(child, signal);
    const Outcome outcome = to.wait(child);
    INFO(signal << ": " << outcome.err);
    CHECK((outcome.code == 0 || outcome.code == 130 || outcome.code == 128 + signal));
    for (const fs::directory_entry& file : fs::recursive_directory_iterator(root)) {
      CHECK_FALSE(file.path().filename().string().starts_with(".tmp-"));
    }
    const json rest = to.run({"cache", "import", pack, "--json"}).json();
    const int already = rest.at("already").get<int>();
    CHECK(rest.at("imported").get<int>() + already == entries);
    // The signal may have come when all was done, and it ends the process then.
    CHECK((outcome.code == 130 || already == entries));
  }
}

TEST_CASE("commands that are ended by a signal leave no temporary file") {
  const CommandPlace place;
  kerncast::cache::Store store(place.directory.file("cache"), nullptr);
  for (int i = 0; i < 40; ++i) {
    publish_proven(store, std::to_string(i), 4000);
  }
  fs::create_directory(place.directory.file("out"));
  place.directory.write("out/old", "old");
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"cache", "export", "out/old"}, {"cache", "metrics", "--out", "out/old"}}) {
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
      for (const int delay_ms : {0, 10, 20, 40}) {
        const pid_t child = place.start(command);
        std::this_thread::sleep_for(std::chrono::milliseconds(delay_ms));
        kill(child, signal);
        const Outcome outcome = place.wait(child);
        INFO(command[1] << ", " << signal << ": " << outcome.code);
        CHECK(std::distance(fs::directory_iterator(place.directory.file("out")), fs::directory_iterator()) ==
              1);
        CHECK((outcome.code == 0 || outcome.code == 128 + signal));
        const bool is_old = place.directory.read("out/old") == "old";
        CHECK((outcome.code != 0 || !is_old));
        place.directory.write("out/old", "old");
      }
    }
  }
}

}  // namespace
