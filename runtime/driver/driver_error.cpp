#include "runtime/driver/driver_error.hpp"

#include <fmt/format.h>

#include "kerncast/error.hpp"

namespace kerncast::driver {

void check(const DriverApi& api, CUresult result, std::string_view what) {
  if (result == CUDA_SUCCESS) {
    return;
  }
  const char* name = nullptr;
  const char* text = nullptr;
  api.cuGetErrorName(result, &name);
  api.cuGetErrorString(result, &text);
  std::string message = fmt::format("{} failed: {} ({}): {}", what, name != nullptr ? name : "unknown error",
                                    static_cast<int>(result), text != nullptr ? text : "no description");
  const char* fault = api.last_fault != nullptr ? api.last_fault() : nullptr;
  if (fault != nullptr && *fault != '\0') {
    message += fmt::format("\n{}", fault);
  }
  if (result == CUDA_ERROR_INVALID_CONTEXT) {
    message +=
        "; make the device's primary context current on this thread first (Runtime::make_current does so)";
  }
  throw Error(result == CUDA_ERROR_OUT_OF_MEMORY ? ErrorCode::out_of_memory : ErrorCode::driver_error,
              message, static_cast<int>(result));
}

}  // namespace kerncast::driver
