#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "kerncast/dtype.hpp"
#include "kerncast/export.hpp"
#include "kerncast/runtime.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast {

/// Device memory for hosts that have no allocator: the object owns it and frees it. A host with a framework
/// launches on that framework's memory instead.
///
/// Lifetime. The Runtime and the context in which the memory was allocated must outlive the object. The
/// memory is freed without waiting, so the kernels that use it must have run by then: synchronise their
/// streams first.
///
/// Thread-safety. Any thread may use or free the memory, since each call makes the context of the memory
/// current while it lasts. Moving and destroying exclude other uses of the object.
class KERNCAST_API DeviceBuffer {
 public:
  /// No memory.
  DeviceBuffer() noexcept = default;
  /// Allocates `bytes` bytes in the context that is current on this thread; 0 allocates nothing. The contents
  /// are undefined. Throws Error(out_of_memory), and Error(driver_error) if no context is current.
  DeviceBuffer(Runtime& runtime, std::size_t bytes);
  ~DeviceBuffer();
  /// Takes the memory over; `other` has none afterwards.
  DeviceBuffer(DeviceBuffer&& other) noexcept;
  /// Frees the memory, then takes that of `other` over.
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept;
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;

  /// The address on the device; null if there is no memory.
  [[nodiscard]] void* data() const noexcept { return reinterpret_cast<void*>(address_); }
  /// Bytes.
  [[nodiscard]] std::size_t size() const noexcept { return bytes_; }
  /// CUDA ordinal of the device that holds the memory.
  [[nodiscard]] int device() const noexcept { return device_; }

  /// A contiguous (row-major) view of `dims` elements at the start of the memory. Throws
  /// Error(invalid_argument) if a dimension is negative, if there are more than TensorView::max_rank, or if
  /// the memory is too small.
  [[nodiscard]] TensorView tensor(DType dtype, std::initializer_list<std::int64_t> dims) const;

  /// Copies `bytes` bytes from host memory to byte `offset`, after what was enqueued on `stream` before, and
  /// waits for the copy. A stream of null is the legacy default stream. Throws Error(invalid_argument) if the
  /// bytes do not fit, and Error(driver_error), also with the fault of an earlier kernel.
  void upload(const void* from, std::size_t bytes, Stream stream = nullptr, std::size_t offset = 0);
  /// Copies `bytes` bytes at byte `offset` to host memory, after what was enqueued on `stream` before, and
  /// waits for the copy. Throws as upload() does.
  void download(void* to, std::size_t bytes, Stream stream = nullptr, std::size_t offset = 0) const;

 private:
  void free() noexcept;

  const void* api_ = nullptr;  ///< the functions of the driver
  void* context_ = nullptr;    ///< CUcontext
  std::uint64_t address_ = 0;
  std::size_t bytes_ = 0;
  int device_ = 0;
};

}  // namespace kerncast
