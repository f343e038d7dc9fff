#pragma once

#include "templates/norm/shared/rms_params.hpp"

/// The parameters of norm.gated_rms_norm past those of rms_params.
namespace kerncast::norm::gated_rms_norm_params {

enum Param : std::size_t { z_dtype = rms_params::count, gate };

}  // namespace kerncast::norm::gated_rms_norm_params
