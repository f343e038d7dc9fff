#pragma once

#include "templates/norm/shared/row_params.hpp"

/// Places of the parameters, past those of row_params, of the norms that quantise.
namespace kerncast::norm::rms_norm_quant_params {

enum Param : std::size_t {
  has_weight = row_params::count,
  has_y,
  q_dtype,
  scaling,
  group,
  scale_layout,
  scale_format,
  residual_dtype,  ///< of the one that adds
};

}  // namespace kerncast::norm::rms_norm_quant_params
