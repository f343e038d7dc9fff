#pragma once

#include "templates/norm/shared/row_params.hpp"

/// Places of the parameters in Specialisation past those of row_params.
namespace kerncast::norm::layer_norm_params {

enum Param : std::size_t { has_weight = row_params::count, has_bias };

}  // namespace kerncast::norm::layer_norm_params
