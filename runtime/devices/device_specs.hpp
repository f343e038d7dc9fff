#pragma once

#include <algorithm>
#include <array>
#include <string_view>

/// Facts about GPUs, as data. The dispatcher, the virtual GPU, the ops' choice of tunables and the cost model
/// all read these tables, and no figure of a GPU stands anywhere else.
///
/// Sources.
/// - Devices: NVIDIA's data sheets and architecture white papers; multiprocessors and clocks as
///   cuDeviceGetAttribute reports them.
/// - Limits per multiprocessor and lanes per clock: the tables "Technical specifications per compute
/// capability" and
///   "Throughput of native arithmetic instructions" of the CUDA programming guide.
/// - L2 bandwidth: 5120 bytes per clock is the figure of the A100 white paper. H100 and H200 are assumed to
/// have the
///   same, B200 twice that (two dies), RTX 4090 2048.
/// - Latencies: Luo et al., "Benchmarking and Dissecting the Nvidia Hopper GPU Architecture" (2024),
/// for 8.0, 8.9 and
///   9.0, rounded. The others are assumed.
/// - Tensor rates: the data sheets' dense 16-bit rate by clock and multiprocessor. On 9.0 mma.sync reaches
/// about 0.62
///   of 2048, according to the same paper; the same rate is assumed for 10.0.
/// - Host bandwidth: about 80 % of 16 lanes of PCIe 4 (8.0, 8.9) and PCIe 5 (9.0, 10.0), which copies of
/// pinned
///   memory usually reach.
namespace kerncast::devices {

/// Facts that all devices of one compute capability share. "SM" is a multiprocessor.
struct ArchSpec {
  int sm = 0;               ///< compute capability, such as 90
  std::string_view target;  ///< the architecture that kernels are compiled for: "sm_90a"
  int threads_per_sm = 0;
  int blocks_per_sm = 0;
  int shared_kib_per_sm = 0;
  int shared_kib_per_block = 0;  ///< the most that a block can have, with opt-in
  double global_latency = 0;     ///< clocks from a load that misses every cache to its use

  // The rest is 0 for architectures that the cost model does not describe.
  double shared_latency = 0;      ///< clocks
  double l2_bytes_per_clock = 0;  ///< of the whole device, at the SM clock
  // Lanes per clock and SM.
  double float_lanes = 0;    ///< f32 add, multiply, fma
  double double_lanes = 0;   ///< f64
  double half_lanes = 0;     ///< f16x2 and bf16x2 instructions: two results a lane
  double convert_lanes = 0;  ///< conversions among 32-bit and narrower types
  double tensor_fma = 0;     ///< multiply-adds per clock and SM of 16-bit operands, by mma.sync

  double host_gb_per_s = 0;  ///< to and from the host's pinned memory, 1e9 bytes per second
};

/// One device. Figures that nothing reads are left 0.
struct DeviceSpec {
  std::string_view
      id;  ///< name on the command line, such as "h100"; empty if the cost model has no such device
  std::string_view title;  ///< "NVIDIA H100 SXM, 80 GB"
  int sm = 0;
  int sm_count = 0;
  int clock_mhz = 0;           ///< boost clock
  double memory_gb_per_s = 0;  ///< 1e9 bytes per second
  int memory_clock_mhz = 0;
  int memory_bus_bits = 0;
  int memory_gib = 0;
  int l2_mib = 0;
  /// True for the device that stands for its compute capability, and later ones up to the next such device,
  /// when an op chooses tunables.
  bool reference = false;
};

// clang-format off
/// In order of compute capability.
inline constexpr std::array arch_specs = {
    //        sm   target    threads blocks KiB SM, block  latency shared L2     float double half convert tensor host
    ArchSpec{ 75, "sm_75",    1024, 16,  64,  64,  430},
    ArchSpec{ 80, "sm_80",    2048, 32, 164, 163,  466,    29,    5120,   64, 32, 128, 16, 1024,  25},
    ArchSpec{ 86, "sm_86",    1536, 16, 100,  99,  480},
    ArchSpec{ 87, "sm_87",    1536, 16, 164, 163,  480},
    ArchSpec{ 89, "sm_89",    1536, 24, 100,  99,  542,    30,    2048,  128,  2,  64, 16,  256,  25},
    ArchSpec{ 90, "sm_90a",   2048, 32, 228, 227,  479,    29,    5120,  128, 64, 128, 64, 1280,  50},
    ArchSpec{100, "sm_100a",  2048, 32, 228, 227,  600,    29,   10240,  128, 64, 128, 64, 1280,  50},
    ArchSpec{103, "sm_103a",  2048, 32, 228, 227,  600},
    ArchSpec{110, "sm_110a",  1536, 24, 228, 227,  600},
    ArchSpec{120, "sm_120a",  1536, 24, 100,  99,  600},
    ArchSpec{121, "sm_121a",  1536, 24, 100,  99,  600},
};

/// In order of compute capability; of one compute capability, the most common first.
inline constexpr std::array device_specs = {
    //         id         title                        sm  SMs   MHz   GB/s  memory  bus GiB L2  reference
    DeviceSpec{"",        "NVIDIA T4",                  75,  40, 1590,  320,  5001,  256,  16,   4, true},
    DeviceSpec{"",        "NVIDIA GeForce RTX 2080 Ti", 75,  68},
    DeviceSpec{"",        "NVIDIA Quadro RTX 6000",     75,  72},
    DeviceSpec{"a100",    "NVIDIA A100 SXM, 80 GB",     80, 108, 1410, 2039,  1593, 5120,  80,  40, true},
    DeviceSpec{"",        "NVIDIA A30",                 80,  56},
    DeviceSpec{"",        "NVIDIA A40",                 86,  84, 1695,  696,  7251,  384,  48,   6},
    DeviceSpec{"",        "NVIDIA A10",                 86,  72},
    DeviceSpec{"",        "NVIDIA A10G",                86,  80},
    DeviceSpec{"",        "NVIDIA GeForce RTX 3090",    86,  82, 1695,  936,     0,    0,   0,   0, true},
    DeviceSpec{"",        "NVIDIA Jetson AGX Orin 64GB", 87, 16, 1300, 204.8, 3200,  256,  32,   4, true},
    DeviceSpec{"",        "NVIDIA Jetson AGX Orin 32GB", 87, 14},
    DeviceSpec{"",        "NVIDIA Jetson Orin NX",      87,   8},
    DeviceSpec{"",        "NVIDIA L40",                 89, 142, 2520,  864,  9001,  384,  48,  96},
    DeviceSpec{"",        "NVIDIA L4",                  89,  58},
    DeviceSpec{"rtx4090", "NVIDIA GeForce RTX 4090",    89, 128, 2520, 1008, 10501,  384,  24,  72, true},
    DeviceSpec{"h100",    "NVIDIA H100 SXM, 80 GB",     90, 132, 1980, 3352,  2619, 5120,  80,  50, true},
    DeviceSpec{"h200",    "NVIDIA H200 SXM, 141 GB",    90, 132, 1980, 4800,  3201, 6144, 141,  50},
    DeviceSpec{"",        "NVIDIA H100 PCIe",           90, 114},
    DeviceSpec{"",        "NVIDIA H20",                 90,  78},
    DeviceSpec{"b200",    "NVIDIA B200, 180 GB",       100, 148, 1965, 8000,  3996, 8192, 180, 126, true},
    DeviceSpec{"",        "NVIDIA GB200",              100, 152},
    DeviceSpec{"",        "NVIDIA B300",               103, 148, 1920, 8000,  3996, 8192, 270, 126},
    DeviceSpec{"",        "NVIDIA GB300",              103, 152},
    DeviceSpec{"",        "NVIDIA Jetson AGX Thor",    110,  20, 1575,  273,  4266,  256, 122,  32, true},
    DeviceSpec{"",        "NVIDIA GeForce RTX 5090",   120, 170, 2407, 1792, 14001,  512,  32,  96, true},
    DeviceSpec{"",        "NVIDIA RTX PRO 6000 Blackwell", 120, 188},
    DeviceSpec{"",        "NVIDIA GeForce RTX 5080",   120,  84},
    DeviceSpec{"",        "NVIDIA GB10",               121,  48, 2418,  273,  4266,  256, 119,  24},
};
// clang-format on

/// The newest architecture up to compute capability `sm`; the oldest one if `sm` is older than all.
[[nodiscard]] constexpr const ArchSpec& arch_spec(int sm) noexcept {
  const ArchSpec* found = arch_specs.data();
  for (const ArchSpec& arch : arch_specs) {
    found = arch.sm <= sm ? &arch : found;
  }
  return *found;
}

/// The most common device of exactly compute capability `sm`; null if none is listed.
[[nodiscard]] constexpr const DeviceSpec* common_device(int sm) noexcept {
  const auto* found = std::find_if(device_specs.begin(), device_specs.end(),
                                   [sm](const DeviceSpec& device) { return device.sm == sm; });
  return found != device_specs.end() ? found : nullptr;
}

/// The device with this `id`; null if there is none.
[[nodiscard]] constexpr const DeviceSpec* device_called(std::string_view id) noexcept {
  const auto* found = std::find_if(device_specs.begin(), device_specs.end(),
                                   [id](const DeviceSpec& device) { return device.id == id; });
  return !id.empty() && found != device_specs.end() ? found : nullptr;
}

/// The reference device for compute capability `sm`.
[[nodiscard]] constexpr const DeviceSpec& reference_device(int sm) noexcept {
  const DeviceSpec* found = device_specs.data();
  for (const DeviceSpec& device : device_specs) {
    found = device.reference && device.sm <= sm ? &device : found;
  }
  return *found;
}

}  // namespace kerncast::devices
