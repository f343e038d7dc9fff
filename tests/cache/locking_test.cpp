#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

#include "cache/cache.hpp"
#include "cache/process_lock.hpp"
#include "cache/single_flight.hpp"
#include "tests/cache/child_process.hpp"
#include "tests/cache/sample.hpp"

using namespace kerncast::cache;

namespace {

const Key key{3, 4};

/// An error that outlives the threads that throw it. The thread sanitizer does not see the reference count of
/// libstdc++'s exceptions, and reports the last release as a race.
std::exception_ptr made_before(const char* text) {
  return std::make_exception_ptr(std::runtime_error(text));
}

}  // namespace

TEST_CASE("sixteen threads on one key run the work once") {
  SingleFlight<int> flight;
  std::atomic<int> runs{0};
  std::atomic<int> sum{0};
  std::vector<std::thread> threads;
  threads.reserve(16);
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&] {
      sum += *flight.run(key, [&] {
        ++runs;
        std::this_thread::sleep_for(std::chrono::milliseconds(300));
        return std::make_shared<int>(5);
      });
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  CHECK(runs == 1);
  CHECK(sum == 80);
}

TEST_CASE("a failure is not kept") {
  SingleFlight<int> flight;
  CHECK_THROWS_AS(flight.run(key, []() -> std::shared_ptr<int> { throw std::runtime_error("no"); }),
                  std::runtime_error);
  CHECK(*flight.run(key, [] { return std::make_shared<int>(1); }) == 1);
}

TEST_CASE("whoever waits for a failure gets it, whoever comes after it tries again") {
  const std::exception_ptr error = made_before("first");
  for (int round = 0; round < 200; ++round) {
    SingleFlight<int> flight;
    std::atomic<int> waiting{0};
    std::atomic<bool> working{false};
    std::atomic<int> stale{0};
    const auto fail = [&]() -> std::shared_ptr<int> {
      working = true;
      while (waiting < 3) {
        std::this_thread::yield();
      }
      std::rethrow_exception(error);
    };
    std::vector<std::thread> joiners;
    joiners.reserve(3);
    std::thread first([&] { CHECK_THROWS_WITH(flight.run(key, fail), "first"); });
    while (!working) {
      std::this_thread::yield();
    }
    for (int i = 0; i < 3; ++i) {
      joiners.emplace_back([&] {
        ++waiting;
        const auto succeed = [] { return std::make_shared<int>(1); };
        try {
          flight.run(key, succeed);
        } catch (const std::runtime_error&) {
          try {
            flight.run(key, succeed);
          } catch (const std::runtime_error&) {
            ++stale;
          }
        }
      });
    }
    first.join();
    for (std::thread& thread : joiners) {
      thread.join();
    }
    REQUIRE(stale == 0);
  }
}

TEST_CASE("all who wait for one failure get the same error") {
  SingleFlight<int> flight;
  const std::exception_ptr errors[] = {made_before("run 1"), made_before("a later run")};
  std::atomic<int> runs{0};
  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  threads.reserve(8);
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      try {
        flight.run(key, [&]() -> std::shared_ptr<int> {
          const int run = ++runs;
          std::this_thread::sleep_for(std::chrono::milliseconds(300));
          std::rethrow_exception(errors[run == 1 ? 0 : 1]);
        });
      } catch (const std::runtime_error& error) {
        failures += error.what() == std::string("run 1") ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  CHECK(runs == 1);
  CHECK(failures == 8);
}

TEST_CASE("a child forked during a flight does not wait for it") {
  SingleFlight<int> flight;
  std::atomic<bool> working{false};
  std::atomic<bool> done{false};
  std::thread first([&] {
    flight.run(key, [&] {
      working = true;
      while (!done) {
        std::this_thread::yield();
      }
      return std::make_shared<int>(1);
    });
  });
  while (!working) {
    std::this_thread::yield();
  }
  CHECK(run_child([&] { return *flight.run(key, [] { return std::make_shared<int>(2); }) == 2 ? 0 : 1; },
                  20) == 0);
  done = true;
  first.join();
}

TEST_CASE("a child's copy of a held lock releases nothing") {
  const TemporaryDirectory folder;
  auto lock = std::make_unique<ProcessLock>(folder.path(), key, 1000);
  REQUIRE(lock->held());
  CHECK(run_child([&] {
          lock.reset();
          return 0;
        }) == 0);
  CHECK(!ProcessLock(folder.path(), key, 50).held());
  lock.reset();
  CHECK(ProcessLock(folder.path(), key, 50).held());
}

TEST_CASE("a child that outlives the holder does not keep the lock") {
  const TemporaryDirectory folder;
  auto lock = std::make_unique<ProcessLock>(folder.path(), key, 1000);
  REQUIRE(lock->held());
  const pid_t child = start_child([] { return pause(); });
  lock.reset();
  const ProcessLock again(folder.path(), key, 50);
  CHECK(again.held());
  CHECK(!again.waited());
  kill(child, SIGKILL);
  exit_code(child);
}

TEST_CASE("descriptors of a held lock close on exec") {
  const TemporaryDirectory folder;
  const ProcessLock lock(folder.path(), key, 1000);
  REQUIRE(lock.held());
  int found = 0;
  for (int fd = 0; fd < 256; ++fd) {
    std::error_code error;
    const auto target = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), error);
    if (!error && target.string().starts_with(folder.path())) {
      ++found;
      CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    }
  }
  CHECK(found > 0);
}

TEST_CASE("a process lock excludes, and a crashed holder frees it at once") {
  const TemporaryDirectory folder;
  int ready[2];
  REQUIRE(pipe(ready) == 0);
  const pid_t child = fork();
  if (child == 0) {
    const ProcessLock lock(folder.path(), key, 1000);
    const char byte = lock.held() ? 'y' : 'n';
    static_cast<void>(!write(ready[1], &byte, 1));
    pause();
  }
  char byte = 0;
  REQUIRE(read(ready[0], &byte, 1) == 1);
  REQUIRE(byte == 'y');
  {
    const ProcessLock refused(folder.path(), key, 50);
    CHECK(!refused.held());
    CHECK(refused.waited());
    const ProcessLock other_key(folder.path(), Key{5, 6}, 50);
    CHECK(other_key.held());
  }
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  const ProcessLock lock(folder.path(), key, 5000);
  CHECK(lock.held());
}

TEST_CASE("where no lock can be had the caller proceeds without") {
  CHECK(!ProcessLock("", key, 10).held());
  CHECK(!ProcessLock("/proc/kerncast", key, 10).held());
}

TEST_CASE("a holder that is stopped costs others one wait, and not one for each key") {
  const TemporaryDirectory folder;
  const Key keys[] = {{1, 1}, {2, 2}, {3, 3}};
  std::vector<ProcessLock> held;
  for (const Key& each : keys) {
    held.emplace_back(folder.path(), each, 1000);
  }
  std::vector<std::string> warnings;
  CacheOptions options;
  options.directory = folder.path();
  options.wait = std::chrono::milliseconds(1000);
  Cache cache(options, [&](std::string_view text) { warnings.emplace_back(text); });
  for (const Key& each : keys) {
    WaitBudget budget = cache.wait_budget();
    CHECK(!cache.lock(each, budget).held());
  }
  CHECK(cache.counters().waits == 3);
  // A wait for each key would take three seconds.
  CHECK(cache.counters().wait_us >= 990'000);
  CHECK(cache.counters().wait_us < 2'900'000);
  REQUIRE(warnings.size() == 1);
  CHECK_THAT(warnings[0], Catch::Contains("compiled here too"));
  // A lock that is free is taken all the same.
  WaitBudget budget = cache.wait_budget();
  CHECK(cache.lock(Key{4, 4}, budget).held());
}
