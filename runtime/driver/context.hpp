#pragma once

#include <cstddef>
#include <memory>

#include "runtime/driver/driver_api.hpp"

namespace kerncast::driver {

/// Retains a device's primary context and keeps it current on this thread while the object lives. Construct
/// and destroy such objects on one thread, in stack order.
class PrimaryContext {
 public:
  /// Throws Error(driver_error) if the device does not exist or cannot be opened.
  PrimaryContext(std::shared_ptr<const Driver> driver, int ordinal);
  ~PrimaryContext();
  PrimaryContext(const PrimaryContext&) = delete;
  PrimaryContext& operator=(const PrimaryContext&) = delete;

  [[nodiscard]] const DriverApi& api() const { return driver_->api; }
  [[nodiscard]] int ordinal() const { return ordinal_; }
  [[nodiscard]] CUcontext handle() const { return context_; }
  /// Waits for the device. Throws Error(driver_error) with the fault of a failed launch.
  void synchronize() const;

 private:
  std::shared_ptr<const Driver> driver_;
  int ordinal_;
  CUdevice device_ = 0;
  CUcontext context_ = nullptr;
};

/// Makes a context current on this thread while the object lives.
class CurrentContext {
 public:
  CurrentContext(const DriverApi& api, CUcontext context);
  ~CurrentContext();
  CurrentContext(const CurrentContext&) = delete;
  CurrentContext& operator=(const CurrentContext&) = delete;

 private:
  const DriverApi* api_;
};

/// While the object lives, this thread may make calls that a stream capture forbids in the stricter modes,
/// such as loading a module, whether the capture is its own or another thread's. Such calls do not become
/// part of the capture.
class RelaxedCapture {
 public:
  explicit RelaxedCapture(const DriverApi& api);
  ~RelaxedCapture();
  RelaxedCapture(const RelaxedCapture&) = delete;
  RelaxedCapture& operator=(const RelaxedCapture&) = delete;

 private:
  const DriverApi* api_;
  CUstreamCaptureMode mode_ = CU_STREAM_CAPTURE_MODE_RELAXED;  ///< after construction the previous mode,
                                                               ///< which the destructor restores
};

/// Device memory of the current context, freed with the object. An object of zero bytes allocates nothing.
class DeviceBuffer {
 public:
  /// Throws Error(out_of_memory).
  DeviceBuffer(const DriverApi& api, std::size_t bytes);
  ~DeviceBuffer();
  DeviceBuffer(DeviceBuffer&& other) noexcept;
  DeviceBuffer& operator=(DeviceBuffer&&) = delete;
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;

  [[nodiscard]] void* data() const { return reinterpret_cast<void*>(address_); }
  [[nodiscard]] CUdeviceptr address() const { return address_; }
  [[nodiscard]] std::size_t size() const { return bytes_; }
  /// Copies `bytes` bytes to or from `offset`, waiting for the copy.
  void upload(const void* from, std::size_t bytes, std::size_t offset = 0) const;
  void download(void* to, std::size_t bytes, std::size_t offset = 0) const;
  /// Sets every byte to `value` and waits until that has happened, so that work on any stream may follow.
  void fill(unsigned char value) const;

 private:
  const DriverApi* api_;
  CUdeviceptr address_ = 0;
  std::size_t bytes_ = 0;
};

/// A stream of the current context.
class StreamHandle {
 public:
  explicit StreamHandle(const DriverApi& api, unsigned int flags = CU_STREAM_NON_BLOCKING);
  ~StreamHandle();
  StreamHandle(StreamHandle&& other) noexcept;
  StreamHandle& operator=(StreamHandle&&) = delete;
  StreamHandle(const StreamHandle&) = delete;
  StreamHandle& operator=(const StreamHandle&) = delete;

  [[nodiscard]] CUstream get() const { return stream_; }
  void synchronize() const;

 private:
  const DriverApi* api_;
  CUstream stream_ = nullptr;
};

/// An event of the current context.
class Event {
 public:
  explicit Event(const DriverApi& api, unsigned int flags = CU_EVENT_DEFAULT);
  ~Event();
  Event(Event&& other) noexcept;
  Event& operator=(Event&&) = delete;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  [[nodiscard]] CUevent get() const { return event_; }
  void record(CUstream stream) const;
  void synchronize() const;
  /// Milliseconds from `start` to this event; both must have happened.
  [[nodiscard]] float milliseconds_since(const Event& start) const;

 private:
  const DriverApi* api_;
  CUevent event_ = nullptr;
};

}  // namespace kerncast::driver
