#include "tools/tune/evaluate/model_digest.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <vector>

#include "cache/key.hpp"
#include "runtime/devices/cost_model.hpp"

namespace kerncast::tools {
namespace {

/// Launches that give every factor of the model work: of few and of many blocks, with even and uneven warps.
std::vector<devices::CostInput> probes() {
  std::vector<devices::CostInput> made;
  for (const std::uint64_t blocks : {std::uint64_t{1}, std::uint64_t{150}, std::uint64_t{100'000}}) {
    devices::CostInput probe;
    probe.blocks = blocks;
    probe.warps_per_block = 8;
    probe.resources = {256, 40, 8192};
    for (const char* unit : {"float", "double", "half", "integer", "special", "convert", "control", "load",
                             "store", "atomic", "warp", "tensor"}) {
      devices::add_class(probe, unit,
                         {70 * blocks, 8 * blocks, 64 * blocks, 6 * blocks, 12 * blocks, 4096.0});
    }
    probe.memory_bytes = 4096 * blocks;
    probe.barriers = 16 * blocks;
    made.push_back(probe);
    probe.longest_warp = 5000;
    probe.longest_warp_requests = 60;
    made.push_back(std::move(probe));
  }
  return made;
}

/// Changes when launches are counted otherwise, as when counts of many rows come from other ones of fewer.
constexpr const char* counting = "2";

}  // namespace

std::string model_digest(const devices::DeviceDescription& device) {
  cache::KeyFields fields;
  fields.add("counting", counting);
  fields.add("device", device.name);
  fields.add("arch", device.arch);
  fields.add("memory", fmt::format("{}", device.memory_gb_per_s));
  fields.add("launch", fmt::format("{}", device.launch_overhead_us));
  for (const devices::CostInput& probe : probes()) {
    const devices::Estimate estimate = devices::estimate_cost(probe, device);
    fields.add("total",
               fmt::format("{} {} {}", estimate.total_us, estimate.waves, estimate.occupancy.blocks_per_sm));
    for (const devices::CostFactor& factor : estimate.factors) {
      fields.add(factor.name, fmt::format("{} {}", factor.us, factor.busiest_us));
    }
  }
  return fields.key().hex();
}

}  // namespace kerncast::tools
