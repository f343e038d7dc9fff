#include "runtime/simulator/machine/memory.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <thread>
#include <vector>

using kerncast::simulator::Memory;
using kerncast::simulator::MemoryKind;

TEST_CASE("allocations are aligned, apart and found by any address inside") {
  Memory memory;
  std::vector<std::byte*> bases;
  for (const std::size_t size : {std::size_t{1}, std::size_t{512}, std::size_t{4097}, std::size_t{3} << 20}) {
    std::byte* base = memory.allocate(size, MemoryKind::device, 1);
    REQUIRE(base != nullptr);
    CHECK(reinterpret_cast<std::uintptr_t>(base) % 512 == 0);
    std::memset(base, 1, size);
    const auto inside = memory.find(base + size - 1);
    REQUIRE(inside.has_value());
    CHECK(inside->base == base);
    CHECK(inside->size == size);
    CHECK(inside->device == 1);
    CHECK_FALSE(memory.find(base + size).has_value());
    CHECK_FALSE(memory.find(base - 1).has_value());
    const auto below = memory.nearest_below(base + size + 16);
    REQUIRE(below.has_value());
    CHECK(below->base == base);
    bases.push_back(base);
  }
  CHECK(memory.bytes_in_use(1) == 1 + 512 + 4097 + (std::size_t{3} << 20));
  CHECK(memory.bytes_in_use(0) == 0);
  for (std::byte* base : bases) {
    CHECK(memory.release(base));
    CHECK_FALSE(memory.find(base).has_value());
  }
  CHECK(memory.bytes_in_use(1) == 0);
}

TEST_CASE("release refuses what is not the start of a live allocation") {
  Memory memory;
  std::byte* base = memory.allocate(1024, MemoryKind::device, 0);
  int local = 0;
  CHECK_FALSE(memory.release(base + 1));
  CHECK_FALSE(memory.release(reinterpret_cast<std::byte*>(&local)));
  CHECK(memory.release(base));
  CHECK_FALSE(memory.release(base));
}

TEST_CASE("impossible sizes give null") {
  Memory memory;
  CHECK(memory.allocate(0, MemoryKind::device, 0) == nullptr);
  CHECK(memory.allocate(std::size_t{1} << 60, MemoryKind::device, 0) == nullptr);
  CHECK(memory.allocate(~std::size_t{0}, MemoryKind::device, 0) == nullptr);
}

TEST_CASE("generation changes with every allocation and release, ids are unique") {
  Memory memory;
  const auto start = memory.generation();
  std::byte* first = memory.allocate(16, MemoryKind::pinned_host, 0);
  const auto after = memory.generation();
  CHECK(after != start);
  const auto id = memory.find(first)->id;
  CHECK(memory.find(first)->kind == MemoryKind::pinned_host);
  memory.release(first);
  CHECK(memory.generation() != after);
  std::byte* second = memory.allocate(16, MemoryKind::device, 0);
  CHECK(memory.find(second)->id != id);
}

TEST_CASE("fresh small allocations hold a pattern that shows up when read unwritten") {
  Memory memory;
  const std::byte* base = memory.allocate(256, MemoryKind::device, 0);
  CHECK(std::all_of(base, base + 256, [](std::byte b) { return b == std::byte{0xff}; }));
}

TEST_CASE("several threads allocate and release at once") {
  Memory memory;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&memory, t] {
      for (std::size_t i = 1; i < 200; ++i) {
        std::byte* base = memory.allocate(i * 64, MemoryKind::device, t);
        base[i] = std::byte{1};
        if (!memory.find(base + i) || !memory.release(base)) {
          std::abort();
        }
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  for (int t = 0; t < 4; ++t) {
    CHECK(memory.bytes_in_use(t) == 0);
  }
}
