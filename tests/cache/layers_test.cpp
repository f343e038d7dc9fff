// The layer that serves a key, and the copies that a hit makes in the layers above.
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <fstream>
#include <thread>

#include "cache/cache.hpp"
#include "cache/posix/file.hpp"
#include "tests/cache/child_process.hpp"
#include "tests/cache/sample.hpp"

using namespace kerncast::cache;
using kerncast::CacheCounters;
namespace fs = std::filesystem;

namespace {

const Key key{0x0123456789abcdef, 42};

struct Fixture {
  Fixture() {
    fs::create_directory(folder.path() + "/first");
    fs::create_directory(folder.path() + "/second");
  }
  [[nodiscard]] CacheOptions options() const {
    CacheOptions out;
    out.directory = folder.path() + "/mine";
    out.read_only = {folder.path() + "/first", folder.path() + "/second"};
    return out;
  }
  [[nodiscard]] WarningSink sink() {
    return [this](std::string_view text) { warnings.emplace_back(text); };
  }
  void fill(const std::string& name, const Entry& entry) const {
    Store store(folder.path() + "/" + name, nullptr);
    REQUIRE(store.publish(key, entry));
  }

  TemporaryDirectory folder;
  std::vector<std::string> warnings;
};

}  // namespace

TEST_CASE_METHOD(Fixture,
                 "what is published is served from memory, and from the directory once that is gone") {
  Cache cache(options(), sink());
  CHECK(!cache.load(key));
  REQUIRE(cache.publish(key, sample_entry()));
  const Hit hit = cache.load(key);
  CHECK(hit.layer == Layer::memory);
  CHECK(*hit.entry == sample_entry());

  Cache other(options(), sink());
  CHECK(other.load(key).layer == Layer::directory);
  CHECK(other.load(key).layer == Layer::memory);
  fs::remove_all(folder.path() + "/mine");
  CHECK(*other.load(key).entry == sample_entry());
  CHECK(warnings.empty());
  const CacheCounters counted = other.counters();
  CHECK(counted.directory_hits == 1);
  CHECK(counted.memory_hits == 2);
  CHECK(counted.misses == 0);
  CHECK(cache.counters().misses == 1);
  CHECK(cache.counters().published == 1);
}

TEST_CASE_METHOD(Fixture, "without the memory cache, every hit comes from the directory") {
  CacheOptions without = options();
  without.memory_bytes = 0;
  Cache cache(without, sink());
  REQUIRE(cache.publish(key, sample_entry()));
  CHECK(cache.load(key).layer == Layer::directory);
  CHECK(cache.load(key).layer == Layer::directory);
}

TEST_CASE_METHOD(Fixture, "a full memory cache adds no more entries") {
  CacheOptions small = options();
  Entry entry = sample_entry();
  entry.cubin.assign(1000, 'c');
  small.memory_bytes = 2500;
  Cache cache(small, sink());
  for (std::uint64_t i = 0; i < 4; ++i) {
    REQUIRE(cache.publish({i, i}, entry));
  }
  for (std::uint64_t i = 0; i < 4; ++i) {
    const Hit hit = cache.load({i, i});
    CHECK(hit.layer == (i < 2 ? Layer::memory : Layer::directory));
    CHECK(*hit.entry == entry);
  }
}

TEST_CASE_METHOD(Fixture, "read-only layers are searched in order, and a hit is promoted") {
  fill("second", sample_entry("second"));
  {
    Cache cache(options(), sink());
    CHECK(cache.load(key).layer == Layer::read_only);
    CHECK(cache.load(key).layer == Layer::memory);
    CHECK(cache.counters().promoted == 1);
    CHECK(cache.counters().published == 0);
  }
  fill("first", sample_entry("first"));
  {
    Cache cache(options(), sink());
    const Hit hit = cache.load(key);
    CHECK(hit.layer == Layer::directory);
    CHECK(*hit.entry == sample_entry("second"));
  }
  fs::remove_all(folder.path() + "/mine");
  Cache cache(options(), sink());
  CHECK(*cache.load(key).entry == sample_entry("first"));
  CHECK(warnings.empty());
}

TEST_CASE_METHOD(Fixture, "a read-only layer is left as it was, whatever it holds") {
  fill("first", sample_entry());
  const std::string path = Store(folder.path() + "/first", nullptr).path_of(key);
  const std::string good = *read_file(path);
  for (const std::string& bytes : {good.substr(0, good.size() - 1), good + "x", std::string("garbage")}) {
    std::ofstream(path, std::ios::trunc) << bytes;
    const auto before = fs::last_write_time(path);
    warnings.clear();
    Cache cache(options(), sink());
    CHECK(!cache.load(key));
    CHECK(!cache.load(key));
    CHECK(warnings.size() == 1);
    CHECK(cache.counters().refused == 2);
    CHECK(cache.counters().quarantined == 0);
    CHECK(read_file(path) == bytes);
    CHECK(fs::last_write_time(path) == before);
    CHECK(!fs::exists(folder.path() + "/first/quarantine"));
  }
  CHECK(!fs::exists(folder.path() + "/mine/v1"));
}

TEST_CASE_METHOD(Fixture, "a bad entry of one layer is served by the next") {
  fill("first", sample_entry());
  fill("second", sample_entry("second"));
  const std::string path = Store(folder.path() + "/first", nullptr).path_of(key);
  std::ofstream(path, std::ios::trunc) << "garbage";
  Cache cache(options(), sink());
  CHECK(*cache.load(key).entry == sample_entry("second"));
}

TEST_CASE_METHOD(Fixture, "read-only layers serve where there is no directory of one's own, without a word") {
  fill("first", sample_entry());
  for (const std::string& directory : {std::string(), std::string("/proc/kerncast")}) {
    CacheOptions without = options();
    without.directory = directory;
    Cache cache(without, sink());
    CHECK(cache.load(key).layer == Layer::read_only);
    CHECK(cache.load(key).layer == Layer::memory);
    CHECK(cache.counters().promoted == 0);
  }
  CHECK(warnings.empty());
}

TEST_CASE_METHOD(Fixture, "a read-only layer that comes later is found then, and a miss before names it") {
  fs::remove(folder.path() + "/second");
  Cache cache(options(), sink());
  CHECK(!cache.load(key));
  CHECK(!cache.load(key));
  REQUIRE(warnings.size() == 1);
  CHECK_THAT(warnings[0], Catch::Contains(folder.path() + "/second") && Catch::Contains("No such file"));
  fill("second", sample_entry());
  CHECK(cache.load(key).layer == Layer::read_only);
}

TEST_CASE_METHOD(Fixture,
                 "what one user warmed serves another as a read-only layer, or a warning says why not") {
  if (geteuid() != 0) {
    return;  // only root can become another user
  }
  fill("first", sample_entry());
  REQUIRE(chmod(folder.path().c_str(), 0755) == 0);
  const auto of_another_user = [&] {
    CacheOptions theirs = options();
    theirs.directory = "";
    Cache cache(theirs, sink());
    return cache.load(key).layer == Layer::read_only;
  };
  constexpr uid_t somebody = 65534;
  CHECK(run_child([&] { return setuid(somebody) == 0 && of_another_user() && warnings.empty() ? 0 : 1; }) ==
        0);
  fs::permissions(folder.path() + "/first/v1", fs::perms::owner_all);
  CHECK(run_child([&] {
          return setuid(somebody) == 0 && !of_another_user() && warnings.size() == 1 &&
                         warnings[0].find("Permission denied") != std::string::npos
                     ? 0
                     : 1;
        }) == 0);
}

TEST_CASE_METHOD(Fixture, "an entry outlives the process if a lasting layer can be read back") {
  CacheOptions all = options();
  all.directory = "/proc/kerncast";
  fill("second", sample_entry());
  Cache cache(all, sink());
  CHECK(cache.load(key).layer == Layer::read_only);
  CHECK(cache.outlives_process(key, 2));
  CHECK_FALSE(cache.outlives_process(key, 1));  // the second layer is this process's alone
  CHECK_FALSE(cache.outlives_process({1, 2}, 2));
  CHECK(cache.publish({1, 2}, sample_entry()) == false);
  CHECK(cache.load({1, 2}).layer == Layer::memory);
  CHECK_FALSE(cache.outlives_process({1, 2}, 2));
  CHECK_THAT(cache.store().last_failure(), Catch::Contains("/proc/kerncast"));
  CHECK_THAT(cache.store().defect(), Catch::Contains("/proc/kerncast"));
  CHECK(Cache(options(), nullptr).store().defect().empty());
}

TEST_CASE_METHOD(Fixture, "what another process published is found without counting a miss") {
  Cache cache(options(), sink());
  CHECK(!cache.load_published(key));
  fill("mine", sample_entry());
  CHECK(cache.load_published(key).layer == Layer::directory);
  CHECK(cache.counters().misses == 0);
  CHECK(!cache.load({9, 9}, OnMiss::ignore));
  CHECK(cache.counters().misses == 0);
}

TEST_CASE_METHOD(Fixture, "threads find what others insert, whole") {
  Cache cache(options(), sink());
  constexpr std::uint64_t keys = 200;
  std::atomic<int> wrong{0};
  std::atomic<bool> done{false};
  std::vector<std::thread> readers;
  readers.reserve(4);
  for (int t = 0; t < 4; ++t) {
    readers.emplace_back([&] {
      while (!done) {
        for (std::uint64_t i = 0; i < keys; ++i) {
          const Hit hit = cache.load({i, 1}, OnMiss::ignore);
          wrong += hit && *hit.entry != sample_entry(std::to_string(i)) ? 1 : 0;
        }
      }
    });
  }
  for (std::uint64_t i = 0; i < keys; ++i) {
    cache.publish({i, 1}, sample_entry(std::to_string(i)));
  }
  done = true;
  for (std::thread& reader : readers) {
    reader.join();
  }
  CHECK(wrong == 0);
  for (std::uint64_t i = 0; i < keys; ++i) {
    CHECK(cache.load({i, 1}).layer == Layer::memory);
  }
}

TEST_CASE("layers come from the environment, in order") {
  setenv("KERNCAST_CACHE_DIR", "/a", 1);
  setenv("KERNCAST_CACHE_READONLY", ":/b::/c d:", 1);
  setenv("KERNCAST_CACHE_TRUST", "1", 1);
  setenv("KERNCAST_CACHE_OWNERS", "root,,4321", 1);
  CHECK(!options_from_environment().hostname);
  setenv("KERNCAST_CACHE_HOSTNAME", "1", 1);
  CacheOptions options = options_from_environment();
  CHECK(options.directory == "/a");
  CHECK(options.read_only == std::vector<std::string>{"/b", "/c d"});
  CHECK(options.trust_everyone);
  CHECK(options.hostname);
  unsetenv("KERNCAST_CACHE_HOSTNAME");
  CHECK(options.owners == std::vector<std::string>{"root", "4321"});
  unsetenv("KERNCAST_CACHE_OWNERS");
  unsetenv("KERNCAST_CACHE_READONLY");
  setenv("KERNCAST_CACHE_TRUST", "0", 1);
  options = options_from_environment();
  CHECK(options.read_only.empty());
  CHECK(!options.trust_everyone);
  unsetenv("KERNCAST_CACHE_DIR");
  unsetenv("KERNCAST_CACHE_TRUST");
}
