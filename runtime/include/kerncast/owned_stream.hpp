#pragma once

#include "kerncast/export.hpp"
#include "kerncast/runtime.hpp"

namespace kerncast {

/// A stream for hosts that have none: the object owns and destroys it. A host with a framework launches on
/// that framework's stream instead.
///
/// Lifetime. The Runtime and the context of the stream must outlive the object. Destroying it waits for
/// nothing; what was enqueued on the stream still runs.
///
/// Thread-safety. Any thread may use the stream. Moving and destroying exclude other uses of the object.
class KERNCAST_API OwnedStream {
 public:
  /// Creates a stream of the context that is current on this thread. It is non-blocking: it does not wait for
  /// the legacy default stream, nor that one for it. Throws Error(driver_error) if no context is current.
  explicit OwnedStream(Runtime& runtime);
  ~OwnedStream();
  /// Takes the stream over; `other` has none afterwards.
  OwnedStream(OwnedStream&& other) noexcept;
  /// Destroys the stream, then takes that of `other` over.
  OwnedStream& operator=(OwnedStream&& other) noexcept;
  OwnedStream(const OwnedStream&) = delete;
  OwnedStream& operator=(const OwnedStream&) = delete;

  /// The stream, for launches. Null only after the object was moved from.
  [[nodiscard]] Stream get() const noexcept { return stream_; }
  /// Waits until everything that was enqueued on the stream has run. Throws Error(driver_error) with the
  /// fault of a kernel, if one had a fault.
  void synchronize() const;

 private:
  void destroy() noexcept;

  const void* api_ = nullptr;  ///< the functions of the driver
  void* context_ = nullptr;    ///< CUcontext
  Stream stream_ = nullptr;
};

}  // namespace kerncast
