#pragma once

#include <cstddef>

/// Indices of the parameters and tunables of the ops that quantise rows by blocks.
namespace kerncast::quant::block_scaled_params {

enum Param : std::size_t { x_dtype, hidden, sf_layout, alignment, count };
/// Further parameters of nvfp4.
enum NvParam : std::size_t { experts = count };
/// Further parameters of mxfp4 and mxfp8. Only mxfp8 has `q_dtype`.
enum MxParam : std::size_t { ocp_floor = count, q_dtype };
enum Tunable : std::size_t { threads, vectors };

}  // namespace kerncast::quant::block_scaled_params
