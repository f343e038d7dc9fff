#include "tools/tune/evaluate/hang_guard.hpp"

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

using kerncast::tools::HangGuard;
using namespace std::chrono_literals;

TEST_CASE("work that does not end is told by its name, once") {
  std::atomic<int> told{0};
  std::string name;
  {
    HangGuard guard(1ms, [&](const std::string& work) {
      name = work;
      ++told;
    });
    guard.watch("threads=32");
    while (told.load() == 0) {
      std::this_thread::yield();
    }
  }
  CHECK(told.load() == 1);
  CHECK(name == "threads=32");
}

TEST_CASE("work that ends in time, and no work at all, is not told") {
  std::atomic<int> told{0};
  {
    HangGuard guard(1h, [&](const std::string&) { ++told; });
    guard.watch("threads=32");
    guard.watch("threads=64");
    guard.watch("");
  }
  {
    const HangGuard guard(1ms, [&](const std::string&) { ++told; });
  }
  CHECK(told.load() == 0);
}
