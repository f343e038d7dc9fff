#pragma once

#include <cstddef>
#include <cstdint>

/// Indices of the parameters and tunables of quant.per_tensor_fp8.
namespace kerncast::quant::per_tensor_fp8_params {

enum Param : std::size_t { x_dtype, q_dtype, hidden, alignment, dynamic };
enum Tunable : std::size_t { threads, vectors, partials };

}  // namespace kerncast::quant::per_tensor_fp8_params
