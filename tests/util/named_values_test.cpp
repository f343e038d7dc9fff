#include "runtime/util/named_values.hpp"

#include <catch2/catch.hpp>
#include <stdexcept>

using namespace kerncast;

TEST_CASE("names have the values that follow them") {
  const auto values = named_values("seed=7,jitter=,a=b=c");
  REQUIRE(values.size() == 3);
  CHECK(values[0].first == "seed");
  CHECK(values[0].second == "7");
  CHECK(values[1].second.empty());
  CHECK(values[2].second == "b=c");
  for (const char* bad : {"", "seed", "a=1,", ",a=1", "a=1,a=2"}) {
    INFO(bad);
    CHECK_THROWS_AS(named_values(bad), std::invalid_argument);
  }
}
