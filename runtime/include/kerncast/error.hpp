#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "kerncast/export.hpp"

namespace kerncast {

/// What kind of failure an Error is.
enum class ErrorCode : std::uint8_t {
  invalid_argument,  ///< a tensor, parameter or option breaks a constraint; the message names it and the
                     ///< remedy
  unsupported,       ///< valid, but not offered on this device, driver or compiler
  not_found,         ///< an op, file, library, device or compiler that is not there
  compile_failed,    ///< NVRTC refused the generated source; the message holds source, options and log
  driver_error,      ///< a Driver API call failed; the message holds the driver's name for its code
  out_of_memory,     ///< host or device memory
  io_error,          ///< a file could not be read or written
  capture_miss,      ///< a miss during CUDA-graph capture that the miss policy forbids
  internal,          ///< a defect of Kerncast
};

/// Stable lower-case name of `code`, as printed by the command.
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
  }
  return "unknown";
}

/// The exception of the C++ API. what() says what failed, with what, and what to do.
class KERNCAST_API Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  [[nodiscard]] ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

}  // namespace kerncast
