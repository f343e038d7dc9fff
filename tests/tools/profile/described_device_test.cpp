#include "tools/profile/described_device.hpp"

#include <catch2/catch.hpp>

#include "tools/io/usage_error.hpp"

namespace {

using namespace kerncast::tools;

TEST_CASE("a device is found by its name, and an unknown name gets the nearest and all") {
  CHECK(require_device_description("H100").name == "h100");
  CHECK_THROWS_WITH(require_device_description("h10"), Catch::Contains("'h10'") &&
                                                           Catch::Contains("did you mean h100?") &&
                                                           Catch::Contains("a100"));
  CHECK_THROWS_AS(require_device_description("tpu"), UsageError);
}

}  // namespace
