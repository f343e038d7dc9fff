#pragma once

#include <cstddef>
#include <cstdint>

/// Indices of the parameters and tunables of the ops that pack and unpack fp8 rows.
namespace kerncast::quant::packed_rows_params {

enum Param : std::size_t { wide_dtype, hidden, alignment, packed_alignment, contiguous };
enum Tunable : std::size_t { threads };

}  // namespace kerncast::quant::packed_rows_params
