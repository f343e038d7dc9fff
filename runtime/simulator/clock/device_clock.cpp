#include "runtime/simulator/clock/device_clock.hpp"

#include <algorithm>

#include "runtime/devices/warp_cost.hpp"
#include "runtime/simulator/clock/launch_cost.hpp"

namespace kerncast::simulator {

DeviceClock::DeviceClock(const devices::DeviceDescription& device, const Noise& noise)
    : device_(device), noise_(noise), cache_(device.l2_bytes) {}

double DeviceClock::next_pace() {
  return pace_of(noise_, launches_.fetch_add(1, std::memory_order_relaxed));
}

KernelClock DeviceClock::kernel_clock(DeviceTime start) const {
  return {static_cast<std::uint64_t>(start.count()), device_.clock_ghz,
          device_.dependent_latency / devices::independent_instructions};
}

DeviceTime DeviceClock::launch_time(const Launch& launch, const LaunchProfile& counts, std::uint64_t slept,
                                    bool eager, DeviceTime hidden) {
  devices::CostInput input = cost_input(launch, counts);
  {
    const std::lock_guard lock(mutex_);
    input.memory_bytes = cache_.pass(counts.footprint);
  }
  const devices::Estimate estimate = devices::estimate_cost(input, device_);
  const double earlier = std::min(estimate.total_us - estimate.dependent_us,
                                  std::chrono::duration<double, std::micro>(hidden).count());
  const double us = estimate.total_us - earlier + static_cast<double>(slept) * 1e-3;
  return device_time(eager ? std::max(us, devices::eager_launch_us) : us);
}

DeviceTime DeviceClock::transfer_time(const Transfer& transfer) {
  {
    const std::lock_guard lock(mutex_);
    for (const std::uint64_t side : {transfer.from, transfer.to}) {
      if (side != 0) {
        cache_.pass(side, transfer.bytes);
      }
    }
  }
  const double gb_per_s = transfer.over_bus ? device_.host_gb_per_s : device_.memory_gb_per_s;
  // A copy within a device reads its memory and writes it.
  const double moved = static_cast<double>(transfer.bytes) *
                       (!transfer.over_bus && transfer.from != 0 && transfer.to != 0 ? 2 : 1);
  return device_time(device_.launch_overhead_us + moved / (gb_per_s * 1e3));
}

void DeviceClock::host_saw(DeviceTime time) {
  std::int64_t known = host_time_.load(std::memory_order_relaxed);
  while (known < time.count() &&
         !host_time_.compare_exchange_weak(known, time.count(), std::memory_order_acq_rel)) {
  }
}

}  // namespace kerncast::simulator
