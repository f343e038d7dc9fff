#include "cache/directory/store.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <thread>

#include "cache/posix/file.hpp"
#include "tests/cache/damaged_bytes.hpp"
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

}  // namespace

TEST_CASE("what is published is loaded, by this store and by another") {
  const TemporaryDirectory folder;
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
  CHECK((fs::status(folder.path() + "/deep/er").permissions() &
         (fs::perms::group_write | fs::perms::others_write)) == fs::perms::none);
}

TEST_CASE("a bad file is a miss, quarantined, counted and warned of once") {
  const TemporaryDirectory folder;
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

TEST_CASE("no directory at all is a store that misses") {
  Warnings warnings;
  Store store("", warnings.sink());
  CHECK(!store.load(key));
  CHECK(!store.publish(key, sample_entry()));
  CHECK(store.clear().entries == 0);
  CHECK(warnings.texts.size() == 1);
}

TEST_CASE("a killed writer leaves no entry or a whole one") {
  const TemporaryDirectory folder;
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
  const TemporaryDirectory folder;
  Store store(folder.path(), nullptr);
  std::vector<std::thread> threads;
  threads.reserve(8);
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
  const TemporaryDirectory folder;
  const TemporaryDirectory elsewhere;
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

TEST_CASE("clear removes the sources of failed compiles, and a removal of some entries does not") {
  const TemporaryDirectory folder;
  Store store(folder.path(), nullptr);
  REQUIRE(store.publish(key, sample_entry()));
  REQUIRE(!store.keep_failed("1.cu", "source").empty());
  REQUIRE(!store.keep_failed("2.cu", "source").empty());
  overwrite(folder.path() + "/failed/notes.txt", "mine");
  CHECK(store.statistics().sources == 2);
  CHECK(store.remove([](const StoredFile&) { return true; }).sources == 0);
  CHECK(store.statistics().sources == 2);
  const StoreStatistics removed = store.clear();
  CHECK(removed.sources == 2);
  CHECK(removed.failed == 0);
  CHECK(store.statistics().sources == 0);
  CHECK(fs::exists(folder.path() + "/failed/notes.txt"));
}

TEST_CASE("what is unwanted is removed, and what cannot be listed is said") {
  const TemporaryDirectory folder;
  Store store(folder.path() + "/cache", nullptr);
  CHECK(store.unreadable().empty());  // it does not exist, so it holds nothing
  const Key other{0x99, 1};
  REQUIRE(store.publish(key, sample_entry()));
  REQUIRE(store.publish(other, sample_entry()));
  CHECK(store.unreadable().empty());
  const StoreStatistics removed = store.remove([&](const StoredFile& file) { return file.key == key; });
  CHECK(removed.entries == 1);
  CHECK(removed.bytes > 0);
  CHECK(!store.load(key));
  CHECK(store.load(other) == sample_entry());
  folder.write("file", "");
  CHECK_THAT(Store(folder.file("file"), nullptr).unreadable(), Catch::Contains("file"));
  fs::remove_all(folder.path() + "/cache/v1");
  folder.write("cache/v1", "");
  CHECK_THAT(store.unreadable(), Catch::Contains("v1"));
}

TEST_CASE("clear does not leave the directory through a link in it") {
  for (const char* name : {"v1", "v1/01", "quarantine", "failed", "locks"}) {
    INFO(name);
    const TemporaryDirectory folder;
    const TemporaryDirectory elsewhere;
    Store store(folder.path(), nullptr);
    Store other(elsewhere.path(), nullptr);
    REQUIRE(other.publish(key, sample_entry()));
    fs::create_directory(elsewhere.path() + "/quarantine");
    fs::create_directory(elsewhere.path() + "/locks");
    REQUIRE(!other.keep_failed("1.cu", "mine").empty());
    overwrite(elsewhere.path() + "/quarantine/" + key.hex() + ".kce", "mine");
    overwrite(elsewhere.path() + "/locks/" + key.hex(), "mine");
    fs::create_directories(fs::path(folder.path() + "/" + name).parent_path());
    fs::create_directory_symlink(elsewhere.path() + "/" + name, folder.path() + "/" + name);
    overwrite(elsewhere.path() + "/database", "mine");
    fs::create_symlink(elsewhere.path() + "/database", folder.path() + "/index.sqlite");
    const StoreStatistics removed = store.clear();
    CHECK(removed.entries + removed.quarantined + removed.sources + removed.temporaries == 0);
    CHECK(other.load(key) == sample_entry());
    CHECK(fs::exists(elsewhere.path() + "/quarantine/" + key.hex() + ".kce"));
    CHECK(fs::exists(elsewhere.path() + "/failed/1.cu"));
    CHECK(fs::exists(elsewhere.path() + "/locks/" + key.hex()));
    CHECK(fs::exists(elsewhere.path() + "/database"));
  }
}

TEST_CASE("nothing the store opens stays open") {
  const TemporaryDirectory folder;
  const auto open_descriptors = [] {
    return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator());
  };
  const auto before = open_descriptors();
  {
    Store store(folder.path(), nullptr);
    for (int round = 0; round < 3; ++round) {
      store.publish(key, sample_entry());
      CHECK(store.load(key));
      overwrite(store.path_of(key), "garbage");
      CHECK(!store.load(key));
      fs::create_directory(store.path_of(key));
      CHECK(!store.load(key));
      CHECK(!store.load({9, 9}));
      store.clear();
      CHECK(open_descriptors() == before);
    }
  }
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
  setenv("XDG_CACHE_HOME", "relative", 1);
  CHECK(default_directory() == "/c/.cache/kerncast");
  setenv("HOME", "relative", 1);
  CHECK(default_directory().empty());
  setenv("HOME", "", 1);
  CHECK(default_directory().empty());
  unsetenv("HOME");
  CHECK(default_directory().empty());
  setenv("KERNCAST_CACHE_DIR", "here", 1);
  CHECK(default_directory() == "here");
  unsetenv("KERNCAST_CACHE_DIR");
  setenv("HOME", home.c_str(), 1);
}
