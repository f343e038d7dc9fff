#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "runtime/devices/device_description.hpp"

namespace kerncast::simulator::api {

/// The figures that the virtual GPU reports of itself: those of a usual board of the architecture, or of the
/// device that gives its clock.
struct ArchTraits {
  int sm;  ///< compute capability, as 90
  int sm_count;
  int shared_optin_kib;  ///< per block
  int shared_per_sm_kib;
  int threads_per_sm;
  int blocks_per_sm;
  int l2_mib;
  int clock_mhz;
  int memory_clock_mhz;
  int memory_bus_bits;
  int memory_gib;

  /// Bytes of each block's shared memory that the system takes.
  [[nodiscard]] int reserved_shared_bytes() const { return sm >= 80 ? 1024 : 0; }
  [[nodiscard]] int shared_optin_bytes() const { return shared_optin_kib * 1024; }
};

inline constexpr int max_threads_per_block = 1024;
inline constexpr int warp_size = 32;
/// Bytes of shared memory that a launch may use without asking.
inline constexpr int default_shared_bytes = 48 * 1024;

/// The traits of "sm_90", "sm_90a" or "90".
[[nodiscard]] std::optional<ArchTraits> find_arch(std::string_view name);

/// The traits of a device that the cost model describes.
[[nodiscard]] ArchTraits traits_of(const devices::DeviceDescription& device);

/// Bytes of device memory: the board's, or the host's memory if that is less, since device memory lives in
/// it.
[[nodiscard]] std::size_t total_memory(const ArchTraits& arch);

/// Throws Failure(CUDA_ERROR_INVALID_DEVICE) for a device that does not exist.
void require_device(int device);

}  // namespace kerncast::simulator::api
