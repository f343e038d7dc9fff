#pragma once

#include <memory>

#include "kerncast/runtime.hpp"
#include "tools/run/op_run.hpp"

namespace kerncast::tools {

/// A runtime and a device that can be made anew after a kernel has faulted, which ends a CUDA context.
class DeviceSession {
 public:
  /// Throws as Runtime and RunDevice do.
  DeviceSession(RuntimeOptions options, int ordinal);
  ~DeviceSession();
  DeviceSession(const DeviceSession&) = delete;
  DeviceSession& operator=(const DeviceSession&) = delete;

  [[nodiscard]] Runtime& runtime() { return *runtime_; }
  [[nodiscard]] RunDevice& device() { return *device_; }

  /// False if the context has faulted: nothing can be launched in it any more.
  [[nodiscard]] bool healthy() const;

  /// Resets the device's primary context and makes runtime and device anew. Whatever refers to the old ones
  /// must be gone. Throws Error(driver_error) if the device does not come back; then the object can only be
  /// renewed again or destroyed.
  void renew();

 private:
  RuntimeOptions options_;
  int ordinal_;
  std::unique_ptr<Runtime> runtime_;
  std::unique_ptr<RunDevice> device_;
};

}  // namespace kerncast::tools
