#pragma once

#include <cstddef>
#include <string>

#include "runtime/driver/driver_api.hpp"

namespace kerncast::driver {

/// The facts about a device that reports and tuning use.
struct DeviceInfo {
  int ordinal = 0;
  std::string name;
  std::string uuid;  ///< "GPU-" and 32 hexadecimal digits in five groups, as nvidia-smi prints it
  int sm = 0;        ///< compute capability, such as 90
  /// The architecture that kernels are compiled for: "sm_90a" if there is an architecture-specific variant.
  std::string arch;
  int sm_count = 0;
  int max_threads_per_block = 0;
  int max_threads_per_sm = 0;
  int max_shared_per_block_optin = 0;  ///< bytes
  int max_shared_per_sm = 0;           ///< bytes
  int registers_per_sm = 0;            ///< 32-bit registers
  int l2_bytes = 0;
  int clock_khz = 0;
  int memory_clock_khz = 0;
  int memory_bus_bits = 0;
  std::size_t total_memory = 0;  ///< bytes
};

/// Throws Error(invalid_argument) for an ordinal that the driver does not have, and Error(driver_error) if a
/// query fails.
[[nodiscard]] DeviceInfo query_device(const DriverApi& api, int ordinal);

/// The architecture that kernels are compiled for on compute capability `sm`: "sm_90a" for 90, "sm_89"
/// for 89.
[[nodiscard]] std::string arch_of(int sm);

}  // namespace kerncast::driver
