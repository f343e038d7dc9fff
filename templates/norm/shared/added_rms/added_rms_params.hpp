#pragma once

#include "templates/norm/shared/rms_params.hpp"

/// The parameters that the norms of a sum with the residual stream have past those of rms_params.
namespace kerncast::norm::added_rms_params {

enum Param : std::size_t { residual_dtype = rms_params::count, round_residual, count };

}  // namespace kerncast::norm::added_rms_params
