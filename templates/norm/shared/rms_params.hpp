#pragma once

#include "templates/norm/shared/row_params.hpp"

/// The parameters that the root-mean-square norms with a weight have past those of row_params.
namespace kerncast::norm::rms_params {

enum Param : std::size_t { weight_dtype = row_params::count, has_weight, hf_rounding, count };

}  // namespace kerncast::norm::rms_params
