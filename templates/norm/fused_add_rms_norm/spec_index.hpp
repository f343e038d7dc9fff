#pragma once

#include "templates/norm/shared/rms_params.hpp"

/// The parameter of norm.fused_add_rms_norm past those of rms_params.
namespace kerncast::norm::fused_add_rms_norm_params {

enum Param : std::size_t { residual_dtype = rms_params::count };

}  // namespace kerncast::norm::fused_add_rms_norm_params
