#include "runtime/devices/device_specs.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>
#include <string_view>

#include "runtime/devices/warp_cost.hpp"

using namespace kerncast::devices;

TEST_CASE("both tables are in order of compute capability, and every device has its architecture") {
  CHECK(std::is_sorted(arch_specs.begin(), arch_specs.end(),
                       [](const ArchSpec& a, const ArchSpec& b) { return a.sm < b.sm; }));
  CHECK(std::is_sorted(device_specs.begin(), device_specs.end(),
                       [](const DeviceSpec& a, const DeviceSpec& b) { return a.sm < b.sm; }));
  for (const DeviceSpec& device : device_specs) {
    CHECK(arch_spec(device.sm).sm == device.sm);
  }
  for (const ArchSpec& arch : arch_specs) {
    CHECK(common_device(arch.sm) != nullptr);
  }
}

TEST_CASE("the most common device of an architecture has the figures that the virtual GPU reports") {
  for (const ArchSpec& arch : arch_specs) {
    const DeviceSpec& device = *common_device(arch.sm);
    INFO(device.title);
    CHECK(device.clock_mhz > 0);
    CHECK(device.l2_mib > 0);
    CHECK(device.memory_gib > 0);
    // Two transfers per clock: the memory clock and the bus give the bandwidth of the data sheet.
    const double gb_per_s = 2e-3 * device.memory_clock_mhz * device.memory_bus_bits / 8;
    CHECK(device.memory_gb_per_s == Approx(gb_per_s).epsilon(0.03));
  }
}

TEST_CASE("a device of the cost model has every figure that the model reads, and a name of its own") {
  std::set<std::string_view> ids;
  for (const DeviceSpec& device : device_specs) {
    if (device.id.empty()) {
      continue;
    }
    INFO(device.title);
    CHECK(ids.insert(device.id).second);
    CHECK(device.clock_mhz > 0);
    CHECK(device.memory_gb_per_s > 0);
    const ArchSpec& arch = arch_spec(device.sm);
    CHECK(arch.shared_latency > 0);
    CHECK(arch.l2_bytes_per_clock > 0);
    CHECK(arch.tensor_fma > 0);
    CHECK(arch.host_gb_per_s > 0);
    // The virtual GPU can stand for each of them.
    CHECK(device_called(device.id) == &device);
    CHECK(device.l2_mib > 0);
    CHECK(device.memory_gib > 0);
    CHECK(device.memory_gb_per_s ==
          Approx(2e-3 * device.memory_clock_mhz * device.memory_bus_bits / 8).epsilon(0.03));
  }
  CHECK(ids.size() == 5);
}

TEST_CASE("an unknown compute capability takes the nearest older architecture and reference device") {
  CHECK(arch_spec(88).sm == 87);
  CHECK(arch_spec(130).sm == 121);
  CHECK(arch_spec(50).sm == 75);
  CHECK(common_device(88) == nullptr);
  CHECK(device_called("") == nullptr);
  CHECK(device_called("h10") == nullptr);
  CHECK(reference_device(86).title == "NVIDIA GeForce RTX 3090");
  CHECK(reference_device(103).sm == 100);
  CHECK(reference_device(121).sm == 120);
  CHECK(reference_device(50).sm == 75);
  for (const DeviceSpec& device : device_specs) {
    CHECK((!device.reference || (device.clock_mhz > 0 && device.memory_gb_per_s > 0)));
  }
}

TEST_CASE("a warp's clocks add up from instructions, waits and barriers") {
  const WarpWork work{.instructions = 10, .global_waits = 2, .shared_waits = 1, .barriers = 3};
  CHECK(warp_clocks(work, {.global = 500, .shared = 29}) == 10 * 4 / 2.0 + 2 * 500 + 29 + 3 * 30);
  CHECK(load_waits(1) == 1);
  CHECK(load_waits(12) == 3);
  CHECK(busiest_blocks(133, 132) == 2);
}
