#pragma once

#include <cstddef>
#include <cstdint>

#include "kerncast/runtime.hpp"

/// Memory, contexts and streams of the driver that Kerncast uses.
namespace kerncast::python {

/// The runtime of this process. Throws Error(unsupported) in a process that was forked after Kerncast had
/// been used: the driver does not survive a fork.
[[nodiscard]] Runtime& runtime();

/// The primary context of `device` is current on this thread while it lives, and stays current on a thread
/// that had none. Throws Error.
class DeviceGuard {
 public:
  explicit DeviceGuard(int device);
  ~DeviceGuard();
  DeviceGuard(const DeviceGuard&) = delete;
  DeviceGuard& operator=(const DeviceGuard&) = delete;

 private:
  void* before_ = nullptr;               ///< the context to make current again; null: none
  int (*set_current_)(void*) = nullptr;  ///< the driver's function for it
};

/// Memory of `device`; null for no bytes. Throws Error(out_of_memory).
[[nodiscard]] void* allocate(int device, std::size_t bytes);
/// Waits for the kernels that use the memory. Never throws: Python frees memory where nothing can be
/// reported.
void release(int device, void* data) noexcept;
/// Copies after all work of the legacy default stream. Throws Error, also for the fault of an earlier kernel.
void copy_to_device(int device, void* to, const void* from, std::size_t bytes);
void copy_to_host(int device, void* to, const void* from, std::size_t bytes);
/// Waits for all work on `device`. Throws Error, with the text of the driver about a fault.
void synchronize(int device);
/// Makes `stream` wait for the work that the legacy default stream has now.
void wait_for_default_stream(int device, Stream stream);

/// A stream that Python names by a number: 1 is the legacy default stream and 2 the default stream of the
/// thread, as in DLPack; 0 is the legacy one too, as frameworks write it; any other is a CUstream.
[[nodiscard]] Stream stream_from_number(std::uint64_t number) noexcept;

}  // namespace kerncast::python
