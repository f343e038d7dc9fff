#include "runtime/devices/cost_model.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>
#include <vector>

#include "runtime/devices/warp_cost.hpp"

namespace {

using namespace kerncast::devices;

/// A device with figures for which times can be computed by hand: 1 clock is 1 ns, 10 SMs.
DeviceDescription round_device() {
  DeviceDescription device;
  device.name = "round";
  device.sm_count = 10;
  device.clock_ghz = 1;
  device.memory_gb_per_s = 1000;
  device.l2_bytes_per_clock = 2000;
  device.l2_bytes_per_clock_sm = 200;
  device.shared_wavefronts_clock = 1;
  device.issue_per_clock = 4;
  device.rates = {64, 16, 64, 64, 16, 32, 32, 32, 32, 1024};
  device.global_latency = 500;
  device.shared_latency = 20;
  device.barrier_latency = 30;
  device.dependent_latency = 4;
  device.launch_overhead_us = 2;
  device.max_warps_per_sm = 64;
  device.max_blocks_per_sm = 32;
  device.registers_per_sm = 65536;
  device.shared_bytes_per_sm = 100 * 1024;
  device.shared_bytes_per_block = 99 * 1024;
  device.reserved_shared_bytes_per_block = 1024;
  return device;
}

CostInput launch_of(std::uint64_t blocks, std::uint32_t warps_per_block) {
  CostInput input;
  input.blocks = blocks;
  input.warps_per_block = warps_per_block;
  input.resources = {32 * warps_per_block, 32, 0};
  return input;
}

/// The estimate of blocks that do nothing but `count` warp instructions on `unit`.
Estimate estimate_of(std::uint64_t blocks, std::uint32_t warps_per_block, const char* unit,
                     std::uint64_t count) {
  static const DeviceDescription device = round_device();
  CostInput input = launch_of(blocks, warps_per_block);
  input.warp_instructions = {{unit, count}};
  return estimate_cost(input, device);
}

const CostFactor& factor(const Estimate& estimate, const std::string& name) {
  const auto found = std::find_if(estimate.factors.begin(), estimate.factors.end(),
                                  [&](const CostFactor& candidate) { return candidate.name == name; });
  REQUIRE(found != estimate.factors.end());
  return *found;
}

double latency_us(const CostInput& input) {
  return factor(estimate_cost(input, round_device()), "latency").us;
}

/// A kernel that reads and writes 1 GB: 512 bytes for each request, 1000 blocks of 8 warps.
CostInput copy_kernel() {
  CostInput input = launch_of(1000, 8);
  input.warp_instructions = {{"load", 1953125}, {"store", 1953125}, {"integer", 4000000}};
  input.global_sectors = 2 * 31250000;
  input.memory_bytes = 2000000000;
  input.global_waits = 1953125;
  return input;
}

TEST_CASE("a copy takes its bytes over the memory's bandwidth") {
  const DeviceDescription device = round_device();
  const Estimate estimate = estimate_cost(copy_kernel(), device);
  REQUIRE(estimate.fits);
  CHECK(estimate.device == &device);
  CHECK(estimate.limiting_factor == "memory bandwidth");
  CHECK(factor(estimate, "memory bandwidth").us == Approx(2000));  // 2e9 bytes / 1e12 per second
  CHECK(factor(estimate, "L2 bandwidth").us == Approx(1000));      // 2e9 bytes / 2000 per ns
  // 3906250 requests on 32 lanes of 10 SMs: one each per clock.
  CHECK(factor(estimate, "load/store unit").us == Approx(390.625));
  CHECK(factor(estimate, "issue").us == Approx(7906250 / 40.0 / 1000));
  // 100 blocks an SM, 8 at once. A warp: 988.28 instructions at 2 clocks, 244.14 / 4 loads at 500.
  const double warp_clocks = 7906250 / 8000.0 * 2 + 1953125 / 8000.0 / 4 * 500;
  CHECK(estimate.waves == 13);
  CHECK(factor(estimate, "latency").us == Approx(warp_clocks * 12.5 / 1000));
  CHECK(factor(estimate, "latency").busiest_us == Approx(warp_clocks * 13 / 1000));
  CHECK(estimate.tail_us == 0);
  CHECK(estimate.total_us == Approx(2002));

  DeviceDescription faster = device;
  faster.memory_gb_per_s = 1600;
  CHECK(estimate_cost(copy_kernel(), faster).total_us == Approx(1252));
}

TEST_CASE("one warp that loads and loads waits for memory") {
  CostInput input = launch_of(1, 1);
  input.warp_instructions = {{"load", 4000}};
  input.global_sectors = 4 * 4000;
  input.memory_bytes = 128 * 4000;
  input.global_waits = 4000;
  const Estimate estimate = estimate_cost(input, round_device());
  CHECK(estimate.limiting_factor == "latency");
  CHECK(estimate.waves == 1);
  // Four loads at a time: 1000 waits of 500 clocks, and 4000 instructions at 2.
  CHECK(factor(estimate, "latency").us == Approx(508));
  CHECK(estimate.total_us == Approx(510));
}

TEST_CASE("a load, a shared load and a barrier are each waited for once at least") {
  CostInput input = launch_of(10, 4);
  input.global_waits = 1;
  CHECK(latency_us(input) == Approx(0.5));
  input.shared_waits = 1;
  CHECK(latency_us(input) == Approx(0.52));
  input.barriers = 40;
  CHECK(latency_us(input) == Approx(0.55));
}

TEST_CASE("a dependent launch hides a part of its overhead on devices that have such launches") {
  DeviceDescription device = round_device();
  const CostInput input = launch_of(10, 8);
  device.sm = 89;
  const Estimate without = estimate_cost(input, device);
  CHECK(without.dependent_us == without.total_us);
  device.sm = 90;
  const Estimate with = estimate_cost(input, device);
  CHECK(with.total_us == without.total_us);
  CHECK(with.dependent_us == Approx(with.total_us - hidden_launch_us));
  // The launch overhead is all that can be hidden.
  device.launch_overhead_us = 0.5;
  const Estimate quick = estimate_cost(input, device);
  CHECK(quick.dependent_us == Approx(quick.total_us - 0.5));
}

TEST_CASE("blocks that do not come out even leave a tail") {
  const Estimate uneven = estimate_of(11, 8, "float", 11000000);
  // 32 lanes of work on 64 take half a clock: 5.5e6 clocks over 10 SMs, but one SM has 2 of 11 blocks.
  CHECK(factor(uneven, "float unit").us == Approx(550));
  CHECK(factor(uneven, "float unit").busiest_us == Approx(1000));
  CHECK(uneven.tail_us == Approx(450));
  CHECK(uneven.total_us == Approx(1002));
  CHECK(uneven.limiting_factor == "float unit");

  const Estimate even = estimate_of(10, 8, "float", 11000000);
  CHECK(even.tail_us == Approx(0).margin(1e-9));
  CHECK(even.total_us == Approx(552));

  // One block on ten SMs: nine idle. 32 warps of 31250 instructions at 2 clocks; the unit takes 500 us.
  const Estimate alone = estimate_of(1, 32, "float", 1000000);
  CHECK(factor(alone, "float unit").us == Approx(50));
  CHECK(factor(alone, "latency").us == Approx(62.5));
  CHECK(alone.tail_us == Approx(437.5));
  CHECK(alone.total_us == Approx(502));
  CHECK(alone.limiting_factor == "tail");
}

TEST_CASE("a last wave that is nearly empty costs a whole one") {
  CostInput input = launch_of(81, 8);  // 8 at once on 10 SMs: one block too many
  input.barriers = 81 * 8 * 1000;      // 30000 clocks a warp
  const Estimate estimate = estimate_cost(input, round_device());
  CHECK(estimate.waves == 2);
  CHECK(factor(estimate, "latency").us == Approx(30 * 81 / 80.0));
  CHECK(factor(estimate, "latency").busiest_us == Approx(60));
  CHECK(estimate.total_us == Approx(62));
}

TEST_CASE("each unit limits where it is the slowest") {
  struct Case {
    const char* unit;
    const char* limiting;
    double us;  ///< of 32e6 warp instructions
  };
  const Case cases[] = {
      {"float", "float unit", 1600},     {"half", "half unit", 1600},       {"double", "double unit", 6400},
      {"integer", "integer unit", 1600}, {"special", "special unit", 6400}, {"convert", "convert unit", 3200},
      {"control", "control unit", 3200}, {"warp", "warp unit", 3200},       {"load", "load/store unit", 3200},
      {"other", "issue", 800},
  };
  for (const Case& expected : cases) {
    const Estimate estimate = estimate_of(10000, 8, expected.unit, 32000000);
    INFO(expected.unit);
    CHECK(estimate.limiting_factor == expected.limiting);
    CHECK(factor(estimate, expected.limiting).us == Approx(expected.us));
  }
  // Moves cost nothing; loads, stores and atomics share their unit; mma is counted by its multiply-adds.
  CostInput input = launch_of(10000, 8);
  input.warp_instructions = {
      {"move", 320000000}, {"load", 10000000}, {"store", 12000000}, {"atomic", 10000000}};
  const Estimate mixed = estimate_cost(input, round_device());
  CHECK(factor(mixed, "load/store unit").us == Approx(3200));
  CHECK(factor(mixed, "issue").us == Approx(800));
  input.tensor_fma = 1024e8;
  const Estimate tensor = estimate_cost(input, round_device());
  CHECK(tensor.limiting_factor == "tensor unit");
  CHECK(factor(tensor, "tensor unit").us == Approx(10000));
}

TEST_CASE("bank conflicts never make a kernel faster, and enough of them limit it") {
  CostInput input = copy_kernel();
  input.shared_waits = 1953125;
  double before = 0;
  for (const std::uint64_t conflicts : std::vector<std::uint64_t>{1, 2, 4, 8, 16, 32}) {
    input.shared_wavefronts = 1953125 * conflicts;
    const Estimate estimate = estimate_cost(input, round_device());
    CHECK(estimate.total_us >= before);
    before = estimate.total_us;
    CHECK(factor(estimate, "shared memory").us == Approx(195.3125 * static_cast<double>(conflicts)));
    CHECK((estimate.limiting_factor == "shared memory") == (conflicts >= 16));
  }
}

TEST_CASE("more work is never estimated faster, nor a better device slower") {
  using Change = std::function<void(CostInput&)>;
  const std::pair<const char*, Change> changes[] = {
      {"sectors", [](CostInput& input) { input.global_sectors *= 2; }},
      {"bytes", [](CostInput& input) { input.memory_bytes *= 2; }},
      {"loads", [](CostInput& input) { input.global_waits *= 2; }},
      {"wavefronts", [](CostInput& input) { input.shared_wavefronts *= 2; }},
      {"shared loads", [](CostInput& input) { input.shared_waits *= 2; }},
      {"barriers", [](CostInput& input) { input.barriers *= 2; }},
      {"multiply-adds", [](CostInput& input) { input.tensor_fma *= 2; }},
      {"registers", [](CostInput& input) { input.resources.registers *= 2; }},
      {"instructions",
       [](CostInput& input) {
         for (auto& [unit, count] : input.warp_instructions) {
           count *= 2;
         }
       }},
  };
  const std::pair<const char*, void (*)(DeviceDescription&)> improvements[] = {
      {"memory", [](DeviceDescription& device) { device.memory_gb_per_s *= 2; }},
      {"clock", [](DeviceDescription& device) { device.clock_ghz *= 2; }},
      {"SMs", [](DeviceDescription& device) { device.sm_count *= 2; }},
      {"latency", [](DeviceDescription& device) { device.global_latency /= 2; }},
  };
  for (const std::uint64_t blocks : std::vector<std::uint64_t>{1, 9, 11, 80, 81, 1000}) {
    CostInput input = launch_of(blocks, 8);
    input.warp_instructions = {{"float", 5000 * blocks}, {"load", 3000 * blocks}, {"special", 900 * blocks}};
    input.global_sectors = 40000 * blocks;
    input.memory_bytes = 900000 * blocks;
    input.global_waits = 3000 * blocks;
    input.shared_wavefronts = 7000 * blocks;
    input.shared_waits = 2000 * blocks;
    input.barriers = 80 * blocks;
    input.tensor_fma = 3e6 * static_cast<double>(blocks);
    const double base = estimate_cost(input, round_device()).total_us;
    for (const auto& [name, change] : changes) {
      INFO(blocks << " blocks, twice the " << name);
      CostInput more = input;
      change(more);
      CHECK(estimate_cost(more, round_device()).total_us >= base);
    }
    for (const auto& [name, improve] : improvements) {
      INFO(blocks << " blocks, better " << name);
      DeviceDescription better = round_device();
      improve(better);
      CHECK(estimate_cost(input, better).total_us <= base);
    }
    CHECK(estimate_cost(input, round_device()).total_us == base);
  }
}

TEST_CASE("a kernel that does next to nothing costs its launch") {
  const Estimate estimate = estimate_of(1, 1, "control", 1);
  CHECK(estimate.limiting_factor == "launch overhead");
  CHECK(estimate.total_us == Approx(2.002));  // one instruction of two clocks
}

TEST_CASE("a block that fits on no SM has no estimate") {
  CostInput input = launch_of(10, 8);
  input.resources.shared_bytes = 200 * 1024;
  const Estimate estimate = estimate_cost(input, round_device());
  CHECK_FALSE(estimate.fits);
  CHECK(estimate.occupancy.limit == "shared memory");
  CHECK(estimate.factors.empty());
}

}  // namespace
