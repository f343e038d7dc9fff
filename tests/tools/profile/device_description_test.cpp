#include "tools/profile/device_description.hpp"

#include <catch2/catch.hpp>
#include <set>

#include "tools/io/usage_error.hpp"
#include "tools/profile/occupancy.hpp"

namespace {

using namespace kerncast::tools;

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
    const DeviceDescription& device = require_device_description(peak.device);
    const double flops_per_lane = 2e-3 * device.sm_count * device.clock_ghz;
    CHECK(flops_per_lane * device.rates.float_lanes == Approx(peak.f32_tflops).epsilon(0.01));
    CHECK(flops_per_lane * device.rates.double_lanes == Approx(peak.f64_tflops).epsilon(0.01));
  }
  const DeviceDescription& a100 = require_device_description("a100");
  CHECK(2e-3 * a100.sm_count * a100.clock_ghz * a100.rates.tensor_fma == Approx(312).epsilon(0.01));
  const DeviceDescription& rtx4090 = require_device_description("rtx4090");
  CHECK(2e-3 * rtx4090.sm_count * rtx4090.clock_ghz * rtx4090.rates.tensor_fma ==
        Approx(165.2).epsilon(0.01));
}

TEST_CASE("a device is found by name and by architecture") {
  CHECK(require_device_description("H100").name == "h100");
  CHECK(device_description_of("sm_90a")->name == "h100");
  CHECK(device_description_of("sm_100a")->name == "b200");
  CHECK(device_description_of("sm_80")->name == "a100");
  CHECK(device_description_of("sm_75") == nullptr);
  CHECK(device_description_of("h100") == nullptr);
  CHECK_THROWS_WITH(require_device_description("h10"), Catch::Contains("'h10'") &&
                                                           Catch::Contains("did you mean h100?") &&
                                                           Catch::Contains("a100"));
  CHECK_THROWS_AS(require_device_description("tpu"), UsageError);
}

TEST_CASE("occupancy follows the tightest of an SM's limits") {
  const DeviceDescription& h100 = require_device_description("h100");
  struct Case {
    BlockResources block;
    int blocks;
    int warps;
    const char* limit;
  };
  const Case cases[] = {
      // 2048 threads are 8 blocks of 8 warps; 32 registers would allow as many.
      {{256, 32, 0}, 8, 64, "warps"},
      // 64 registers are 2048 a warp: 8 warps in each quarter of 16384, so 32 warps.
      {{256, 64, 0}, 4, 32, "registers"},
      // 40 registers are 1280 a warp: 12 warps in each quarter, 48 in all, one block of 32.
      {{1024, 40, 0}, 1, 32, "registers"},
      // 33 registers are 1056, rounded up to 1280.
      {{128, 33, 0}, 12, 48, "registers"},
      // Blocks of one warp meet the limit of 32 blocks first.
      {{32, 16, 0}, 32, 32, "blocks"},
      // 48 KiB and 1 KiB reserved go 4 times into 228 KiB.
      {{256, 32, 49152}, 4, 32, "shared memory"},
      // 100 bytes take 1152 with what is reserved, in units of 128: 202 would fit.
      {{256, 32, 100}, 8, 64, "warps"},
      // One thread more than a warp needs another warp.
      {{33, 0, 0}, 32, 64, "warps"},
      {{256, 0, 227 * 1024}, 1, 8, "shared memory"},
      {{256, 0, 227 * 1024 + 1}, 0, 0, "shared memory"},
      {{1025, 32, 0}, 0, 0, "warps"},
      {{0, 32, 0}, 0, 0, "warps"},
  };
  for (const Case& expected : cases) {
    INFO(expected.block.threads << " threads, " << expected.block.registers << " registers, "
                                << expected.block.shared_bytes << " bytes");
    const Occupancy got = occupancy(h100, expected.block);
    CHECK(got.blocks_per_sm == expected.blocks);
    CHECK(got.warps_per_sm == expected.warps);
    CHECK(got.limit == expected.limit);
    CHECK(got.fraction == Approx(expected.warps / 64.0));
  }
  const Occupancy ada = occupancy(require_device_description("rtx4090"), {512, 32, 0});
  CHECK(ada.blocks_per_sm == 3);
  CHECK(ada.fraction == 1);
}

}  // namespace
