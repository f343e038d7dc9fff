// The commands of the cache in processes that may open few files.
#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "cache/counters.hpp"
#include "cache/directory/store.hpp"
#include "tests/tools/commands/cache/sample_cache.hpp"
#include "tests/tools/commands/command_process.hpp"

namespace {

namespace fs = std::filesystem;

/// While the object lives, processes that are started may have 32 descriptors.
class FewDescriptors {
 public:
  FewDescriptors() {
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before_) == 0);
    const rlimit few{32, before_.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
  }
  ~FewDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  FewDescriptors(const FewDescriptors&) = delete;
  FewDescriptors& operator=(const FewDescriptors&) = delete;

 private:
  rlimit before_{};
};

TEST_CASE("every command of the cache does with few descriptors") {
  const CommandPlace place;
  const std::string root = place.directory.file("cache");
  kerncast::cache::Store store(root, nullptr);
  constexpr std::size_t entries = 80;
  for (std::size_t i = 0; i < entries; ++i) {
    publish_proven(store, std::to_string(i), 0);
  }
  fs::create_directory(root + "/sessions");
  for (std::size_t i = 0; i < entries; ++i) {
    std::ofstream(root + "/sessions/" + std::to_string(i) + ".kcs")
        << kerncast::cache::serialise_counters({});
  }
  const FewDescriptors few;
  const std::pair<std::string, std::string> budget{"KERNCAST_CACHE_MAX_ENTRIES", "100"};
  const std::pair<std::string, std::string> other{"KERNCAST_CACHE_DIR", place.directory.file("other")};
  const auto run = [&](const std::vector<std::string>& words,
                       const std::vector<std::pair<std::string, std::string>>& environment = {}) {
    Outcome outcome = place.run(words, environment);
    INFO(words[1] << ": " << outcome.err);
    CHECK(outcome.code == 0);
    CHECK(outcome.err.empty());
    return outcome;
  };
  CHECK(run({"cache", "ls", "--json"}).json().size() == entries);
  CHECK(run({"cache", "stat", "--json"}).json().at("entries") == entries);
  static_cast<void>(run({"cache", "metrics"}));
  static_cast<void>(run({"cache", "tuned"}));
  CHECK(run({"cache", "export", "kernels.pack", "--json"}).json().at("entries") == entries);
  CHECK(run({"cache", "verify", "--no-load", "kernels.pack", "--json"}).json().at("entries") == entries);
  CHECK(run({"cache", "import", "kernels.pack", "--json"}, {budget, other}).json().at("imported") == entries);
  CHECK(run({"cache", "ls", "--json"}, {other}).json().size() == entries);
  CHECK(run({"cache", "clear", "--op", "rms_norm", "--dry-run", "--json"}).json().at("list").size() ==
        entries);
  CHECK(run({"cache", "clear", "--json"}).json().at("removed").at("entries") == entries);
}

}  // namespace
