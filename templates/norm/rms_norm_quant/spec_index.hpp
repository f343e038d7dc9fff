#pragma once

#include "templates/norm/shared/row_params.hpp"

/// The parameters of the norms that quantise past those of row_params.
namespace kerncast::norm::rms_norm_quant_params {

enum Param : std::size_t {
  weight_dtype = row_params::count,
  has_weight,
  has_y,
  q_dtype,
  scaling,
  group,
  scale_layout,
  scale_format,
  sf_layout,
  residual_dtype,  ///< fused_add_rms_norm_quant alone, as what follows
  round_residual,
};

}  // namespace kerncast::norm::rms_norm_quant_params
