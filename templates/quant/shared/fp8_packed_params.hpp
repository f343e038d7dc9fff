#pragma once

#include <cstddef>
#include <cstdint>

/// Places of the parameters and tunables in Specialisation and Tunables.
namespace kerncast::quant::fp8_packed_params {

enum Param : std::size_t { wide_dtype, hidden, alignment, packed_alignment, contiguous };
enum Tunable : std::size_t { threads };

}  // namespace kerncast::quant::fp8_packed_params
