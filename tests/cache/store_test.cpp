#include "cache/store.hpp"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <thread>

#include "cache/file.hpp"
#include "tests/cache/sample.hpp"

using namespace kerncast::cache;
namespace fs = std::filesystem;

namespace {

const Key key{0x0123456789abcdef, 42};

struct Warnings {
  std::vector<std::string> texts;
  WarningSink sink() {
    return [this](std::string_view text) { texts.emplace_back(text); };
  }
};

void overwrite(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

}  // namespace

TEST_CASE("what is published is loaded, by this store and by another") {
  const TemporaryFolder folder;
  Warnings warnings;
  Store store(folder.path() + "/deep/er", warnings.sink());
  CHECK(!store.load(key));
  CHECK(store.publish(key, sample_entry()));
  CHECK(store.load(key) == sample_entry());
  Store other(folder.path() + "/deep/er", warnings.sink());
  CHECK(other.load(key) == sample_entry());
  CHECK(warnings.texts.empty());
  CHECK(store.counters().hits == 1);
  CHECK(store.counters().misses == 1);
  CHECK(store.statistics().entries == 1);
  CHECK((fs::status(folder.path() + "/deep/er").permissions() & fs::perms::all) == fs::perms::owner_all);
}

TEST_CASE("a bad file is a miss, quarantined, counted and warned of once") {
  const TemporaryFolder folder;
  Warnings warnings;
  Store store(folder.path(), warnings.sink());
  REQUIRE(store.publish(key, sample_entry()));
  const std::string path = store.path_of(key);
  const std::string good = *read_file(path);
  const std::string bad[] = {"", "garbage", good.substr(0, good.size() - 1), good + "x",
                             serialise(Key{7, 7}, sample_entry())};
  std::uint64_t count = 0;
  for (const std::string& bytes : bad) {
    overwrite(path, bytes);
    CHECK(!store.load(key));
    CHECK(!fs::exists(path));
    CHECK(store.counters().quarantined == ++count);
    CHECK(store.publish(key, sample_entry()));
    CHECK(store.load(key) == sample_entry());
  }
  CHECK(warnings.texts.size() == 1);
  CHECK(warnings.texts[0].find("unusable") != std::string::npos);
  CHECK(store.statistics().quarantined == 1);
}

TEST_CASE("a directory that cannot be made costs one warning and never a failure") {
  const TemporaryFolder folder;
  overwrite(folder.path() + "/file", "not a folder");
  Warnings warnings;
  Store store(folder.path() + "/file/cache", warnings.sink());
  for (int i = 0; i < 3; ++i) {
    CHECK(!store.load(key));
    CHECK(!store.publish(key, sample_entry()));
  }
  CHECK(warnings.texts.size() == 1);
  CHECK(warnings.texts[0].find("KERNCAST_CACHE_DIR") != std::string::npos);
  CHECK(store.counters().failed_publishes == 3);
  CHECK(store.list().empty());
}

TEST_CASE("no directory at all is a store that misses") {
  Warnings warnings;
  Store store("", warnings.sink());
  CHECK(!store.load(key));
  CHECK(!store.publish(key, sample_entry()));
  CHECK(store.clear().entries == 0);
  CHECK(warnings.texts.size() == 1);
}

TEST_CASE("a full disk leaves neither an entry nor a temporary") {
  const TemporaryFolder folder;
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{64, 64};
    setrlimit(RLIMIT_FSIZE, &limit);
    Store store(folder.path(), nullptr);
    _exit(store.publish(key, sample_entry()) ? 1 : 0);
  }
  int status = -1;
  waitpid(child, &status, 0);
  CHECK(status == 0);
  Store store(folder.path(), nullptr);
  CHECK(store.statistics().entries == 0);
  CHECK(store.statistics().temporaries == 0);
  CHECK(!store.load(key));
}

TEST_CASE("a killed writer leaves no entry or a whole one") {
  const TemporaryFolder folder;
  Entry large = sample_entry();
  large.cubin.assign(1 << 20, 'c');
  for (int round = 0; round < 20; ++round) {
    const pid_t child = fork();
    if (child == 0) {
      Store store(folder.path(), nullptr);
      while (true) {
        store.publish(key, large);
      }
    }
    usleep(static_cast<useconds_t>(500 * round));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    Store store(folder.path(), nullptr);
    const std::optional<Entry> loaded = store.load(key);
    CHECK(store.counters().quarantined == 0);
    if (loaded) {
      CHECK(*loaded == large);
    }
  }
}

TEST_CASE("threads that publish and load one key see whole entries") {
  const TemporaryFolder folder;
  Store store(folder.path(), nullptr);
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        store.publish(key, sample_entry());
        const auto loaded = store.load(key);
        wrong += loaded == sample_entry() ? 0 : 1;
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  CHECK(wrong == 0);
  CHECK(store.counters().quarantined == 0);
  CHECK(store.statistics().temporaries == 0);
}

TEST_CASE("clear removes what the store made and nothing else") {
  const TemporaryFolder folder;
  const TemporaryFolder elsewhere;
  Store store(folder.path(), nullptr);
  REQUIRE(store.publish(key, sample_entry()));
  const fs::path shard = fs::path(store.path_of(key)).parent_path();
  overwrite((shard / "notes.txt").string(), "mine");
  overwrite(elsewhere.path() + "/precious", "mine");
  fs::create_directory_symlink(elsewhere.path(), folder.path() + "/quarantine");
  fs::create_symlink(elsewhere.path() + "/precious", shard / "000000000000000000000000000001.kce");
  const StoreStatistics removed = store.clear();
  CHECK(removed.entries == 1);
  CHECK(!store.load(key));
  CHECK(fs::exists(shard / "notes.txt"));
  CHECK(fs::exists(elsewhere.path() + "/precious"));
  CHECK(store.list().empty());
}

TEST_CASE("the directory comes from the environment in order") {
  const char* saved_home = getenv("HOME");
  const std::string home = saved_home != nullptr ? saved_home : "";
  setenv("KERNCAST_CACHE_DIR", "/a", 1);
  setenv("XDG_CACHE_HOME", "/b", 1);
  setenv("HOME", "/c", 1);
  CHECK(default_directory() == "/a");
  unsetenv("KERNCAST_CACHE_DIR");
  CHECK(default_directory() == "/b/kerncast");
  unsetenv("XDG_CACHE_HOME");
  CHECK(default_directory() == "/c/.cache/kerncast");
  unsetenv("HOME");
  CHECK(default_directory().empty());
  setenv("HOME", home.c_str(), 1);
}
