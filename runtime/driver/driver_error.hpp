#pragma once

#include <string_view>

#include "kerncast/error.hpp"
#include "runtime/driver/driver_api.hpp"

namespace kerncast::driver {

/// Throws unless `result` is CUDA_SUCCESS: Error(out_of_memory) for CUDA_ERROR_OUT_OF_MEMORY, else
/// Error(driver_error). The message says what was attempted (`what`) and gives the driver's name, number and
/// text of the code, and the virtual GPU's own account of a fault if there is one. Error::driver_result is
/// `result`.
void check(const DriverApi& api, CUresult result, std::string_view what);

/// True if the driver refused the code that it was to load. Another driver would refuse it too.
[[nodiscard]] bool code_is_to_blame(const Error& error);

}  // namespace kerncast::driver
