#pragma once

#include <cstddef>
#include <cstdint>

#include "kerncast/op_definition.hpp"

namespace kerncast::tools {

/// The function that divides launch number `stage` of a call of `op`.
[[nodiscard]] inline auto stage_geometry(const OpDefinition& op, std::size_t stage) {
  return stage == 0 ? op.geometry : op.later_stages[stage - 1].geometry;
}

[[nodiscard]] inline std::uint64_t block_count(const LaunchGeometry& geometry) {
  return std::uint64_t{geometry.grid[0]} * geometry.grid[1] * geometry.grid[2];
}

}  // namespace kerncast::tools
