#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string_view>
#include <vector>

#include "runtime/simulator/driver/context/failure.hpp"
#include "runtime/simulator/driver/context/state.hpp"

namespace kerncast::simulator::api {
namespace {

/// The hexadecimal numbers of a PCI address such as "0000:01:00.0", without the function after the dot.
std::vector<int> pci_numbers(std::string_view text) {
  const char* const end = text.data() + text.size();
  std::vector<int> numbers;
  for (const char* at = text.data();; ++at) {
    int number = 0;
    const auto [next, error] = std::from_chars(at, end, number, 16);
    if (error != std::errc{} || number < 0) {
      return {};
    }
    numbers.push_back(number);
    if (next == end || *next != ':') {
      return numbers;
    }
    at = next;
  }
}

int attribute_of(CUdevice device, CUdevice_attribute attribute) {
  int value = 0;
  if (const CUresult result = cuDeviceGetAttribute(&value, attribute, device); result != CUDA_SUCCESS) {
    throw Failure(result, fmt::format("device attribute {}", static_cast<int>(attribute)));
  }
  return value;
}

void require_peer_pair(CUdevice device, CUdevice peer) {
  require_device(device);
  require_device(peer);
  if (device == peer) {
    throw Failure(CUDA_ERROR_INVALID_DEVICE, "a device is no peer of its own");
  }
}

}  // namespace

extern "C" {

CUresult cuDeviceGetProperties(CUdevprop* properties, CUdevice device) {
  return driver_call([&] {
    require(properties, "properties");
    require_device(device);
    const auto get = [device](CUdevice_attribute attribute) { return attribute_of(device, attribute); };
    *properties = {get(CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK),
                   {get(CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X), get(CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y),
                    get(CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z)},
                   {get(CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X), get(CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y),
                    get(CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z)},
                   get(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK),
                   get(CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY),
                   get(CU_DEVICE_ATTRIBUTE_WARP_SIZE),
                   get(CU_DEVICE_ATTRIBUTE_MAX_PITCH),
                   get(CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK),
                   get(CU_DEVICE_ATTRIBUTE_CLOCK_RATE),
                   get(CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT)};
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGetPCIBusId(char* text, int length, CUdevice device) {
  return driver_call([&] {
    require(text, "text");
    require_device(device);
    const std::string name =
        fmt::format("{:04x}:{:02x}:{:02x}.0", attribute_of(device, CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID),
                    attribute_of(device, CU_DEVICE_ATTRIBUTE_PCI_BUS_ID),
                    attribute_of(device, CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID));
    if (length <= static_cast<int>(name.size())) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, "the text has no room");
    }
    std::memcpy(text, name.c_str(), name.size() + 1);
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGetByPCIBusId(CUdevice* device, const char* text) {
  return driver_call([&] {
    require(device, "device");
    require(text, "text");
    const std::vector<int> numbers = pci_numbers(text);
    if (numbers.size() != 2 && numbers.size() != 3) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("{} is no PCI address", text));
    }
    const int slot = numbers.back();
    const int bus = numbers[numbers.size() - 2];
    const int domain = numbers.size() == 3 ? numbers.front() : 0;
    for (int i = 0; i < state().device_count; ++i) {
      if (domain == 0 && slot == 0 && bus == attribute_of(i, CU_DEVICE_ATTRIBUTE_PCI_BUS_ID)) {
        *device = i;
        return CUDA_SUCCESS;
      }
    }
    throw Failure(CUDA_ERROR_INVALID_DEVICE, fmt::format("there is no device at {}", text));
  });
}

CUresult cuDeviceGetExecAffinitySupport(int* supported, CUexecAffinityType, CUdevice device) {
  return driver_call([&] {
    require(supported, "supported");
    require_device(device);
    *supported = 0;
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGetP2PAttribute(int* value, CUdevice_P2PAttribute attribute, CUdevice device,
                                 CUdevice peer) {
  return driver_call([&] {
    require(value, "value");
    require_peer_pair(device, peer);
    switch (attribute) {
      case CU_DEVICE_P2P_ATTRIBUTE_PERFORMANCE_RANK:
      case CU_DEVICE_P2P_ATTRIBUTE_CUDA_ARRAY_ACCESS_SUPPORTED:
      case CU_DEVICE_P2P_ATTRIBUTE_ONLY_PARTIAL_NATIVE_ATOMIC_SUPPORTED:
        *value = 0;
        return CUDA_SUCCESS;
      case CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED:
      case CU_DEVICE_P2P_ATTRIBUTE_NATIVE_ATOMIC_SUPPORTED:
        *value = 1;
        return CUDA_SUCCESS;
    }
    throw Failure(CUDA_ERROR_INVALID_VALUE,
                  fmt::format("there is no peer attribute {}", static_cast<int>(attribute)));
  });
}

CUresult cuFlushGPUDirectRDMAWrites(int, int) {
  return driver_call([] { return CUDA_SUCCESS; });
}

CUresult cuProfilerStart() {
  return driver_call([] { return CUDA_SUCCESS; });
}

CUresult cuProfilerStop() {
  return driver_call([] { return CUDA_SUCCESS; });
}

}  // extern "C"

}  // namespace kerncast::simulator::api
