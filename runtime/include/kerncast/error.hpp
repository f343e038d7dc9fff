#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

#include "kerncast/export.hpp"

namespace kerncast {

/// The kind of failure that an Error reports. The numbers are part of the ABI: append, never renumber. 0 is
/// no error and stays free.
enum class ErrorCode : std::uint8_t {
  invalid_argument = 1,  ///< a tensor, parameter or option breaks a constraint; the message names the remedy
  unsupported = 2,       ///< valid, but not offered on this device, driver or compiler
  not_found = 3,         ///< an op, file, library, device or compiler does not exist
  compile_failed = 4,    ///< NVRTC refused the generated source; the message holds source, options and log
  driver_error = 5,      ///< a Driver API call failed; Error::driver_result holds its CUresult
  out_of_memory = 6,     ///< host or device memory; for device memory Error::driver_result holds the CUresult
  io_error = 7,          ///< a file could not be read or written
  capture_miss = 8,  ///< a kernel is not cached and a CUDA graph is being captured, so nothing is compiled
  internal = 9,      ///< a defect of Kerncast
  cache_miss = 10,   ///< a kernel is not cached and MissPolicy::cache_only forbids compiling it
};

/// Stable lower-case name of `code`, as the kerncast command prints it. "unknown" for a number without a
/// code.
[[nodiscard]] constexpr std::string_view error_name(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::invalid_argument:
      return "invalid_argument";
    case ErrorCode::unsupported:
      return "unsupported";
    case ErrorCode::not_found:
      return "not_found";
    case ErrorCode::compile_failed:
      return "compile_failed";
    case ErrorCode::driver_error:
      return "driver_error";
    case ErrorCode::out_of_memory:
      return "out_of_memory";
    case ErrorCode::io_error:
      return "io_error";
    case ErrorCode::capture_miss:
      return "capture_miss";
    case ErrorCode::internal:
      return "internal";
    case ErrorCode::cache_miss:
      return "cache_miss";
  }
  return "unknown";
}

/// The exception of the C++ API. what() says what failed, with which values, and what to do.
class KERNCAST_API Error : public std::runtime_error {
 public:
  /// `message` is what() of the error; `driver_result` is the CUresult of a call of the driver that failed.
  Error(ErrorCode code, const std::string& message, int driver_result = 0)
      : std::runtime_error(message), code_(code), driver_result_(driver_result) {}
  /// The kind of failure.
  [[nodiscard]] ErrorCode code() const noexcept { return code_; }
  /// CUresult of the Driver API call that failed; 0 (CUDA_SUCCESS) if the failure is not the driver's.
  [[nodiscard]] int driver_result() const noexcept { return driver_result_; }

 private:
  ErrorCode code_;
  int driver_result_;
};

}  // namespace kerncast
