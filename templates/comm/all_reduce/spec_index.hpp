#pragma once

#include "templates/norm/shared/row_params.hpp"

/// The parameters of comm.all_reduce past those of row_params.
namespace kerncast::comm::all_reduce_params {

enum Param : std::size_t { world = norm::row_params::count, algorithm };

}  // namespace kerncast::comm::all_reduce_params
