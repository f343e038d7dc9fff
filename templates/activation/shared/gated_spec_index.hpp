#pragma once

#include <cstddef>
#include <cstdint>

/// Positions of the parameters and tunables in Specialisation and Tunables.
namespace kerncast::activation::gated_params {

/// Only silu_and_mul has `limit`.
enum Param : std::size_t { x_dtype, y_dtype, hidden, alignment, experts, limit };
enum Tunable : std::size_t { threads, vectors };

}  // namespace kerncast::activation::gated_params
