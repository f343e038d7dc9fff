#pragma once

#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "kerncast/op_definition.hpp"
#include "runtime/driver/driver_api.hpp"

namespace kerncast {

struct KernelBinary;

/// A kernel loaded on one device.
struct LoadedKernel {
  std::array<void*, OpDefinition::max_stages> functions{};  ///< null past the op's last stage
  double load_us = 0;
  std::shared_ptr<const KernelBinary> binary;
};

/// One device as the runtime uses it: its primary context, which is retained, and its traits.
class DeviceState {
 public:
  DeviceState(std::shared_ptr<const driver::Driver> driver, int ordinal);
  ~DeviceState();
  DeviceState(const DeviceState&) = delete;
  DeviceState& operator=(const DeviceState&) = delete;

  [[nodiscard]] const DeviceTraits& traits() const { return traits_; }
  [[nodiscard]] const std::string& arch() const { return arch_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] int ordinal() const { return ordinal_; }
  [[nodiscard]] driver::CUcontext context() const { return context_; }

  /// Makes the primary context current on this thread.
  void make_current() const;

  /// Loads `binary` (the cubin, or the PTX if the driver refuses the cubin) into the primary context, which
  /// must be current, and returns its functions. `what` names the kernel in errors.
  LoadedKernel load(std::shared_ptr<const KernelBinary> binary, const std::string& what);

  /// Unloads everything that load() has loaded. None of its functions may be in use, and none may be launched
  /// any more. The end of the object unloads nothing, so a tool that makes one runtime after another calls
  /// this before it.
  void unload() noexcept;

  /// Loads code as load() does, finds its `kernels`, and unloads it. Throws as load() does.
  void try_load(const std::string& cubin, const std::string& ptx, const std::vector<std::string>& kernels,
                const std::string& what) const;

 private:
  [[nodiscard]] driver::CUlibrary open_library(const std::string& cubin, const std::string& ptx,
                                               const std::string& what) const;
  [[nodiscard]] driver::CUfunction find_function(driver::CUlibrary library, const std::string& kernel,
                                                 const std::string& what) const;

  std::shared_ptr<const driver::Driver> driver_;
  int ordinal_;
  driver::CUdevice device_ = 0;
  driver::CUcontext context_ = nullptr;
  DeviceTraits traits_;
  std::string arch_;
  std::string name_;
  std::mutex libraries_mutex_;
  std::vector<driver::CUlibrary> libraries_;  ///< of load()
};

}  // namespace kerncast
