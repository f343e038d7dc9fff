#include "runtime/devices/device_description.hpp"

#include <catch2/catch.hpp>
#include <set>
#include <string>

namespace {

using namespace kerncast::devices;

TEST_CASE("the devices that matter are described, each under its own name") {
  std::set<std::string> names;
  for (const DeviceDescription& device : device_descriptions()) {
    INFO(device.name);
    CHECK(names.insert(device.name).second);
    CHECK(device.arch.find(std::to_string(device.sm)) != std::string::npos);
    CHECK(device.registers_per_sm == 65536);
    CHECK(device.shared_bytes_per_block == device.shared_bytes_per_sm - 1024);
    CHECK(device.launch_overhead_us == 1.2);
    CHECK(device.global_latency > device.shared_latency);
    CHECK(device.shared_latency > device.dependent_latency);
    // One SM can receive no more than its share, and all of them together not much less than L2 provides.
    CHECK(device.l2_bytes_per_clock_sm * device.sm_count > device.l2_bytes_per_clock * 0.8);
    CHECK(device.l2_bytes_per_clock * device.clock_ghz > device.memory_gb_per_s);
  }
  CHECK(names == std::set<std::string>{"a100", "b200", "h100", "h200", "rtx4090"});
}

// The data sheets state peak rates that the descriptions' own figures must multiply up to.
TEST_CASE("peak rates agree with the data sheets") {
  struct Peak {
    const char* device;
    double f32_tflops;
    double f64_tflops;
  };
  const Peak peaks[] = {
      {"a100", 19.5, 9.7}, {"h100", 66.9, 33.5}, {"h200", 66.9, 33.5}, {"rtx4090", 82.6, 1.29}};
  for (const Peak& peak : peaks) {
    INFO(peak.device);
    const DeviceDescription& device = *find_device_description(peak.device);
    const double flops_per_lane = 2e-3 * device.sm_count * device.clock_ghz;
    CHECK(flops_per_lane * device.rates.float_lanes == Approx(peak.f32_tflops).epsilon(0.01));
    CHECK(flops_per_lane * device.rates.double_lanes == Approx(peak.f64_tflops).epsilon(0.01));
  }
  const DeviceDescription& a100 = *find_device_description("a100");
  CHECK(2e-3 * a100.sm_count * a100.clock_ghz * a100.rates.tensor_fma == Approx(312).epsilon(0.01));
  const DeviceDescription& rtx4090 = *find_device_description("rtx4090");
  CHECK(2e-3 * rtx4090.sm_count * rtx4090.clock_ghz * rtx4090.rates.tensor_fma ==
        Approx(165.2).epsilon(0.01));
}

TEST_CASE("a device is found by name and by architecture") {
  CHECK(find_device_description("H100")->name == "h100");
  CHECK(find_device_description("h10") == nullptr);
  CHECK(find_device_description("") == nullptr);
  CHECK(device_description_of("sm_90a")->name == "h100");
  CHECK(device_description_of("sm_100a")->name == "b200");
  CHECK(device_description_of("sm_80")->name == "a100");
  CHECK(device_description_of("sm_75") == nullptr);
  CHECK(device_description_of("h100") == nullptr);
}

TEST_CASE("a device of a driver is described by its name, else by its architecture") {
  CHECK(device_description_of("sm_90a", "NVIDIA H200")->name == "h200");
  CHECK(device_description_of("sm_90a", "NVIDIA H100 80GB HBM3")->name == "h100");
  CHECK(device_description_of("sm_89", "NVIDIA GeForce RTX 4090")->name == "rtx4090");
  CHECK(device_description_of("sm_90a", "NVIDIA H20")->name == "h100");
  CHECK(device_description_of("sm_90a", "NVIDIA B200")->name == "h100");
  CHECK(device_description_of("sm_75", "NVIDIA T4") == nullptr);
}

}  // namespace
