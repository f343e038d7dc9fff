#include "runtime/driver/driver_error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

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

bool code_is_to_blame(const Error& error) {
  constexpr CUresult faults[] = {CUDA_ERROR_INVALID_IMAGE, CUDA_ERROR_INVALID_SOURCE, CUDA_ERROR_INVALID_PTX,
                                 CUDA_ERROR_NO_BINARY_FOR_GPU, CUDA_ERROR_NOT_FOUND};
  return error.code() == ErrorCode::driver_error &&
         std::find(std::begin(faults), std::end(faults), error.driver_result()) != std::end(faults);
}

}  // namespace kerncast::driver
