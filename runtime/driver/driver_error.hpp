#pragma once

#include <string_view>

#include "runtime/driver/driver_api.hpp"

namespace kerncast::driver {

/// Throws unless `result` is CUDA_SUCCESS: Error(out_of_memory) for CUDA_ERROR_OUT_OF_MEMORY, else
/// Error(driver_error). The message says what was attempted (`what`) and gives the driver's name, number and
/// text of the code, and the virtual GPU's own account of a fault if there is one. Error::driver_result is
/// `result`.
void check(const DriverApi& api, CUresult result, std::string_view what);

}  // namespace kerncast::driver
