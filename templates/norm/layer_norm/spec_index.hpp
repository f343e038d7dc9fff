#pragma once

#include "templates/norm/shared/row_params.hpp"

/// The parameters of norm.layer_norm past those of row_params.
namespace kerncast::norm::layer_norm_params {

enum Param : std::size_t { weight_dtype = row_params::count, has_weight, has_bias };

}  // namespace kerncast::norm::layer_norm_params
