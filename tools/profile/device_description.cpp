#include "tools/profile/device_description.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "runtime/util/nearest_name.hpp"
#include "tools/io/usage_error.hpp"

namespace kerncast::tools {
namespace {

// Where the figures come from.
// - SMs, boost clock, memory bandwidth: NVIDIA's data sheets and architecture white papers (A100 80 GB SXM,
//   H100 SXM, H200 SXM, HGX B200, GeForce RTX 4090).
// - Limits per SM: "Technical specifications per compute capability" of the CUDA programming guide. Lanes per
//   clock: its table of arithmetic throughput for 8.0, 8.9, 9.0 and 10.0, four schedulers of one instruction.
// - L2: 5120 bytes per clock is the A100 white paper's; 64 bytes per clock and SM likewise. H100 and H200 are
//   assumed to have the same, B200 twice that (two dies). RTX 4090: 2048, assumed.
// - Latencies: Luo et al., "Benchmarking and Dissecting the Nvidia Hopper GPU Architecture" (2024), for A100,
//   H100 and RTX 4090, rounded; H200 as H100; B200 assumed. Four clocks between dependent instructions: Jia
//   et al., "Dissecting the NVIDIA Volta GPU Architecture via Microbenchmarking" (2018), and alike since.
// - Tensor: the data sheets' dense 16-bit rate by clock and SM. On H100, H200 and B200 mma.sync reaches a
// part
//   of it only, about 0.62 of H100's 2048 in the paper of 2024; the same rate is assumed for B200.
// - Launch overhead: 1.2 us a kernel, measured on an H100 by bench_kernel_times: one-row kernels launched
// back to
//   back in a graph take 1.0 to 1.3 us each. The other devices are assumed to take as long.
// - Barrier latency and control_lanes are assumed: round figures of the right order.

// What every one of these devices has in common.
DeviceDescription common() {
  DeviceDescription device;
  device.l2_bytes_per_clock_sm = 64;
  device.shared_wavefronts_clock = 1;
  device.issue_per_clock = 4;
  device.rates.integer_lanes = 64;
  device.rates.special_lanes = 16;
  device.rates.convert_lanes = 64;
  device.rates.control_lanes = 64;
  device.rates.load_store_lanes = 32;
  device.rates.warp_lanes = 32;
  device.barrier_latency = 30;
  device.dependent_latency = 4;
  device.launch_overhead_us = 1.2;
  device.registers_per_sm = 65536;
  device.reserved_shared_bytes_per_block = 1024;
  return device;
}

DeviceDescription a100() {
  DeviceDescription device = common();
  device.name = "a100";
  device.title = "NVIDIA A100 SXM, 80 GB";
  device.arch = "sm_80";
  device.sm = 80;
  device.sm_count = 108;
  device.clock_ghz = 1.41;
  device.memory_gb_per_s = 2039;
  device.l2_bytes_per_clock = 5120;
  device.rates.float_lanes = 64;
  device.rates.double_lanes = 32;
  device.rates.half_lanes = 128;
  device.rates.convert_lanes = 16;
  device.rates.tensor_fma = 1024;
  device.global_latency = 466;
  device.shared_latency = 29;
  device.max_warps_per_sm = 64;
  device.max_blocks_per_sm = 32;
  device.shared_bytes_per_sm = 164 * 1024;
  device.shared_bytes_per_block = 163 * 1024;
  return device;
}

DeviceDescription rtx4090() {
  DeviceDescription device = common();
  device.name = "rtx4090";
  device.title = "NVIDIA GeForce RTX 4090";
  device.arch = "sm_89";
  device.sm = 89;
  device.sm_count = 128;
  device.clock_ghz = 2.52;
  device.memory_gb_per_s = 1008;
  device.l2_bytes_per_clock = 2048;
  device.rates.float_lanes = 128;
  device.rates.double_lanes = 2;
  device.rates.half_lanes = 64;
  device.rates.convert_lanes = 16;
  device.rates.tensor_fma = 256;
  device.global_latency = 542;
  device.shared_latency = 30;
  device.max_warps_per_sm = 48;
  device.max_blocks_per_sm = 24;
  device.shared_bytes_per_sm = 100 * 1024;
  device.shared_bytes_per_block = 99 * 1024;
  return device;
}

DeviceDescription h100() {
  DeviceDescription device = common();
  device.name = "h100";
  device.title = "NVIDIA H100 SXM, 80 GB";
  device.arch = "sm_90a";
  device.sm = 90;
  device.sm_count = 132;
  device.clock_ghz = 1.98;
  device.memory_gb_per_s = 3352;
  device.l2_bytes_per_clock = 5120;
  device.rates.float_lanes = 128;
  device.rates.double_lanes = 64;
  device.rates.half_lanes = 128;
  device.rates.tensor_fma = 1280;
  device.global_latency = 479;
  device.shared_latency = 29;
  device.max_warps_per_sm = 64;
  device.max_blocks_per_sm = 32;
  device.shared_bytes_per_sm = 228 * 1024;
  device.shared_bytes_per_block = 227 * 1024;
  return device;
}

DeviceDescription h200() {
  DeviceDescription device = h100();
  device.name = "h200";
  device.title = "NVIDIA H200 SXM, 141 GB";
  device.memory_gb_per_s = 4800;
  return device;
}

DeviceDescription b200() {
  DeviceDescription device = h100();
  device.name = "b200";
  device.title = "NVIDIA B200, 180 GB";
  device.arch = "sm_100a";
  device.sm = 100;
  device.sm_count = 148;
  device.clock_ghz = 1.965;
  device.memory_gb_per_s = 8000;
  device.l2_bytes_per_clock = 10240;
  device.global_latency = 600;
  return device;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

}  // namespace

const std::vector<DeviceDescription>& device_descriptions() {
  static const std::vector<DeviceDescription> devices = {a100(), rtx4090(), h100(), h200(), b200()};
  return devices;
}

const DeviceDescription& require_device_description(std::string_view name) {
  const std::string wanted = lower(name);
  std::vector<std::string> names;
  for (const DeviceDescription& device : device_descriptions()) {
    if (device.name == wanted) {
      return device;
    }
    names.push_back(device.name);
  }
  const std::string nearest = nearest_name(wanted, names);
  throw UsageError(fmt::format("no description of device '{}'{}; there are {}", name,
                               nearest.empty() ? std::string() : fmt::format(" (did you mean {}?)", nearest),
                               fmt::join(names, ", ")));
}

const DeviceDescription* device_description_of(std::string_view arch) {
  const int sm = arch.starts_with("sm_") ? std::atoi(std::string(arch.substr(3)).c_str()) : 0;
  const std::vector<DeviceDescription>& devices = device_descriptions();
  const auto found = std::find_if(devices.begin(), devices.end(),
                                  [sm](const DeviceDescription& device) { return device.sm == sm; });
  return found == devices.end() ? nullptr : &*found;
}

}  // namespace kerncast::tools
