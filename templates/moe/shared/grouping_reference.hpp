#pragma once

#include <cstdint>
#include <vector>

#include "kerncast/reference.hpp"

/// The references of the ops that group slots by expert.
namespace kerncast::moe {

/// The slots of each expert, in increasing order. Slots whose id names no expert are left out.
[[nodiscard]] std::vector<std::vector<std::int64_t>> slots_by_expert(const ReferenceInput& input,
                                                                     std::int64_t experts,
                                                                     bool has_expert_map);

}  // namespace kerncast::moe
