// The digest by which estimates of one model are told from those of another.
#include "tools/tune/evaluate/model_digest.hpp"

#include <catch2/catch.hpp>
#include <functional>

using namespace kerncast;
using devices::DeviceDescription;

TEST_CASE("a device has one digest, and a device that is described otherwise has another") {
  const DeviceDescription& h100 = *devices::find_device_description("h100");
  const std::string digest = tools::model_digest(h100);
  CHECK(digest.size() == 32);
  CHECK(tools::model_digest(h100) == digest);
  CHECK(tools::model_digest(*devices::find_device_description("h200")) != digest);
  const std::function<void(DeviceDescription&)> changes[] = {
      [](DeviceDescription& made) { made.clock_ghz *= 1.01; },
      [](DeviceDescription& made) { made.memory_gb_per_s += 1; },
      [](DeviceDescription& made) { made.l2_bytes_per_clock += 1; },
      [](DeviceDescription& made) { made.l2_bytes_per_clock_sm += 1; },
      [](DeviceDescription& made) { made.shared_wavefronts_clock *= 2; },
      [](DeviceDescription& made) { made.issue_per_clock *= 2; },
      [](DeviceDescription& made) { made.rates.float_lanes *= 2; },
      [](DeviceDescription& made) { made.rates.special_lanes *= 2; },
      [](DeviceDescription& made) { made.global_latency += 1; },
      [](DeviceDescription& made) { made.shared_latency += 1; },
      [](DeviceDescription& made) { made.barrier_latency += 1; },
      [](DeviceDescription& made) { made.dependent_latency += 1; },
      [](DeviceDescription& made) { made.launch_overhead_us += 0.1; },
      [](DeviceDescription& made) { made.sm_count += 1; },
      [](DeviceDescription& made) { made.max_warps_per_sm /= 2; },
      [](DeviceDescription& made) { made.registers_per_sm /= 4; }};
  for (std::size_t i = 0; i < std::size(changes); ++i) {
    INFO("change " << i);
    DeviceDescription other = h100;
    changes[i](other);
    CHECK(tools::model_digest(other) != digest);
  }
}
