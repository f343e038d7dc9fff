#pragma once

#include <cstddef>
#include <cstdint>

/// Places of the parameters and tunables in Specialisation and Tunables.
namespace kerncast::moe::permute_params {

enum Param : std::size_t { x_dtype, hidden, top_k, experts, has_scales, scale_dtype, placing, alignment };
/// After those of row_tiles.
enum Tunable : std::size_t { grouping_threads = 3 };
/// Values of placing.
enum Placing : std::int32_t { direct, whole, split };

}  // namespace kerncast::moe::permute_params
