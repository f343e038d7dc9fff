#pragma once

#include <cstddef>
#include <cstdint>

/// Places of the parameters and tunables in Specialisation and Tunables.
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
