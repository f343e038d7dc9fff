#pragma once

#include "templates/norm/shared/rms_params.hpp"

/// The parameters of norm.fused_add_rms_norm past those of rms_params.
namespace kerncast::norm::fused_add_rms_norm_params {

enum Param : std::size_t { residual_dtype = rms_params::count, round_residual };

}  // namespace kerncast::norm::fused_add_rms_norm_params
