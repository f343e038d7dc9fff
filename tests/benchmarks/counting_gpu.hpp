#pragma once

#include <cstdlib>
#include <string>

#include "kerncast/runtime.hpp"
#include "tests/templates/kernel_cache.hpp"
#include "tools/profile/described_device.hpp"
#include "tools/run/op_run.hpp"
#include "tools/tune/space/tunables_sweep.hpp"

namespace kerncast::bench {

/// The virtual GPU as a described device, to count launches on. A process can have one alone, since the
/// virtual GPU has one architecture in each.
class CountingGpu {
 public:
  explicit CountingGpu(const devices::DeviceDescription& device)
      : runtime_(options(device, cache_.path())),
        run_device_(runtime_, 0),
        sweep_(runtime_, run_device_, device.arch, tools::traits_of(device)) {}

  [[nodiscard]] tools::TunablesSweep& sweep() { return sweep_; }

 private:
  static RuntimeOptions options(const devices::DeviceDescription& device, const std::string& folder) {
    const std::string plain = device.arch.substr(0, device.arch.find_last_of("0123456789") + 1);
    ::setenv("KERNCAST_SIM_ARCH", plain.c_str(), 1);
    ::setenv("KERNCAST_SIM_CHECKS", "off", 1);
    RuntimeOptions made;
    made.cache_directory = folder;
    made.cache_max_bytes = 0;
    made.cache_max_entries = 0;
    made.driver = "sim";
    return made;
  }

  const test::KernelCache cache_;
  Runtime runtime_;
  tools::RunDevice run_device_;
  tools::TunablesSweep sweep_;
};

}  // namespace kerncast::bench
