#pragma once

#include <cstddef>
#include <cstdint>

/// Indices of the parameters and tunables of the ops that quantise rows by blocks.
namespace kerncast::quant::block_scaled_params {

/// nvfp4 has `experts`. mxfp4 and mxfp8 have `ocp_floor` in its place, and mxfp8 has `q_dtype` after it.
enum Param : std::size_t { x_dtype, hidden, sf_layout, alignment, experts, ocp_floor = experts, q_dtype };
enum Tunable : std::size_t { threads, vectors };

}  // namespace kerncast::quant::block_scaled_params
