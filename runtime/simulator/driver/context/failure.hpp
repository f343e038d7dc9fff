#pragma once

#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "runtime/simulator/driver/abi/symbols.hpp"
#include "runtime/simulator/machine/machine.hpp"

namespace kerncast::simulator::api {

/// Thrown to leave the body of a driver call with a code, and with a text for kerncastSimLastFault.
class Failure : public std::exception {
 public:
  explicit Failure(CUresult code, std::string detail = {}) : code_(code), detail_(std::move(detail)) {}
  [[nodiscard]] CUresult code() const { return code_; }
  [[nodiscard]] const char* what() const noexcept override { return detail_.c_str(); }

 private:
  CUresult code_;
  std::string detail_;
};

/// Throws Failure(CUDA_ERROR_INVALID_VALUE), which names `what`, if `pointer` is null.
inline void require(const void* pointer, std::string_view what) {
  if (pointer == nullptr) {
    throw Failure(CUDA_ERROR_INVALID_VALUE, std::string(what) + " is null");
  }
}

/// The driver's code for a launch's fault.
[[nodiscard]] CUresult code_of(FaultKind kind);

/// Sets or clears the text of this thread's last failure.
void set_detail(std::string_view text) noexcept;

/// Throws Failure(CUDA_ERROR_NOT_INITIALIZED) before cuInit, and in a child process.
void require_initialised();

/// Runs the body of an exported function. No exception leaves it, and every failure leaves its text behind.
template <class Body>
CUresult bare_call(Body&& body) noexcept {
  set_detail({});
  try {
    return body();
  } catch (const Failure& failure) {
    set_detail(failure.what());
    return failure.code();
  } catch (const std::bad_alloc&) {
    set_detail("the host has no memory left");
    return CUDA_ERROR_OUT_OF_MEMORY;
  } catch (const std::exception& error) {
    set_detail(error.what());
    return CUDA_ERROR_UNKNOWN;
  }
}

/// Does what bare_call does, for functions that need cuInit first.
template <class Body>
CUresult driver_call(Body&& body) noexcept {
  return bare_call([&] {
    require_initialised();
    return body();
  });
}

}  // namespace kerncast::simulator::api
