#include "runtime/dispatch/known_devices.hpp"

#include <catch2/catch.hpp>

#include "kerncast/error.hpp"
#include "kerncast/runtime.hpp"

using namespace kerncast;

TEST_CASE("the devices of an architecture are listed, the most common first") {
  CHECK(Runtime::sm_counts("sm_90a") == std::vector<int>{132, 114, 78});
  CHECK(Runtime::sm_counts("sm_121a") == std::vector<int>{48});
  const std::vector<DeviceTraits> devices = known_devices("sm_80");
  REQUIRE(devices.size() == 2);
  CHECK(devices[0].sm == 80);
  CHECK(devices[0].sm_count == 108);
  CHECK(devices[0].max_shared_per_block == 163 * 1024);
}

TEST_CASE("an unknown architecture has the devices of the nearest older one") {
  CHECK(known_devices("sm_130a").front().sm == 130);
  CHECK(known_devices("sm_130a").front().sm_count == known_devices("sm_121a").front().sm_count);
  CHECK(known_devices("sm_88").front().sm_count == known_devices("sm_87").front().sm_count);
}

TEST_CASE("a multiprocessor count that is given replaces the usual one") {
  CHECK(typical_traits("sm_90a").sm_count == 132);
  CHECK(typical_traits("sm_90a", 20).sm_count == 20);
  CHECK(typical_traits("sm_90a", 20).max_shared_per_block == 227 * 1024);
}

TEST_CASE("a text that is no architecture is refused") {
  for (const char* text : {"", "90", "sm_", "sm_x", "compute_90", "sm_20"}) {
    CHECK_THROWS_WITH(known_devices(text), Catch::Contains("is not an architecture; write it as sm_90a"));
  }
}
