#pragma once

#include <cstddef>

/// Positions of the parameters and tunables in Specialisation and Tunables.
namespace kerncast::moe::align_block_size_params {

enum Param : std::size_t { experts, top_k, block, has_expert_map, split };
enum Tunable : std::size_t { threads };

}  // namespace kerncast::moe::align_block_size_params
