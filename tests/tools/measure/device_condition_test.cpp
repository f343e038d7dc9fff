#include "tools/measure/device_condition.hpp"

#include <dlfcn.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "tests/temporary_directory.hpp"

namespace kerncast::tools {
namespace {

/// Sets a variable while the object lives.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) { ::setenv(name, value.c_str(), 1); }
  ~Variable() { ::unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
};

int open_count() {
  void* library = dlopen(KERNCAST_FAKE_NVML, RTLD_NOW);
  const auto count = reinterpret_cast<int (*)()>(dlsym(library, "fakeNvmlOpenCount"));
  return count();
}

TEST_CASE("a look at a device reads clocks, temperature, power and reasons from the library") {
  const Variable looks("FAKE_NVML_LOOKS", "1980 2619 61 512500 4;1410 2619 83 350000 64");
  {
    const DeviceMonitor monitor("GPU-1", KERNCAST_FAKE_NVML);
    CHECK(monitor.defect().empty());
    const DeviceCondition before = monitor.look();
    CHECK(before.sm_mhz == 1980U);
    CHECK(before.memory_mhz == 2619U);
    CHECK(before.celsius == 61U);
    CHECK(before.watts == 512.5);
    CHECK(slowing_reasons(before.throttle_reasons) == std::vector<std::string>{"power cap"});
    const DeviceCondition after = monitor.look();
    CHECK(disturbance(before, after) ==
          "the SM clock went from 1980 to 1410 MHz; the device throttled: power cap, heat (hardware)");
    CHECK(open_count() == 1);
  }
  CHECK(open_count() == 0);
}

TEST_CASE("what the library does not support is empty, and disturbs nothing") {
  const Variable looks("FAKE_NVML_LOOKS", "-1 -1 -1 -1 -1");
  const DeviceMonitor monitor("GPU-1", KERNCAST_FAKE_NVML);
  const DeviceCondition seen = monitor.look();
  CHECK_FALSE(seen.sm_mhz);
  CHECK_FALSE(seen.watts);
  CHECK(seen.throttle_reasons == 0);
  CHECK(disturbance(seen, seen).empty());
}

TEST_CASE("without a library, without its functions and for an unknown device a look finds nothing") {
  const TemporaryDirectory folder;
  CHECK_FALSE(DeviceMonitor("GPU-1", folder.file("none.so")).defect().empty());
  CHECK_FALSE(DeviceMonitor("GPU-1", folder.write("text.so", "no library")).defect().empty());
  // The C library has none of the functions.
  CHECK_THAT(DeviceMonitor("GPU-1", "libc.so.6").defect(), Catch::Contains("lacks nvmlInit_v2"));
  {
    const Variable uuid("FAKE_NVML_UUID", "GPU-2");
    const DeviceMonitor monitor("GPU-1", KERNCAST_FAKE_NVML);
    CHECK_THAT(monitor.defect(), Catch::Contains("does not know GPU-1"));
    CHECK_FALSE(monitor.look().sm_mhz);
  }
  {
    const Variable init("FAKE_NVML_INIT", "9");
    CHECK_THAT(DeviceMonitor("GPU-1", KERNCAST_FAKE_NVML).defect(), Catch::Contains("code 9"));
  }
}

TEST_CASE("the driver's version and the setting of the clocks are read where the library tells them") {
  const auto monitor = [] { return std::make_unique<DeviceMonitor>("GPU-1", KERNCAST_FAKE_NVML); };
  CHECK(monitor()->driver_version().empty());
  CHECK(monitor()->clock_policy().empty());
  const Variable driver("FAKE_NVML_DRIVER", "580.65.06");
  CHECK(monitor()->driver_version() == "580.65.06");
  {
    const Variable clocks("FAKE_NVML_CLOCKS", "1410 2619 1980 2619");
    CHECK(monitor()->clock_policy() == "applications clocks 1410/2619 MHz");
  }
  // Newer drivers have no applications clocks.
  const Variable clocks("FAKE_NVML_CLOCKS", "-1 -1 1980 2619");
  CHECK(monitor()->clock_policy() == "up to 1980/2619 MHz");
  // The device is not one of this library, so the driver may be another one too.
  const Variable uuid("FAKE_NVML_UUID", "GPU-2");
  CHECK(monitor()->driver_version().empty());
  CHECK(monitor()->clock_policy().empty());
}

TEST_CASE("a clock that changes within the limit, idleness and a clock that the user set disturb nothing") {
  DeviceCondition before;
  before.sm_mhz = 1000;
  before.memory_mhz = 2619;
  DeviceCondition after = before;
  after.throttle_reasons = 0x1 | 0x2 | 0x100;
  after.sm_mhz = 951;
  CHECK(disturbance(before, after).empty());
  after.sm_mhz = 949;
  CHECK(disturbance(before, after) == "the SM clock went from 1000 to 949 MHz");
  after.sm_mhz = 1051;
  CHECK_FALSE(disturbance(before, after).empty());
  after.sm_mhz = 1000;
  after.memory_mhz = 1300;
  CHECK(disturbance(before, after) == "the memory clock went from 2619 to 1300 MHz");
  before.memory_mhz = std::nullopt;
  CHECK(disturbance(before, after).empty());
}

}  // namespace
}  // namespace kerncast::tools
