#include "tools/measure/device_choice.hpp"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <string>

#include "tools/io/usage_error.hpp"

namespace kerncast::tools {
namespace {

TEST_CASE("a device is a number of the driver's, or a name whose clock the virtual GPU follows") {
  CHECK(parse_device_choice("").driver.empty());
  CHECK(parse_device_choice("").ordinal == 0);
  const DeviceChoice second = parse_device_choice("cuda:1");
  CHECK(second.driver == "cuda");
  CHECK(second.ordinal == 1);
  CHECK(second.simulated.empty());
  const DeviceChoice virtual_one = parse_device_choice("sim:b200");
  CHECK(virtual_one.driver == "sim");
  CHECK(virtual_one.simulated == "b200");
}

TEST_CASE("an unknown device is refused with the nearest that is known") {
  const std::pair<const char*, const char*> cases[] = {
      {"cuda", "did you mean cuda:0?"},
      {"cuda:", "did you mean cuda:0?"},
      {"cuda:x", "did you mean cuda:0?"},
      {"cuda:-1", "did you mean cuda:0?"},
      {"cuda:0x", "did you mean cuda:0?"},
      {"h100", "did you mean sim:h100?"},
      {"sim:h10", "did you mean sim:h100?"},
      {"sim", "known are a100, rtx4090, h100"},
      {"sim:", "known are a100"},
      {"cuda0", "did you mean cuda:0?"},
      {"tpu", "write it as cuda:0"},
      {"sin:h100", "did you mean sim:h100?"},
      {"cuda:99999999999999", "did you mean cuda:0?"},
  };
  for (const auto& [text, message] : cases) {
    INFO(text);
    CHECK_THROWS_AS(parse_device_choice(text), UsageError);
    CHECK_THROWS_WITH(parse_device_choice(text), Catch::Contains(message));
  }
}

TEST_CASE("an estimate is a device only where it is asked for") {
  const DeviceName name = parse_device_name("estimate:H200", true);
  CHECK(name.kind == DeviceName::Kind::estimate);
  CHECK(name.described == "h200");
  CHECK_THROWS_WITH(parse_device_name("estimate:h200", false), Catch::Contains("is no device"));
  CHECK_THROWS_WITH(parse_device_name("h200", true), Catch::Contains("did you mean estimate:h200?"));
  CHECK_THROWS_WITH(parse_device_name("estimate:h20", true), Catch::Contains("did you mean estimate:h200?"));
  CHECK_THROWS_WITH(parse_device_name("tpu", true), Catch::Contains("sim:h100 or estimate:h100"));
}

TEST_CASE("a simulated device sets the clock and the architecture of the virtual GPU; others set nothing") {
  ::unsetenv("KERNCAST_SIM_CLOCK");
  ::unsetenv("KERNCAST_SIM_ARCH");
  RuntimeOptions options;
  options.driver = "/a/driver.so";
  CHECK(parse_device_choice("").apply(options).driver == "/a/driver.so");
  CHECK(parse_device_choice("cuda:0").apply(options).driver == "cuda");
  CHECK(std::getenv("KERNCAST_SIM_CLOCK") == nullptr);
  CHECK(parse_device_choice("sim:a100").apply(options).driver == "sim");
  CHECK(std::string(std::getenv("KERNCAST_SIM_CLOCK")) == "a100");
  CHECK(std::string(std::getenv("KERNCAST_SIM_ARCH")) == "sm_80");
}

TEST_CASE("the bandwidth is that of the described device, or of the memory's clock and width") {
  CHECK(memory_gb_per_s(parse_device_choice("sim:h100"), 1, 1) == 3352);
  CHECK(memory_gb_per_s({}, 2619000, 5120) == Approx(3352).epsilon(0.001));
  CHECK(memory_gb_per_s({}, 0, 5120) == 0);
}

}  // namespace
}  // namespace kerncast::tools
