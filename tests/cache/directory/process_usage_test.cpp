// The usage files of processes, and what becomes of them when the processes end.
#include "cache/directory/process_usage.hpp"

#include <signal.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <fstream>
#include <limits>
#include <memory>
#include <thread>

#include "cache/cache.hpp"
#include "cache/posix/file_lock.hpp"
#include "tests/cache/child_process.hpp"
#include "tests/cache/sample.hpp"

using namespace kerncast::cache;
using kerncast::CacheCounters;
namespace fs = std::filesystem;

namespace {

struct Fixture {
  [[nodiscard]] Folder root() const { return Folder::open(folder.path()); }
  [[nodiscard]] CacheCounters all() const { return counters_of(root()); }
  [[nodiscard]] std::size_t files() const {
    std::error_code error;
    const fs::directory_iterator begin(folder.path() + "/sessions", error);
    return error ? 0 : static_cast<std::size_t>(std::distance(begin, fs::directory_iterator()));
  }
  [[nodiscard]] CacheOptions options() const {
    CacheOptions out;
    out.directory = folder.path();
    return out;
  }
  TemporaryDirectory folder;
};

CacheCounters hits(std::uint64_t count) {
  CacheCounters out;
  out.directory_hits = count;
  return out;
}

}  // namespace

TEST_CASE("counters are read as they were written, and damaged ones are not") {
  CacheCounters counters;
  std::uint64_t value = 1;
  for (const CounterField& field : counter_fields) {
    counters.*field.value = value *= 7;
  }
  const std::string bytes = serialise_counters(counters);
  std::size_t size = 0;
  const auto read = parse_counters(bytes + "more", &size);
  REQUIRE(read);
  CHECK(size == bytes.size());
  for (const CounterField& field : counter_fields) {
    CHECK((*read).*field.value == counters.*field.value);
  }
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    std::string changed = bytes;
    changed[i] = static_cast<char>(changed[i] ^ 0x10);
    CHECK(!parse_counters(changed));
    CHECK(!parse_counters(bytes.substr(0, i)));
  }
}

TEST_CASE("threads lose no count") {
  Counters counters;
  std::vector<std::thread> threads;
  threads.reserve(40);
  for (int t = 0; t < 40; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) {
        counters.add(&CacheCounters::misses);
        counters.add(&CacheCounters::wait_us, 3);
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  CHECK(counters.sum().misses == 40'000);
  CHECK(counters.sum().wait_us == 120'000);
  CHECK(counters.sum().memory_hits == 0);
}

TEST_CASE_METHOD(Fixture, "a living process's keys are in use, an ended one's are not") {
  int ready[2];
  REQUIRE(pipe(ready) == 0);
  const pid_t child = start_child([&] {
    ProcessUsage session(folder.path());
    session.used({1, 1}, [] { return hits(1); });
    session.used({2, 2}, [] { return hits(2); });
    session.used({2, 2}, [] { return hits(3); });
    static_cast<void>(!write(ready[1], "y", 1));
    return pause();
  });
  char byte = 0;
  REQUIRE(read(ready[0], &byte, 1) == 1);
  ProcessUsage mine(folder.path());
  mine.used({3, 3}, [] { return hits(10); });
  auto in_use = keys_in_use(root(), mine.name());
  CHECK(in_use.size() == 2);
  CHECK(in_use.contains({1, 1}));
  CHECK(in_use.contains({2, 2}));
  CHECK(all().directory_hits == 12);
  collect_usage(root());
  CHECK(files() == 2);
  CHECK(keys_in_use(root(), "").size() == 3);

  kill(child, SIGKILL);
  exit_code(child);
  CHECK(keys_in_use(root(), mine.name()).empty());
  CHECK(all().directory_hits == 12);
  collect_usage(root());
  CHECK(files() == 1);
  CHECK(all().directory_hits == 12);
}

TEST_CASE_METHOD(Fixture, "an orderly end adds the counts up and leaves no file") {
  for (std::uint64_t round = 1; round <= 3; ++round) {
    {
      ProcessUsage session(folder.path());
      session.used({round, 1}, [] { return hits(0); });
      session.count(hits(5));
    }
    CHECK(files() == 0);
    CHECK(all().directory_hits == 5 * round);
  }
}

TEST_CASE_METHOD(Fixture, "a forked child counts what it did, not what its parent had done") {
  ProcessUsage session(folder.path());
  session.used({1, 1}, [] { return hits(4); });
  CHECK(run_child([&] {
          session.used({2, 2}, [] { return hits(4); });
          session.count(hits(7));
          return keys_in_use(root(), session.name()).contains({1, 1}) ? 0 : 1;
        }) == 0);
  CHECK(all().directory_hits == 7);
  CHECK(keys_in_use(root(), session.name()).empty());
}

TEST_CASE_METHOD(Fixture, "damaged files of sessions and counters are passed over") {
  fs::create_directories(folder.path() + "/sessions");
  std::ofstream(folder.path() + "/sessions/1-1-1.kcs") << "garbage";
  std::ofstream(folder.path() + "/sessions/1-1-2.kcs") << "";
  std::ofstream(folder.path() + "/sessions/1-1-3.kcs") << serialise_counters(hits(2)) << "odd";
  std::ofstream(folder.path() + "/sessions/notes.txt") << "mine";
  std::ofstream(folder.path() + "/counters") << "garbage";
  CHECK(all().directory_hits == 2);
  CHECK(keys_in_use(root(), "").empty());
  collect_usage(root());
  CHECK(all().directory_hits == 2);
  CHECK(files() == 1);
}

TEST_CASE_METHOD(Fixture, "a session file that is larger than any is collected with its counts") {
  fs::create_directories(folder.path() + "/sessions");
  for (const char* name : {"1-1-1", "1-1-2"}) {
    const std::string path = folder.path() + "/sessions/" + name + ".kcs";
    std::ofstream(path) << (std::string(name) == "1-1-1" ? serialise_counters(hits(3)) : "garbage");
    fs::resize_file(path, ProcessUsage::most_bytes + 1);
  }
  fs::create_directory(folder.path() + "/sessions/1-1-3.kcs");
  collect_usage(root());
  CHECK(all().directory_hits == 3);
  CHECK(files() == 1);
}

TEST_CASE_METHOD(Fixture, "a session file grows to its limit, and what it counts goes on") {
  const std::uint64_t limit = serialise_counters({}).size() + 16 * 10 + 8;
  ProcessUsage session(folder.path(), Trust::mine, limit);
  for (std::uint64_t i = 1; i <= 50; ++i) {
    session.used({i, i}, [&] { return hits(i); });
  }
  CHECK(fs::file_size(folder.path() + "/sessions/" + session.name()) == limit - 8);
  CHECK(keys_in_use(root(), "").size() == 10);
  CHECK(all().directory_hits == 50);
  CHECK(run_child([&] {
          session.used({99, 99}, [] { return hits(50); });
          return fs::file_size(folder.path() + "/sessions/" + session.name()) == limit - 8 ? 0 : 1;
        }) == 0);
}

TEST_CASE_METHOD(Fixture, "a cache writes down what it counts") {
  {
    Cache cache(options(), nullptr);
    CHECK(!cache.load({1, 1}));
    cache.count_compile(1500);
    REQUIRE(cache.publish({1, 1}, sample_entry()));
    CHECK(all().compiles == 1);
    CHECK(all().published == 1);
    CHECK(cache.load({1, 1}));
  }
  Cache cache(options(), nullptr);
  CHECK(cache.load({1, 1}));
  const CacheCounters sum = all();
  CHECK(sum.misses == 1);
  CHECK(sum.memory_hits == 1);
  CHECK(sum.directory_hits == 1);
  CHECK(sum.compile_us == 1500);
  CHECK(sum.bytes_read == sample_entry().cubin.size() + sample_entry().ptx.size());
}

TEST_CASE("where nothing can be written a session costs nothing") {
  ProcessUsage session("/proc/kerncast");
  session.used({1, 1}, [] { return hits(1); });
  session.count(hits(2));
  CHECK(session.name().empty());
}

TEST_CASE_METHOD(Fixture, "counts too large for a sum stay the largest, and none falls below zero") {
  constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  fs::create_directories(folder.path() + "/sessions");
  std::ofstream(folder.path() + "/counters") << serialise_counters(hits(most - 1));
  std::ofstream(folder.path() + "/sessions/1-1-1.kcs") << serialise_counters(hits(5));
  CHECK(all().directory_hits == most);
  collect_usage(root());
  CHECK(all().directory_hits == most);
  CHECK((hits(2) - hits(3)).directory_hits == 0);
}

TEST_CASE_METHOD(Fixture,
                 "a session file belongs to whoever holds its lock, whatever process id is in its name") {
  fs::create_directories(folder.path() + "/sessions");
  const std::string name = std::to_string(::getpid()) + "-0-1.kcs";
  std::ofstream(folder.path() + "/sessions/" + name) << serialise_counters(hits(2)) << std::string(16, '\1');
  CHECK(keys_in_use(root(), "").empty());
  collect_usage(root());
  CHECK(files() == 0);
  CHECK(all().directory_hits == 2);
}

TEST_CASE_METHOD(Fixture, "a sum waits while another process moves counts from one file to another") {
  fs::create_directories(folder.path() + "/sessions");
  const std::string session = folder.path() + "/sessions/1-1-1.kcs";
  std::ofstream(session) << serialise_counters(hits(5));
  auto moving = std::make_unique<FileLock>(root().make_child("locks"), "counters");
  REQUIRE(moving->held());
  std::ofstream(folder.path() + "/counters") << serialise_counters(hits(5));
  std::thread mover([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    fs::remove(session);
    moving.reset();
  });
  CHECK(all().directory_hits == 5);
  mover.join();
}
