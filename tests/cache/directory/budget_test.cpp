// These cases say which entries leave a directory that exceeds its budget, and which never do.
#include "cache/directory/budget.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <fstream>

#include "cache/cache.hpp"
#include "tests/cache/child_process.hpp"
#include "tests/cache/sample.hpp"

using namespace kerncast::cache;
namespace fs = std::filesystem;

namespace {

struct Fixture {
  Fixture() : store(folder.path(), nullptr) {}
  [[nodiscard]] Folder root() const { return Folder::open(folder.path()); }
  /// Publishes entries 0 to count - 1. Entry 0 is the least recently used.
  void fill(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      REQUIRE(store.publish(sample_key(i), sample_entry(std::to_string(i))));
      set_used(i, std::chrono::minutes(2 * (count - i)));
    }
  }
  void set_used(std::uint64_t i, std::chrono::minutes ago) const {
    fs::last_write_time(store.path_of(sample_key(i)), fs::file_time_type::clock::now() - ago);
  }
  [[nodiscard]] bool has(std::uint64_t i) const { return fs::exists(store.path_of(sample_key(i))); }
  [[nodiscard]] CacheOptions options(std::uint64_t bytes, std::uint64_t entries) const {
    CacheOptions out;
    out.directory = folder.path();
    out.budget = {bytes, entries};
    return out;
  }

  TemporaryDirectory folder;
  Store store;
};

}  // namespace

TEST_CASE_METHOD(Fixture, "the least recently used go first, down to seven eighths") {
  fill(20);
  const TrimResult result = trim(root(), {0, 16}, "");
  CHECK(result.ran);
  CHECK(result.entries == 14);
  CHECK(result.evicted == 6);
  for (std::uint64_t i = 0; i < 20; ++i) {
    INFO(i);
    CHECK(has(i) == (i >= 6));
  }
  CHECK(trim(root(), {0, 16}, "").evicted == 0);
}

TEST_CASE_METHOD(Fixture, "bytes are kept within their budget too") {
  fill(20);
  const std::uint64_t total = store.statistics().bytes;
  const TrimResult result = trim(root(), {total / 2, 0}, "");
  CHECK(result.bytes <= total / 2 - total / 16 + 1);
  CHECK(result.bytes == store.statistics().bytes);
  CHECK(result.evicted_bytes == total - result.bytes);
  CHECK(!has(0));
  CHECK(has(19));
}

TEST_CASE_METHOD(Fixture, "within its budget, or without one, nothing goes") {
  fill(5);
  CHECK(trim(root(), {std::uint64_t{1} << 30, 5}, "").evicted == 0);
  CHECK(trim(root(), {0, 0}, "").evicted == 0);
  CHECK(store.statistics().entries == 5);
}

TEST_CASE_METHOD(Fixture, "a hit stamps an entry, so that it outlives others") {
  fill(10);
  set_used(0, std::chrono::hours(100));
  set_used(1, std::chrono::hours(90));
  REQUIRE(store.load(sample_key(0)));
  static_cast<void>(trim(root(), {0, 8}, ""));
  CHECK(has(0));
  CHECK(!has(1));
}

TEST_CASE_METHOD(Fixture, "a stamp is not set anew within the hour") {
  fill(1);
  set_used(0, std::chrono::minutes(50));
  const auto before = fs::last_write_time(store.path_of(sample_key(0)));
  REQUIRE(store.load(sample_key(0)));
  CHECK(fs::last_write_time(store.path_of(sample_key(0))) == before);
  set_used(0, std::chrono::minutes(70));
  REQUIRE(store.load(sample_key(0)));
  CHECK(fs::last_write_time(store.path_of(sample_key(0))) > before);
}

TEST_CASE_METHOD(Fixture, "what another process uses stays, whatever the budget") {
  fill(10);
  int ready[2];
  REQUIRE(pipe(ready) == 0);
  const pid_t child = start_child([&] {
    Cache cache(options(0, 0), nullptr);
    const bool loaded = cache.load(sample_key(0)) && cache.load(sample_key(3));
    static_cast<void>(!write(ready[1], loaded ? "y" : "n", 1));
    return pause();
  });
  char byte = 0;
  REQUIRE(read(ready[0], &byte, 1) == 1);
  REQUIRE(byte == 'y');
  TrimResult result = trim(root(), {0, 1}, "");
  CHECK(result.entries == 2);
  CHECK(has(0));
  CHECK(has(3));
  kill(child, SIGKILL);
  exit_code(child);
  result = trim(root(), {0, 1}, "");
  CHECK(result.entries == 1);
}

TEST_CASE_METHOD(Fixture, "what this process alone uses may go") {
  fill(10);
  Cache cache(options(0, 4), nullptr);
  for (std::uint64_t i = 0; i < 10; ++i) {
    REQUIRE(cache.load(sample_key(i)));
  }
  REQUIRE(cache.publish(sample_key(10), sample_entry()));
  CHECK(store.statistics().entries <= 4);
  CHECK(has(10));
  CHECK(cache.counters().evicted == 7);
  CHECK(cache.load(sample_key(0)).layer == Layer::memory);
}

TEST_CASE_METHOD(Fixture, "a cache that publishes stays about its budget") {
  Cache cache(options(0, 64), nullptr);
  for (std::uint64_t i = 0; i < 300; ++i) {
    REQUIRE(cache.publish(sample_key(i), sample_entry()));
    CHECK(store.statistics().entries <= 64 + 2);
  }
  CHECK(store.statistics().entries >= 56);
  CHECK(cache.counters().evicted == 300 - store.statistics().entries);
}

TEST_CASE("trims are few while a directory fills") {
  const Budget budget{std::uint64_t{1} << 30, 0};
  TrimSchedule schedule(budget);
  TrimResult state;
  state.ran = true;
  int trims = 0;
  for (int i = 0; i < 10'000; ++i) {
    state.bytes += 100'000;
    if (schedule.published(100'000)) {
      ++trims;
      schedule.trimmed(state);
    }
  }
  CHECK(trims > 1);
  CHECK(trims < 80);
}

TEST_CASE_METHOD(Fixture, "one process trims at a time") {
  fill(10);
  fs::create_directories(folder.path() + "/locks");
  const int other = open((folder.path() + "/locks/trim").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  REQUIRE(flock(other, LOCK_EX | LOCK_NB) == 0);
  CHECK(!trim(root(), {0, 1}, "").ran);
  CHECK(store.statistics().entries == 10);
  close(other);
  CHECK(trim(root(), {0, 1}, "").ran);
}

TEST_CASE_METHOD(Fixture, "dead temporaries and what other versions left are collected, nothing else") {
  fill(1);
  const auto old_file = [&](const std::string& name, std::chrono::hours age) {
    const fs::path path = folder.path() + "/" + name;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << "left";
    fs::last_write_time(path, fs::file_time_type::clock::now() - age);
    return path.string();
  };
  const std::string digits(30, '0');
  const std::chrono::hours month(30 * 24);
  const std::string gone[] = {old_file("v0/ab/" + digits + ".kce", month),
                              old_file("v2/cd/" + digits + ".kce", month), old_file("v1/ab/.tmp-1-1", month),
                              old_file("v2/cd/.tmp-1-1", month)};
  const std::string kept[] = {old_file("v2/ab/" + digits + ".kce", std::chrono::hours(24)),
                              old_file("v0/ef/notes.txt", month), old_file("versions/ab/x.kce", month),
                              old_file("v/ab/" + digits + ".kce", month)};
  const TrimResult result = trim(root(), {0, 0}, "");
  CHECK(result.collected == std::size(gone));
  for (const std::string& path : gone) {
    INFO(path);
    CHECK(!fs::exists(path));
  }
  for (const std::string& path : kept) {
    INFO(path);
    CHECK(fs::exists(path));
  }
  CHECK(!fs::exists(folder.path() + "/v2/cd"));
  CHECK(has(0));
}

TEST_CASE_METHOD(Fixture, "an eviction leaves the directory through no link") {
  const TemporaryDirectory elsewhere;
  Store other(elsewhere.path(), nullptr);
  REQUIRE(other.publish(sample_key(1), sample_entry()));
  fs::last_write_time(other.path_of(sample_key(1)),
                      fs::file_time_type::clock::now() - std::chrono::hours(1000));
  fs::create_directory_symlink(elsewhere.path() + "/v1", folder.path() + "/v1");
  fs::create_directory_symlink(elsewhere.path() + "/v1", folder.path() + "/v0");
  static_cast<void>(trim(root(), {1, 1}, ""));
  CHECK(other.load(sample_key(1)));
}

TEST_CASE("amounts are read with their units") {
  std::uint64_t amount = 7;
  CHECK((parse_amount("2G", amount) && amount == std::uint64_t{2} << 30));
  CHECK((parse_amount("512M", amount) && amount == 512U << 20));
  CHECK((parse_amount("3K", amount) && amount == 3072));
  CHECK((parse_amount("0", amount) && amount == 0));
  CHECK((parse_amount("18446744073709551615", amount) && amount == ~std::uint64_t{0}));
  amount = 7;
  for (const char* text :
       {"", "G", "2g", "2 G", "-1", "2GB", "1.5G", "18446744073709551616", "99999999999G"}) {
    INFO(text);
    CHECK(!parse_amount(text, amount));
  }
  CHECK(amount == 7);
}
