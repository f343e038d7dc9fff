#pragma once

#include <string_view>

#include "runtime/driver/driver_api.hpp"

namespace kerncast::driver {

/// Throws Error(driver_error; out_of_memory for that code) unless `result` is success: `what` was attempted,
/// the driver's name and text for the code, the code, and the fault's own words where the driver has any.
void check(const DriverApi& api, CUresult result, std::string_view what);

}  // namespace kerncast::driver
