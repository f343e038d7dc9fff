#include "runtime/simulator/clock/l2_cache.hpp"

#include <catch2/catch.hpp>
#include <cstdint>

using namespace kerncast::simulator;

namespace {

constexpr std::uint64_t kib = 1024;

/// Lets a launch pass that reads or writes `bytes` at `address`.
std::uint64_t pass(L2Cache& cache, std::uint64_t address, std::uint64_t bytes, bool read, bool written) {
  Footprint launch;
  launch.add(address / 32, (address + bytes - 1) / 32, read, written);
  return cache.pass(launch);
}

std::uint64_t reads(L2Cache& cache, std::uint64_t address, std::uint64_t bytes) {
  return pass(cache, address, bytes, true, false);
}

}  // namespace

TEST_CASE("what a launch touches comes from memory once and lies in the cache afterwards") {
  L2Cache cache(64 * kib);
  CHECK(reads(cache, 0, 8 * kib) == 8 * kib);
  CHECK(reads(cache, 0, 8 * kib) == 0);
  CHECK(reads(cache, 4 * kib, 8 * kib) == 4 * kib);
  // A read and a write of one sector are two movements.
  CHECK(pass(cache, 1 << 20, 4 * kib, true, true) == 8 * kib);
  CHECK(pass(cache, 1 << 20, 4 * kib, true, true) == 0);
  CHECK(pass(cache, 1 << 20, 4 * kib + 32, false, true) == 32);
}

TEST_CASE("the launch touched longest ago goes first, and all of it") {
  L2Cache cache(64 * kib);
  CHECK(reads(cache, 0, 24 * kib) == 24 * kib);
  CHECK(reads(cache, 1 << 20, 24 * kib) == 24 * kib);
  CHECK(reads(cache, 0, 2 * kib) == 0);  // these are touched anew
  CHECK(reads(cache, 2 << 20, 24 * kib) == 24 * kib);
  CHECK(reads(cache, 0, 2 * kib) == 0);
  CHECK(reads(cache, 1 << 20, 24 * kib) == 0);
  CHECK(reads(cache, 2 * kib, 22 * kib) == 22 * kib);
}

TEST_CASE("a launch that exceeds the cache leaves nothing in it") {
  L2Cache cache(64 * kib);
  CHECK(reads(cache, 0, 8 * kib) == 8 * kib);
  CHECK(reads(cache, 0, 65 * kib) == 57 * kib);
  CHECK(reads(cache, 0, 65 * kib) == 65 * kib);
  CHECK(reads(cache, 0, 8 * kib) == 8 * kib);
}

TEST_CASE("copies and fills pass through the cache too") {
  L2Cache cache(64 * kib);
  cache.pass(std::uint64_t{4096}, std::uint64_t{100});
  CHECK(reads(cache, 4096, 128) == 0);
  CHECK(reads(cache, 4096, 160) == 32);
  cache.pass(std::uint64_t{1 << 20}, 80 * kib);
  CHECK(reads(cache, 4096, 160) == 160);
  cache.pass(std::uint64_t{1 << 20}, std::uint64_t{0});
  CHECK(reads(cache, 4096, 160) == 0);
}
