#include "runtime/c_api/error.hpp"

#include <memory>
#include <string>

struct kerncast_error {
  kerncast_status status;
  int driver_result;
  std::string message;
};

namespace kerncast::c_api {
namespace {

constexpr const char* no_memory = "host memory ran out; free some and repeat the call";

/// The error of a process that has no memory for another one. Its text is short enough to need none.
kerncast_error& spare_error() noexcept {
  static kerncast_error error{KERNCAST_OUT_OF_MEMORY, 0, {}};
  return error;
}

kerncast_error* make_error(kerncast_status status, const char* message, int driver_result) noexcept {
  try {
    return new kerncast_error{status, driver_result, message};
  } catch (...) {
    return nullptr;
  }
}

}  // namespace

kerncast_status report(kerncast_error** place, kerncast_status status, const char* message,
                       int driver_result) noexcept {
  if (place == nullptr) {
    return status;
  }
  *place = make_error(status, message, driver_result);
  if (*place == nullptr) {
    *place = &spare_error();
    return KERNCAST_OUT_OF_MEMORY;
  }
  return status;
}

kerncast_status report_current_exception(kerncast_error** place) noexcept {
  try {
    throw;
  } catch (const Error& error) {
    return report(place, static_cast<kerncast_status>(error.code()), error.what(), error.driver_result());
  } catch (const std::bad_alloc&) {
    return report(place, KERNCAST_OUT_OF_MEMORY, no_memory);
  } catch (const std::exception& error) {
    return report(place, KERNCAST_INTERNAL, error.what());
  } catch (...) {
    return report(place, KERNCAST_INTERNAL, "an exception of an unknown type; this is a defect of Kerncast");
  }
}

}  // namespace kerncast::c_api

const char* kerncast_status_name(kerncast_status status) {
  if (status == KERNCAST_OK) {
    return "ok";
  }
  if (status < KERNCAST_INVALID_ARGUMENT || status > KERNCAST_CACHE_MISS) {
    return "unknown";
  }
  // Every name is a literal, which ends with a zero.
  return kerncast::error_name(static_cast<kerncast::ErrorCode>(status)).data();
}

kerncast_error* kerncast_error_create(kerncast_status status, const char* message) {
  return status == KERNCAST_OK ? nullptr
                               : kerncast::c_api::make_error(status, message == nullptr ? "" : message, 0);
}

kerncast_status kerncast_error_status(const kerncast_error* error) {
  return error == nullptr ? KERNCAST_OK : error->status;
}

const char* kerncast_error_message(const kerncast_error* error) {
  if (error == nullptr) {
    return "";
  }
  return error == &kerncast::c_api::spare_error() ? kerncast::c_api::no_memory : error->message.c_str();
}

int32_t kerncast_error_driver_result(const kerncast_error* error) {
  return error == nullptr ? 0 : error->driver_result;
}

void kerncast_error_free(kerncast_error* error) {
  if (error != &kerncast::c_api::spare_error()) {
    delete error;
  }
}
