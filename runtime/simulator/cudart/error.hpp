#pragma once

#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "runtime/simulator/cudart/types.hpp"

/// Errors of the runtime API: each thread's last one, and the text that goes with it.
namespace kerncast::cudart {

/// Thrown to leave the body of an API function with a code and a text that names the cause.
class Failure : public std::exception {
 public:
  explicit Failure(cudaError_t code, std::string detail = {}) : code_(code), detail_(std::move(detail)) {}
  [[nodiscard]] cudaError_t code() const { return code_; }
  [[nodiscard]] const char* what() const noexcept override { return detail_.c_str(); }

 private:
  cudaError_t code_;
  std::string detail_;
};

/// Throws Failure, with the driver's text, if a call of the driver failed.
void check(CUresult result);
/// Throws Failure(cudaErrorInvalidValue), which names `what`, if `pointer` is null.
void require(const void* pointer, std::string_view what);

/// Ends an API function: makes the outcome this thread's last error unless it is a success, and returns it.
/// The text of a driver's failure is kept for cudaGetErrorString.
cudaError_t finish(CUresult result) noexcept;
cudaError_t finish(cudaError_t error) noexcept;
cudaError_t finish(const Failure& failure) noexcept;

/// Makes `driver()`'s state an error of the runtime: cudaErrorInsufficientDriver if there is none.
[[nodiscard]] cudaError_t driver_error();

/// Runs the body of an API function that needs the driver but no context. The body returns a cudaError_t or a
/// CUresult, or throws Failure. No exception leaves it.
template <class Body>
cudaError_t driver_call(Body&& body) noexcept {
  try {
    if (const cudaError_t error = driver_error(); error != cudaSuccess) {
      return finish(error);
    }
    return finish(body());
  } catch (const Failure& failure) {
    return finish(failure);
  } catch (const std::bad_alloc&) {
    return finish(cudaErrorMemoryAllocation);
  } catch (const std::exception&) {
    return finish(cudaErrorUnknown);
  }
}

}  // namespace kerncast::cudart
