#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

#include "runtime/devices/device_description.hpp"
#include "runtime/simulator/clock/device_time.hpp"
#include "runtime/simulator/clock/l2_cache.hpp"
#include "runtime/simulator/clock/noise.hpp"
#include "runtime/simulator/machine/machine.hpp"

namespace kerncast::simulator {

/// The clock of one virtual device: how long the work of its streams would take on the device that it stands
/// for, by the cost model of runtime/devices. All times are estimates. Thread-safe.
class DeviceClock {
 public:
  /// `device` must outlive the clock.
  DeviceClock(const devices::DeviceDescription& device, const Noise& noise);

  /// Numbers the next launch, copy or fill and returns the factor by which noise makes it longer.
  double next_pace();
  /// The time that a kernel reads if it begins at `start`.
  [[nodiscard]] KernelClock kernel_clock(DeviceTime start) const;
  /// Estimates a launch that has run, and notes what it leaves in L2. `slept` are the nanoseconds for which
  /// its warps slept. `eager`: the host launched it by itself, not in a graph. `hidden` is the time by which
  /// a dependent launch may begin before the launch before it has ended.
  DeviceTime launch_time(const Launch& launch, const LaunchProfile& counts, std::uint64_t slept, bool eager,
                         DeviceTime hidden);

  /// A copy or fill. Addresses are those of sides in memory of this device, 0 for others.
  struct Transfer {
    std::uint64_t to = 0;
    std::uint64_t from = 0;
    std::uint64_t bytes = 0;
    bool over_bus = false;  ///< to or from the host or another device
  };
  DeviceTime transfer_time(const Transfer& transfer);

  /// The latest time at which the host knows that work has ended. Work that the host submits later begins no
  /// earlier.
  [[nodiscard]] DeviceTime host_time() const {
    return DeviceTime(host_time_.load(std::memory_order_acquire));
  }
  /// The host has learnt that work had ended at `time`.
  void host_saw(DeviceTime time);

 private:
  const devices::DeviceDescription& device_;
  Noise noise_;
  std::atomic<std::uint64_t> launches_{0};
  std::atomic<std::int64_t> host_time_{1'000'000'000'000};  ///< not 0, which programs take for no time
  std::mutex mutex_;
  L2Cache cache_;  ///< guarded by mutex_
};

}  // namespace kerncast::simulator
