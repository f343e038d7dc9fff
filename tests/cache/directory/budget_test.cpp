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
#include <system_error>

#include "cache/cache.hpp"
#include "cache/posix/descriptor.hpp"
#include "tests/cache/child_process.hpp"
#include "tests/cache/every_stop.hpp"
#include "tests/cache/sample.hpp"
#include "tests/cache/traced_process.hpp"

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
  /// Gives the file a time in any year.
  static void set_seconds(const std::string& path, std::int64_t seconds) {
    const timespec times[] = {{0, UTIME_OMIT}, {seconds, 0}};
    REQUIRE(utimensat(AT_FDCWD, path.c_str(), times, 0) == 0);
  }
  /// Starts a process that uses the entries 0 to count - 1 until it is killed.
  [[nodiscard]] pid_t start_user(std::uint64_t count) const {
    int ready[2];
    REQUIRE(pipe(ready) == 0);
    const pid_t child = start_child([&] {
      Cache cache(options(0, 0), nullptr);
      bool loaded = true;
      for (std::uint64_t i = 0; i < count; ++i) {
        loaded = cache.load(sample_key(i)) && loaded;
      }
      static_cast<void>(!write(ready[1], loaded ? "y" : "n", 1));
      return pause();
    });
    char byte = 0;
    REQUIRE(read(ready[0], &byte, 1) == 1);
    REQUIRE(byte == 'y');
    close(ready[0]);
    close(ready[1]);
    return child;
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

TEST_CASE("a trim that is killed anywhere is finished by the next process, even if that only reads") {
  at_every_stop(0, [](const Harm& harm) {
    const Fixture place;
    constexpr std::uint64_t count = 4;
    for (std::uint64_t i = 0; i < count; ++i) {
      REQUIRE(Store(place.folder.path(), nullptr).publish(sample_key(i), sample_entry()));
      place.set_used(i, std::chrono::minutes(2 * (count - i)));
    }
    const TracedOutcome outcome =
        run_traced([&] { return trim(place.root(), {0, 2}, "").ran ? 0 : 1; }, harm);
    {
      Cache reader(place.options(0, 2), nullptr);
      REQUIRE(reader.load(sample_key(count - 1)));
      // A trim that was killed before it began left nothing that a reader could know.
      const std::uint64_t left = place.store.statistics().entries;
      CHECK((left <= 2 || left == count));
      CHECK((left <= 2 || !outcome.reached || harm.at < 40));
    }
    Cache writer(place.options(0, 2), nullptr);
    REQUIRE(writer.publish(sample_key(count), sample_entry()));
    CHECK(place.store.statistics().entries <= 2);
    CHECK(!trim_is_due(place.root()));
    return outcome;
  });
}

TEST_CASE_METHOD(Fixture, "a trim does a bounded amount of work, and the next one goes on") {
  fill(40);
  std::uint64_t left = 40;
  while (left > 4) {
    const TrimResult result = trim(root(), {0, 4}, "", {no_limit, 5});
    CHECK(result.evicted <= 5);
    CHECK(result.entries == left - result.evicted);
    REQUIRE(result.entries < left);
    left = result.entries;
    CHECK(result.cut_short == trim_is_due(root()));
  }
  CHECK(!trim_is_due(root()));
  CHECK(has(39));
}

TEST_CASE_METHOD(Fixture, "of a huge directory a part is listed, which stands for the rest") {
  fill(120);
  for (int round = 0; round < 60; ++round) {
    const TrimResult result = trim(root(), {0, 16}, "", {10, no_limit});
    CHECK(result.evicted <= 16);
  }
  const std::uint64_t left = store.statistics().entries;
  CHECK(left >= 8);
  CHECK(left <= 32);
  const TrimResult whole = trim(root(), {0, 16}, "");
  CHECK(whole.entries <= 16);
  CHECK(!trim_is_due(root()));
}

TEST_CASE_METHOD(Fixture, "a writer goes on at its next publish with what its last trim left") {
  const Budget budget{0, 320};
  TrimSchedule schedule(budget);
  REQUIRE(schedule.published(1));
  TrimResult result;
  result.ran = true;
  result.entries = 20;
  result.cut_short = true;
  schedule.trimmed(result);
  CHECK(schedule.published(1));
  result.cut_short = false;
  schedule.trimmed(result);
  CHECK(!schedule.published(0));
}

TEST_CASE_METHOD(Fixture, "a directory that its users keep over budget is trimmed when they have ended") {
  fill(20);
  SECTION("the last of them ends") {
    {
      Cache user(options(0, 4), nullptr);
      for (std::uint64_t i = 0; i < 20; ++i) {
        REQUIRE(user.load(sample_key(i)));
      }
      Cache writer(options(0, 4), nullptr);
      REQUIRE(writer.publish(sample_key(20), sample_entry()));
      CHECK(store.statistics().entries > 16);
      CHECK(trim_is_due(root()));
    }
    CHECK(store.statistics().entries <= 4);
  }
  SECTION("all are killed, and a process comes that only reads") {
    const pid_t user = start_user(20);
    CHECK(trim(root(), {0, 4}, "").entries == 20);
    kill(user, SIGKILL);
    exit_code(user);
    Cache reader(options(0, 4), nullptr);
    REQUIRE(reader.load(sample_key(19)));
    CHECK(store.statistics().entries <= 4);
    CHECK(has(19));
  }
  CHECK(!trim_is_due(root()));
}

TEST_CASE_METHOD(Fixture, "a process that is stopped while it trims stops no other for long") {
  fill(10);
  fs::create_directories(folder.path() + "/locks");
  const std::string path = folder.path() + "/locks/trim";
  const Descriptor other(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  REQUIRE(flock(other.get(), LOCK_EX | LOCK_NB) == 0);
  const auto minutes = GENERATE(-2, 2);
  CHECK(!trim(root(), {0, 4}, "").ran);
  fs::last_write_time(path, fs::file_time_type::clock::now() + std::chrono::minutes(minutes));
  CHECK(trim(root(), {0, 4}, "").ran);
  CHECK(store.statistics().entries <= 4);
}

TEST_CASE_METHOD(Fixture,
                 "a date far ahead makes no entry immortal, and a clock that was set back stops no trim") {
  fill(10);
  constexpr std::int64_t year_2100 = 4'102'444'800;
  SECTION("an entry from the year 2100 goes first, unless it is used") {
    set_seconds(store.path_of(sample_key(9)), year_2100);
    set_seconds(store.path_of(sample_key(8)), year_2100);
    REQUIRE(store.load(sample_key(8)));
    static_cast<void>(trim(root(), {0, 9}, ""));
    CHECK(has(8));
    CHECK(!has(9));
    CHECK(has(2));
  }
  SECTION("entries from before the clock was set back go before those of now, the oldest first") {
    for (std::uint64_t i = 0; i < 8; ++i) {
      set_seconds(store.path_of(sample_key(i)), year_2100 + static_cast<std::int64_t>(i) * 10'000);
    }
    CHECK(trim(root(), {0, 5}, "").entries == 5);
    for (std::uint64_t i = 0; i < 10; ++i) {
      INFO(i);
      CHECK(has(i) == (i >= 5));
    }
  }
  SECTION("years that nanoseconds cannot express are dates like others") {
    const std::int64_t years[] = {std::int64_t{1} << 62, std::int64_t{1} << 40, -(std::int64_t{1} << 40),
                                  -(std::int64_t{1} << 62)};
    for (std::uint64_t i = 0; i < 4; ++i) {
      set_seconds(store.path_of(sample_key(i)), years[i]);
    }
    CHECK(store.list().size() == 10);
    CHECK(trim(root(), {0, 6}, "").entries <= 6);
    for (std::uint64_t i = 0; i < 10; ++i) {
      INFO(i);
      CHECK(has(i) == (i >= 4));
    }
  }
}

TEST_CASE_METHOD(Fixture, "a size that no entry has is not believed") {
  fill(10);
  for (const std::uint64_t i : {9U, 8U, 7U}) {
    fs::resize_file(store.path_of(sample_key(i)), std::uintmax_t{1} << 40);
  }
  const TrimResult result = trim(root(), {std::uint64_t{1} << 20, 0}, "");
  CHECK(result.entries == 7);
  for (std::uint64_t i = 0; i < 7; ++i) {
    INFO(i);
    CHECK(has(i));
  }
}

TEST_CASE("sizes whose sum no number holds are the largest number") {
  const TemporaryDirectory folder("/dev/shm");
  Store store(folder.path(), nullptr);
  for (std::uint64_t i = 1; i <= 5; ++i) {
    REQUIRE(store.publish(sample_key(i), sample_entry()));
    std::error_code error;
    fs::resize_file(store.path_of(sample_key(i)), std::uintmax_t{1} << 62, error);
    if (error) {
      WARN("skipped: files of this file system are smaller");
      return;
    }
  }
  constexpr std::uint64_t most = ~std::uint64_t{0};
  CHECK(store.statistics().bytes == most);
  const Folder root = Folder::open(folder.path());
  CHECK(trim(root, {0, 0}, "").bytes == most);
  // Three of the folders hold less than that, but stand for all five.
  const TrimResult part = trim(root, {0, 0}, "", {3, 100});
  CHECK(part.bytes == most);
  CHECK(part.entries == 5);
  CHECK(store.remove([](const StoredFile&) { return true; }).bytes == most);
}

TEST_CASE_METHOD(Fixture, "what dead writers left is collected whatever its date") {
  fill(1);
  constexpr std::int64_t year_2100 = 4'102'444'800;
  const std::string digits(30, '0');
  for (const std::string& name : {std::string("v1/00/.tmp-1-1"), "v0/ab/" + digits + ".kce"}) {
    const std::string path = folder.path() + '/' + name;
    fs::create_directories(fs::path(path).parent_path());
    std::ofstream(path) << "left";
    set_seconds(path, year_2100);
  }
  CHECK(trim(root(), {0, 0}, "").collected == 2);
}

TEST_CASE_METHOD(Fixture, "room is made at once, or nothing is removed") {
  fill(10);
  const std::uint64_t each = store.statistics().bytes / 10;
  const Budget budget{12 * each, 12};
  const auto ask = [&](const Room& room, RoomUse use) { return make_room(root(), budget, "", room, use); };
  CHECK(ask({each, 1, {}}, RoomUse::make).trimmed.evicted == 0);
  CHECK(ask({3 * each, 3, {}}, RoomUse::only_ask).fits);
  CHECK(store.statistics().entries == 10);
  RoomResult result = ask({11 * each, 11, {sample_key(0), sample_key(1)}}, RoomUse::make);
  CHECK(!result.fits);
  CHECK(result.held.entries == 2);
  CHECK(store.statistics().entries == 10);
  const pid_t user = start_user(3);
  CHECK(!ask({each, 10, {}}, RoomUse::make).fits);
  CHECK(ask({9 * each, 9, {}}, RoomUse::make).fits);
  CHECK(store.statistics().entries == 3);
  CHECK((has(0) && has(1) && has(2)));
  kill(user, SIGKILL);
  exit_code(user);
}

TEST_CASE_METHOD(Fixture, "whatever writes through a store keeps its budget") {
  {
    Store writer(folder.path(), nullptr, Trust::mine, Budget{0, 16});
    for (std::uint64_t i = 0; i < 100; ++i) {
      REQUIRE((i % 2 == 0 ? writer.publish(sample_key(i), sample_entry())
                          : writer.promote(sample_key(i), sample_entry())));
      REQUIRE(store.statistics().entries <= 17);
    }
    CHECK(writer.counters().evicted >= 83);
  }
  CHECK(store.statistics().entries <= 16);
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
