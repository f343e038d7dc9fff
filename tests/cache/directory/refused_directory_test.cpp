// A directory that is not trusted is not written to, and nothing is written through a link.
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <map>

#include "cache/cache.hpp"
#include "cache/directory/health.hpp"
#include "cache/directory/index.hpp"
#include "cache/process_lock.hpp"
#include "tests/cache/sample.hpp"
#include "tests/cache/tuning/tuned_sample.hpp"

using namespace kerncast::cache;
namespace fs = std::filesystem;

namespace {

const Key key{0x0123456789abcdef, 42};

struct Fixture {
  /// Every path below the folder, with its content.
  [[nodiscard]] std::map<std::string, std::string> everything() const {
    std::map<std::string, std::string> found;
    for (const auto& item : fs::recursive_directory_iterator(folder.path())) {
      const std::string path = item.path().string();
      found[path] = item.is_regular_file() ? folder.read(path.substr(folder.path().size() + 1)) : "";
    }
    return found;
  }
  /// Everything that the library does in a cache directory.
  void use() {
    CacheOptions options;
    options.directory = directory;
    options.budget.entries = 1;
    {
      Cache cache(options, nullptr);
      cache.publish(key, sample_entry());
      cache.publish({1, 2}, sample_entry("other"));
      static_cast<void>(cache.load(key));
      static_cast<void>(cache.store().keep_failed("0123456789abcdef.cu", "source"));
      static_cast<void>(cache.tuning().record({sample_record()}));
      static_cast<void>(cache.tuning().list());
      const ProcessLock lock(directory, key, 0);
      ProcessUsage usage(directory);
      usage.used(key, [] { return kerncast::CacheCounters{}; });
      static_cast<void>(list_entries(cache.store()));
      static_cast<void>(check_health(cache.store()));
      static_cast<void>(cache.store().defect());
    }
    static_cast<void>(Store(directory, nullptr).clear());
  }

  TemporaryDirectory folder;
  std::string directory = folder.path() + "/cache";
  std::string victim = folder.path() + "/victim";
};

}  // namespace

TEST_CASE_METHOD(Fixture, "nothing is written to a directory that is refused, and nothing is removed") {
  {
    Store store(directory, nullptr);
    REQUIRE(store.publish(key, sample_entry()));
  }
  fs::create_directory(victim);
  static_cast<void>(folder.write("victim/0123456789abcdef.cu", "precious"));
  for (const char* name : {"failed", "compilers.old"}) {
    fs::create_directory_symlink(victim, directory + "/" + name);
  }
  for (const mode_t mode : {mode_t{0777}, mode_t{0775}, mode_t{01777}}) {
    REQUIRE(::chmod(directory.c_str(), mode) == 0);
    const auto before = everything();
    use();
    CHECK(everything() == before);
  }
}

TEST_CASE_METHOD(Fixture, "nothing is written through links in a cache directory") {
  fs::create_directory(victim);
  fs::create_directory(directory);
  for (const char* name : {"v1", "failed", "locks", "sessions", "compilers", "quarantine"}) {
    fs::create_directory_symlink(victim, directory + "/" + name);
  }
  for (const char* name : {"counters", "index.sqlite", "tuning.sqlite", "tuning.good.sqlite", ".probe",
                           "tuning.sqlite-wal", "tuning.sqlite-journal", "index.sqlite-journal"}) {
    fs::create_symlink(victim + "/" + name, directory + "/" + name);
  }
  use();
  CHECK(fs::is_empty(victim));
}

TEST_CASE_METHOD(Fixture, "the source of a failed compile replaces a link and does not follow it") {
  static_cast<void>(folder.write("victim", "precious"));
  fs::create_directories(directory + "/failed");
  fs::create_symlink(victim, directory + "/failed/a.cu");
  Store store(directory, nullptr);
  CHECK(store.keep_failed("a.cu", "source") == directory + "/failed/a.cu");
  CHECK(folder.read("victim") == "precious");
  CHECK(folder.read("cache/failed/a.cu") == "source");
  fs::permissions(directory + "/failed", fs::perms(0777));
  CHECK(store.keep_failed("b.cu", "source").empty());
}
