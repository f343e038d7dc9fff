#include "tools/profile/cost_input.hpp"

#include <algorithm>

namespace kerncast::tools {

MovedBytes moved_bytes(const LaunchProfile& profile) {
  const GlobalTraffic traffic = global_traffic(profile);
  return {32 * (traffic.loads.global_sectors + traffic.atomics.global_sectors),
          32 * (traffic.stores.global_sectors + traffic.atomics.global_sectors)};
}

std::uint64_t memory_bytes(const MovedBytes& moved, std::uint64_t read_bytes, std::uint64_t written_bytes) {
  return std::min(moved.loaded, read_bytes) + std::min(moved.stored, written_bytes);
}

devices::CostInput cost_input(const LaunchProfile& profile, int registers, std::uint64_t read_bytes,
                              std::uint64_t written_bytes) {
  devices::CostInput input;
  input.blocks = profile.blocks();
  input.warps_per_block = profile.warps_per_block();
  input.resources = {profile.threads_per_block(), registers,
                     std::uint64_t{profile.static_shared} + profile.dynamic_shared};
  for (const UnitCounts& unit : counts_by_unit(profile)) {
    devices::add_class(input, unit.unit,
                       {.warp_instructions = unit.counts.warp_instructions,
                        .global_requests = unit.counts.global_requests,
                        .global_sectors = unit.counts.global_sectors,
                        .shared_requests = unit.counts.shared_requests,
                        .shared_wavefronts = unit.counts.shared_wavefronts,
                        .tensor_fma = unit.unit == "tensor" ? total_tensor_fma(profile) : 0});
  }
  input.longest_warp = profile.longest_warp;
  input.longest_warp_requests = profile.longest_warp_requests;
  input.memory_bytes = memory_bytes(moved_bytes(profile), read_bytes, written_bytes);
  return input;
}

}  // namespace kerncast::tools
