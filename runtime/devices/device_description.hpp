#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kerncast::devices {

/// Lanes per clock and SM of each kind of unit: a warp instruction keeps its unit busy for 32 / rate clocks.
struct UnitRates {
  double float_lanes = 0;       ///< f32 add, multiply, fma
  double double_lanes = 0;      ///< f64
  double half_lanes = 0;        ///< f16x2 and bf16x2 instructions: two results a lane
  double integer_lanes = 0;     ///< 32-bit integer, logic, comparison
  double special_lanes = 0;     ///< ex2, lg2, rcp, rsqrt, sin, cos, tanh
  double convert_lanes = 0;     ///< conversions among 32-bit and narrower types
  double control_lanes = 0;     ///< branches
  double load_store_lanes = 0;  ///< address generation of loads, stores, atomics
  double warp_lanes = 0;        ///< shuffles, votes
  double tensor_fma = 0;        ///< multiply-adds of 16-bit operands with f32 accumulation, by mma.sync
};

/// A GPU as the cost model sees it: the facts of runtime/devices/device_specs.hpp in the units of the model.
struct DeviceDescription {
  std::string name;   ///< "h100", as --device takes it
  std::string title;  ///< "NVIDIA H100 SXM, 80 GB"
  std::string arch;   ///< the architecture that kernels are compiled for: "sm_90a"
  int sm = 0;         ///< compute capability, as 90

  int sm_count = 0;
  double clock_ghz = 0;                ///< boost clock
  double memory_gb_per_s = 0;          ///< 1e9 bytes per second
  double host_gb_per_s = 0;            ///< to and from the host
  std::uint64_t l2_bytes = 0;          ///< size of L2
  double l2_bytes_per_clock = 0;       ///< of the whole device, at the SM clock
  double l2_bytes_per_clock_sm = 0;    ///< the most that one SM can get
  double shared_wavefronts_clock = 0;  ///< per SM; a wavefront is 128 bytes
  double issue_per_clock = 0;          ///< warp instructions per SM
  UnitRates rates;

  double global_latency = 0;      ///< clocks from a load that misses every cache to its use
  double shared_latency = 0;      ///< clocks
  double barrier_latency = 0;     ///< clocks of a barrier that no warp is late for
  double dependent_latency = 0;   ///< clocks from an arithmetic instruction to one that needs its result
  double launch_overhead_us = 0;  ///< per kernel, if kernels are launched back to back as in a graph

  int max_warps_per_sm = 0;
  int max_blocks_per_sm = 0;
  int max_threads_per_block = 1024;
  int registers_per_sm = 0;
  int shared_bytes_per_sm = 0;
  int shared_bytes_per_block = 0;           ///< at most, with opt-in
  int reserved_shared_bytes_per_block = 0;  ///< taken from an SM's shared memory by the driver for each block
};

/// The devices that the cost model describes, in the order of their compute capability.
[[nodiscard]] const std::vector<DeviceDescription>& device_descriptions();

/// The device called `name`, in any case; null if there is none.
[[nodiscard]] const DeviceDescription* find_device_description(std::string_view name);

/// The first device of the compute capability that `arch` ("sm_90a") names; null if none is described.
[[nodiscard]] const DeviceDescription* device_description_of(std::string_view arch);

/// The device of that compute capability whose name stands in `driver_name`, as a driver reports it ("NVIDIA
/// H200"); else the first of the compute capability. Null if none is described.
[[nodiscard]] const DeviceDescription* device_description_of(std::string_view arch,
                                                             std::string_view driver_name);

}  // namespace kerncast::devices
