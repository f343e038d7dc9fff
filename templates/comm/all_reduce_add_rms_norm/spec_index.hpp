#pragma once

#include "templates/norm/shared/added_rms/added_rms_params.hpp"

/// The parameters of comm.all_reduce_add_rms_norm past those of added_rms_params.
namespace kerncast::comm::all_reduce_add_rms_norm_params {

enum Param : std::size_t { world = norm::added_rms_params::count, algorithm };

}  // namespace kerncast::comm::all_reduce_add_rms_norm_params
