#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

#include "cache/process_lock.hpp"
#include "cache/single_flight.hpp"
#include "tests/cache/sample.hpp"

using namespace kerncast::cache;

namespace {
const Key key{3, 4};
}

TEST_CASE("sixteen threads on one key run the work once") {
  SingleFlight<int> flight;
  std::atomic<int> runs{0};
  std::atomic<int> sum{0};
  std::vector<std::thread> threads;
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

TEST_CASE("a process lock excludes, and a crashed holder frees it at once") {
  const TemporaryFolder folder;
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
