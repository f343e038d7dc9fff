#pragma once

#include <cstddef>
#include <cstdint>

/// Indices of the parameters and tunables of the ops that quantise rows by groups.
namespace kerncast::quant::group_scaled_params {

/// Only ops whose input is gated have what follows `alignment`.
enum Param : std::size_t {
  x_dtype,
  q_dtype,
  hidden,
  group,
  scale_layout,
  scale_format,
  alignment,
  experts,
  limit,
};
enum Tunable : std::size_t { threads, vectors };

}  // namespace kerncast::quant::group_scaled_params
