#pragma once

#include <cstddef>
#include <cstdint>

/// Places of the parameters and tunables in Specialisation and Tunables.
namespace kerncast::quant::per_token_group_params {

enum Param : std::size_t { x_dtype, q_dtype, hidden, group, scale_layout, scale_format, alignment };
enum Tunable : std::size_t { threads, vectors };

}  // namespace kerncast::quant::per_token_group_params
