#pragma once

#include <fmt/format.h>

#include <exception>
#include <new>
#include <utility>

#include "kerncast/error.hpp"
#include "kerncast/kerncast.h"

/// The border between exceptions and status codes.
namespace kerncast::c_api {

/// Writes a new error into `place`, unless that is null, and returns `status`. If memory runs out, the error
/// is a constant one that says so.
kerncast_status report(kerncast_error** place, kerncast_status status, const char* message,
                       int driver_result = 0) noexcept;

/// Reports the exception that is being handled.
kerncast_status report_current_exception(kerncast_error** place) noexcept;

/// Runs `work` and turns any exception into a status and an error.
template <class Work>
kerncast_status guarded(kerncast_error** place, Work&& work) noexcept {
  try {
    std::forward<Work>(work)();
  } catch (...) {
    return report_current_exception(place);
  }
  if (place != nullptr) {
    *place = nullptr;
  }
  return KERNCAST_OK;
}

/// The object behind a pointer of the caller. Throws Error(invalid_argument), which names function and
/// argument, if the pointer is null.
template <class T>
[[nodiscard]] T& need(T* pointer, const char* function, const char* argument) {
  if (pointer == nullptr) [[unlikely]] {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("{}: {} is NULL; pass a valid pointer", function, argument));
  }
  return *pointer;
}

}  // namespace kerncast::c_api
