#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

/// The condition of a device while it is measured: clocks, throttling, temperature and power, as NVML reports
/// them.
namespace kerncast::tools {

/// One look at a device. What the driver does not report is empty.
struct DeviceCondition {
  std::optional<unsigned int> sm_mhz;
  std::optional<unsigned int> memory_mhz;
  std::optional<unsigned int> celsius;
  std::optional<double> watts;
  std::uint64_t throttle_reasons = 0;  ///< bits of nvmlClocksThrottleReasons
};

/// A change of a clock by more than this part disturbs a measurement.
constexpr double clock_change_limit = 0.05;

/// The reasons among `bits` that slow a kernel down, in words. Idleness and a clock that the user set are
/// none.
[[nodiscard]] std::vector<std::string> slowing_reasons(std::uint64_t bits);

/// The disturbance of a measurement between two looks: a clock that changed by more than clock_change_limit,
/// or a reason of throttling. Empty if none is known.
[[nodiscard]] std::string disturbance(const DeviceCondition& before, const DeviceCondition& after);

/// Looks at one device through NVML. The library is loaded at run time, and nothing requires it: without it,
/// or for a device that it does not know (the virtual GPU is one), a look finds nothing.
class DeviceMonitor {
 public:
  static constexpr const char* nvidia_library = "libnvidia-ml.so.1";

  /// `uuid` is as driver::DeviceInfo has it. Never throws for a library or a device that is not there.
  explicit DeviceMonitor(const std::string& uuid, const std::string& library = nvidia_library);
  ~DeviceMonitor();
  DeviceMonitor(const DeviceMonitor&) = delete;
  DeviceMonitor& operator=(const DeviceMonitor&) = delete;

  /// The reason why nothing can be seen; empty if it can.
  [[nodiscard]] const std::string& defect() const { return defect_; }
  [[nodiscard]] DeviceCondition look() const;
  /// Version of the driver, such as "580.65.06"; empty if it cannot be seen.
  [[nodiscard]] std::string driver_version() const;
  /// The setting of the device's clocks: "applications clocks 1980/2619 MHz" for SMs and memory, or "up to
  /// 1980/2619 MHz" where the driver has no such setting. Empty if it cannot be seen.
  [[nodiscard]] std::string clock_policy() const;

 private:
  struct Api;
  std::unique_ptr<Api> api_;  ///< null if there is a defect
  void* device_ = nullptr;
  std::string defect_;
};

}  // namespace kerncast::tools
