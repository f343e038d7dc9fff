#pragma once

#include "templates/norm/shared/rms_params.hpp"

/// The parameters of comm.all_reduce_add_rms_norm past those of rms_params.
namespace kerncast::comm::all_reduce_add_rms_norm_params {

enum Param : std::size_t { residual_dtype = norm::rms_params::count, round_residual, world, algorithm };

}  // namespace kerncast::comm::all_reduce_add_rms_norm_params
