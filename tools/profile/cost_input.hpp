#pragma once

#include <cstdint>

#include "runtime/devices/cost_model.hpp"
#include "tools/profile/launch_profile.hpp"

namespace kerncast::tools {

/// Bytes of the sectors that a launch reads and writes in global memory.
struct MovedBytes {
  std::uint64_t loaded = 0;
  std::uint64_t stored = 0;

  [[nodiscard]] bool operator==(const MovedBytes&) const = default;
};
[[nodiscard]] MovedBytes moved_bytes(const LaunchProfile& profile);

/// The bytes that must come from memory or go there: what is moved, but no tensor more than once.
/// `read_bytes` and `written_bytes` are the sizes of the tensors.
[[nodiscard]] std::uint64_t memory_bytes(const MovedBytes& moved, std::uint64_t read_bytes,
                                         std::uint64_t written_bytes);

/// The input of the cost model for a profiled launch. `read_bytes` and `written_bytes` are the sizes of the
/// tensors it reads and writes; `registers` per thread come from the ptxas report.
[[nodiscard]] devices::CostInput cost_input(const LaunchProfile& profile, int registers,
                                            std::uint64_t read_bytes, std::uint64_t written_bytes);

}  // namespace kerncast::tools
