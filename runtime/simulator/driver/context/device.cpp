#include "runtime/simulator/driver/context/device.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <string>

#include "runtime/devices/device_specs.hpp"
#include "runtime/simulator/driver/context/failure.hpp"
#include "runtime/simulator/driver/context/state.hpp"

namespace kerncast::simulator::api {
namespace {

/// Architectures that the virtual GPU can have.
constexpr std::array supported = {75, 80, 86, 87, 88, 89, 90, 100, 103, 110, 120, 121};

ArchTraits board_traits(int sm, const devices::DeviceSpec& board) {
  const devices::ArchSpec& arch = devices::arch_spec(sm);
  return {sm,
          board.sm_count,
          arch.shared_kib_per_block,
          arch.shared_kib_per_sm,
          arch.threads_per_sm,
          arch.blocks_per_sm,
          board.l2_mib,
          board.clock_mhz,
          board.memory_clock_mhz,
          board.memory_bus_bits,
          board.memory_gib};
}

/// The figures of the most common board of compute capability `sm`, or of the nearest older one (88 has the
/// board of 87).
ArchTraits common_traits(int sm) {
  return board_traits(sm, *devices::common_device(devices::arch_spec(sm).sm));
}

/// Attributes up to this number exist in the driver version reported here.
constexpr int last_attribute = 147;

int attribute_value(const ArchTraits& arch, int device, CUdevice_attribute attribute) {
  switch (attribute) {
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X:
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y:
      return max_threads_per_block;
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z:
      return 64;
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X:
    case CU_DEVICE_ATTRIBUTE_MAX_PITCH:
      return 0x7fffffff;
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y:
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z:
      return 65535;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK:
      return default_shared_bytes;
    case CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY:
      return 64 * 1024;
    case CU_DEVICE_ATTRIBUTE_WARP_SIZE:
      return warp_size;
    case CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK:
    case CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR:
      return 64 * 1024;
    case CU_DEVICE_ATTRIBUTE_CLOCK_RATE:
      return arch.clock_mhz * 1000;
    case CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT:
      return 512;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
      return arch.sm_count;
    case CU_DEVICE_ATTRIBUTE_GPU_OVERLAP:
    case CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY:
    case CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS:
    case CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING:
    case CU_DEVICE_ATTRIBUTE_GLOBAL_L1_CACHE_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_LOCAL_L1_CACHE_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH:
    case CU_DEVICE_ATTRIBUTE_STREAM_PRIORITIES_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY:
    case CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS:
    case CU_DEVICE_ATTRIBUTE_COMPUTE_PREEMPTION_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM:
    case CU_DEVICE_ATTRIBUTE_CAN_USE_STREAM_MEM_OPS_V1:
    case CU_DEVICE_ATTRIBUTE_CAN_USE_64_BIT_STREAM_MEM_OPS_V1:
    case CU_DEVICE_ATTRIBUTE_CAN_USE_STREAM_WAIT_VALUE_NOR_V1:
    case CU_DEVICE_ATTRIBUTE_CAN_USE_64_BIT_STREAM_MEM_OPS:
    case CU_DEVICE_ATTRIBUTE_CAN_USE_STREAM_WAIT_VALUE_NOR:
    case CU_DEVICE_ATTRIBUTE_CAN_FLUSH_REMOTE_WRITES:
    case CU_DEVICE_ATTRIBUTE_HOST_REGISTER_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_READ_ONLY_HOST_REGISTER_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_MEM_SYNC_DOMAIN_COUNT:
    case CU_DEVICE_ATTRIBUTE_HOST_MEMORY_POOLS_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_IPC_EVENT_SUPPORTED:
      return 1;
    case CU_DEVICE_ATTRIBUTE_SINGLE_TO_DOUBLE_PRECISION_PERF_RATIO:
      return arch.sm == 80 || arch.sm == 90 || arch.sm == 100 ? 2 : 64;
    case CU_DEVICE_ATTRIBUTE_TEXTURE_PITCH_ALIGNMENT:
      return 32;
    case CU_DEVICE_ATTRIBUTE_SURFACE_ALIGNMENT:
      return 512;
    case CU_DEVICE_ATTRIBUTE_HOST_NUMA_ID:
    case CU_DEVICE_ATTRIBUTE_NUMA_ID:
      return -1;
    case CU_DEVICE_ATTRIBUTE_PCI_BUS_ID:
      return device + 1;
    case CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE:
      return arch.memory_clock_mhz * 1000;
    case CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH:
      return arch.memory_bus_bits;
    case CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE:
      return arch.l2_mib << 20;
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR:
      return arch.threads_per_sm;
    case CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT:
      return 3;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
      return arch.sm / 10;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
      return arch.sm % 10;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR:
      return arch.shared_per_sm_kib * 1024;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN:
      return arch.shared_optin_bytes();
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR:
      return arch.blocks_per_sm;
    case CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK:
      return arch.reserved_shared_bytes();
    default:
      // The rest are textures, surfaces and features that this device does not have.
      return 0;
  }
}

}  // namespace

std::optional<ArchTraits> find_arch(std::string_view name) {
  if (name.starts_with("sm_")) {
    name.remove_prefix(3);
  }
  int sm = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), sm);
  const std::string_view suffix = name.substr(static_cast<std::size_t>(end - name.data()));
  if (error != std::errc{} || !(suffix.empty() || suffix == "a" || suffix == "f")) {
    return std::nullopt;
  }
  const bool known = std::find(supported.begin(), supported.end(), sm) != supported.end();
  return known ? std::optional(common_traits(sm)) : std::nullopt;
}

ArchTraits traits_of(const devices::DeviceDescription& device) {
  return board_traits(device.sm, *devices::device_called(device.name));
}

std::size_t total_memory(const ArchTraits& arch) {
  const std::size_t board = static_cast<std::size_t>(arch.memory_gib) << 30;
  const long pages = sysconf(_SC_PHYS_PAGES);
  const long page = sysconf(_SC_PAGESIZE);
  if (pages <= 0 || page <= 0) {
    return board;
  }
  return std::min(board, static_cast<std::size_t>(pages) * static_cast<std::size_t>(page));
}

void require_device(int device) {
  if (device < 0 || device >= state().device_count) {
    throw Failure(
        CUDA_ERROR_INVALID_DEVICE,
        fmt::format("there is no device {}; KERNCAST_SIM_DEVICES gives {}", device, state().device_count));
  }
}

extern "C" {

CUresult cuDeviceGet(CUdevice* device, int ordinal) {
  return driver_call([&] {
    require(device, "device");
    require_device(ordinal);
    *device = ordinal;
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGetCount(int* count) {
  return driver_call([&] {
    require(count, "count");
    *count = state().device_count;
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGetName(char* name, int length, CUdevice device) {
  return driver_call([&] {
    require(name, "name");
    require_device(device);
    if (length <= 0) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, "the name's buffer has no room");
    }
    const devices::DeviceDescription* const clocked = state().clocked;
    const std::string text = clocked != nullptr
                                 ? fmt::format("Kerncast virtual GPU ({})", clocked->name)
                                 : fmt::format("Kerncast virtual GPU (sm_{})", state().arch.sm);
    const std::size_t size = std::min(text.size(), static_cast<std::size_t>(length) - 1);
    std::memcpy(name, text.data(), size);
    name[size] = '\0';
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGetUuid_v2(CUuuid* uuid, CUdevice device) {
  return driver_call([&] {
    require(uuid, "uuid");
    require_device(device);
    std::memset(uuid->bytes, 0, sizeof uuid->bytes);
    std::memcpy(uuid->bytes, "kerncast-sim", 12);
    uuid->bytes[14] = static_cast<char>(state().arch.sm);
    uuid->bytes[15] = static_cast<char>(device);
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGetUuid(CUuuid* uuid, CUdevice device) {
  return cuDeviceGetUuid_v2(uuid, device);
}

CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice device) {
  return driver_call([&] {
    require(value, "value");
    require_device(device);
    if (attribute < 1 || attribute > last_attribute) {
      throw Failure(CUDA_ERROR_INVALID_VALUE,
                    fmt::format("there is no device attribute {}", static_cast<int>(attribute)));
    }
    *value = attribute_value(state().arch, device, attribute);
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceTotalMem_v2(std::size_t* bytes, CUdevice device) {
  return driver_call([&] {
    require(bytes, "bytes");
    require_device(device);
    *bytes = state().total_memory;
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceComputeCapability(int* major, int* minor, CUdevice device) {
  return driver_call([&] {
    require(major, "major");
    require(minor, "minor");
    require_device(device);
    *major = state().arch.sm / 10;
    *minor = state().arch.sm % 10;
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceCanAccessPeer(int* can, CUdevice device, CUdevice peer) {
  return driver_call([&] {
    require(can, "can");
    require_device(device);
    require_device(peer);
    *can = device != peer ? 1 : 0;
    return CUDA_SUCCESS;
  });
}

}  // extern "C"

}  // namespace kerncast::simulator::api
