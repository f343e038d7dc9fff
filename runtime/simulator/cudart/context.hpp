#pragma once

#include "runtime/simulator/cudart/driver.hpp"
#include "runtime/simulator/cudart/error.hpp"

/// The device and context of a thread. The runtime's context of a device is the driver's primary one; a
/// context that the program made current by the Driver API is used as it is.
namespace kerncast::cudart {

/// Makes sure that a context is current: the primary context of this thread's device unless there is one.
void use_context();

/// The device that this thread's calls go to: that of its current context, else the one it chose.
int current_device();

/// Throws Failure(cudaErrorInvalidDevice) unless the driver has a device `device`.
void require_device(int device);

/// The primary context of a device, retained on first use until the process ends or the device is reset.
/// Throws Failure.
CUcontext primary_context(int device);

/// True while a function of the family runs whose null stream is the default stream of the calling thread.
bool per_thread_default();

/// `stream`, with the null stream replaced by the default stream that the calling function means.
inline CUstream default_stream(CUstream stream) {
  return stream == nullptr && per_thread_default() ? stream_per_thread : stream;
}

/// Makes per_thread_default() true for its life.
class PerThreadDefault {
 public:
  PerThreadDefault();
  PerThreadDefault(const PerThreadDefault&) = delete;
  PerThreadDefault& operator=(const PerThreadDefault&) = delete;
  ~PerThreadDefault();

 private:
  bool before_;
};

/// Runs the body of an API function that needs a context. See driver_call().
template <class Body>
cudaError_t device_call(Body&& body) noexcept {
  return driver_call([&] {
    use_context();
    return body();
  });
}

}  // namespace kerncast::cudart
