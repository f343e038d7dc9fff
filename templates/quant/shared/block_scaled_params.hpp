#pragma once

#include <cstddef>
#include <cstdint>

/// Places of the parameters and tunables of the ops that quantise blocks.
namespace kerncast::quant::block_scaled_params {

/// nvfp4 has `experts`; mxfp4 and mxfp8 `ocp_floor` in its place, mxfp8 then `q_dtype`.
enum Param : std::size_t { x_dtype, hidden, sf_layout, alignment, experts, ocp_floor = experts, q_dtype };
enum Tunable : std::size_t { threads, vectors };

}  // namespace kerncast::quant::block_scaled_params
