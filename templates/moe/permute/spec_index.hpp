#pragma once

#include <cstddef>

/// Positions of the parameters and tunables in Specialisation and Tunables.
namespace kerncast::moe::permute_params {

enum Param : std::size_t { x_dtype, hidden, top_k, experts, has_scales, scale_dtype, placing, alignment };
/// The tunables that follow those of moe::row_tiles.
enum Tunable : std::size_t { grouping_threads = 3 };

}  // namespace kerncast::moe::permute_params
