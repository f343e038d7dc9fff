#include "runtime/simulator/machine/written_map.hpp"

#include <catch2/catch.hpp>
#include <random>
#include <thread>
#include <vector>

using kerncast::simulator::WrittenMap;

TEST_CASE("nothing of a fresh map is written") {
  const WrittenMap map(10'000);
  CHECK(map.first_unwritten(0, 1) == 0);
  CHECK(map.first_unwritten(4095, 2) == 4095);
  CHECK(map.first_unwritten(9'999, 1) == 9'999);
  CHECK(map.first_unwritten(5, 0) == WrittenMap::npos);
}

TEST_CASE("a map knows each byte") {
  const std::size_t size = GENERATE(1U, 63U, 64U, 65U, 4095U, 4096U, 4097U, 20'000U);
  WrittenMap map(size);
  std::vector<bool> expected(size);
  std::mt19937 random(7);
  for (int step = 0; step < 300; ++step) {
    const std::size_t offset = random() % size;
    const std::size_t bytes = random() % 3 == 0 ? random() % (size - offset + 1)
                                                : std::min<std::size_t>(size - offset, 1 + random() % 64);
    if (step % 2 == 0) {
      map.mark(offset, bytes);
      for (std::size_t i = offset; i < offset + bytes; ++i) {
        expected[i] = true;
      }
      continue;
    }
    std::size_t missing = WrittenMap::npos;
    for (std::size_t i = offset; i < offset + bytes && missing == WrittenMap::npos; ++i) {
      missing = expected[i] ? WrittenMap::npos : i;
    }
    REQUIRE(map.first_unwritten(offset, bytes) == missing);
  }
  map.mark(0, size);
  CHECK(map.first_unwritten(0, size) == WrittenMap::npos);
}

TEST_CASE("threads mark a page together") {
  constexpr std::size_t size = std::size_t{64} * 4096;
  WrittenMap map(size);
  std::vector<std::thread> threads;
  for (std::size_t first = 0; first < 4; ++first) {
    threads.emplace_back([&map, first] {
      for (std::size_t at = first * 16; at < size; at += 64) {
        map.mark(at, 16);
        if (map.first_unwritten(at, 16) != WrittenMap::npos) {
          throw std::runtime_error("a mark was lost");
        }
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  CHECK(map.first_unwritten(0, size) == WrittenMap::npos);
}
