#pragma once

#include <cstddef>
#include <cstdint>

/// Indices of the parameters and tunables of quant.dequant.
namespace kerncast::quant::dequant_params {

enum Param : std::size_t {
  scheme,
  q_dtype,
  y_dtype,
  hidden,
  group,
  scale_layout,
  scale_format,
  sf_layout,
  alignment
};
enum Tunable : std::size_t { threads, vectors };

}  // namespace kerncast::quant::dequant_params
