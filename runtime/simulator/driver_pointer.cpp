#include <fmt/format.h>

#include <cstring>
#include <optional>

#include "runtime/simulator/driver_failure.hpp"
#include "runtime/simulator/driver_state.hpp"

namespace kerncast::simulator::api {
namespace {

template <class Value>
void store(void* to, const Value& value) {
  std::memcpy(to, &value, sizeof value);
}

CUcontext owner_of(const Allocation& allocation) {
  const std::lock_guard lock(state().owned_mutex);
  const auto found = state().owned.find(allocation.base);
  return found == state().owned.end() ? nullptr : found->second.context;
}

/// Writes an attribute in the type the driver gives it. False where the attribute is not offered.
bool store_attribute(void* value, CUpointer_attribute attribute, CUdeviceptr pointer,
                     const Allocation& allocation) {
  const bool pinned = allocation.kind == MemoryKind::pinned_host;
  switch (attribute) {
    case CU_POINTER_ATTRIBUTE_CONTEXT:
      store(value, owner_of(allocation));
      return true;
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
      store(value, pinned ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE);
      return true;
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
      store(value, pointer);
      return true;
    case CU_POINTER_ATTRIBUTE_HOST_POINTER:
      if (!pinned) {
        return false;
      }
      store(value, pointer);
      return true;
    case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
    case CU_POINTER_ATTRIBUTE_IS_MANAGED:
    case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
      store(value, false);
      return true;
    case CU_POINTER_ATTRIBUTE_BUFFER_ID:
      store(value, allocation.id);
      return true;
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
      store(value, allocation.device);
      return true;
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
      store(value, allocation.base);
      return true;
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
      store(value, allocation.size);
      return true;
    case CU_POINTER_ATTRIBUTE_MAPPED:
      store(value, true);
      return true;
    case CU_POINTER_ATTRIBUTE_P2P_TOKENS:
      break;
  }
  return false;
}

/// Bytes of an attribute's type; 0 where the attribute is not offered.
std::size_t size_of(CUpointer_attribute attribute) {
  switch (attribute) {
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
      return 4;
    case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
    case CU_POINTER_ATTRIBUTE_IS_MANAGED:
    case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
    case CU_POINTER_ATTRIBUTE_MAPPED:
      return 1;
    case CU_POINTER_ATTRIBUTE_CONTEXT:
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
    case CU_POINTER_ATTRIBUTE_HOST_POINTER:
    case CU_POINTER_ATTRIBUTE_BUFFER_ID:
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
      return 8;
    case CU_POINTER_ATTRIBUTE_P2P_TOKENS:
      break;
  }
  return 0;
}

}  // namespace

extern "C" {

CUresult cuPointerGetAttribute(void* value, CUpointer_attribute attribute, CUdeviceptr pointer) {
  return driver_call([&] {
    require(value, "value");
    if (size_of(attribute) == 0) {
      throw Failure(CUDA_ERROR_INVALID_VALUE,
                    fmt::format("pointer attribute {} is not offered", static_cast<int>(attribute)));
    }
    const std::optional<Allocation> found = state().memory.find(reinterpret_cast<const void*>(pointer));
    if (!found || !store_attribute(value, attribute, pointer, *found)) {
      throw Failure(CUDA_ERROR_INVALID_VALUE,
                    fmt::format("{:#x} {}", pointer, found ? "is no host memory" : "lies in no allocation"));
    }
    return CUDA_SUCCESS;
  });
}

CUresult cuPointerGetAttributes(unsigned int count, CUpointer_attribute* attributes, void** values,
                                CUdeviceptr pointer) {
  return driver_call([&] {
    require(attributes, "attributes");
    require(static_cast<const void*>(values), "values");
    const std::optional<Allocation> found = state().memory.find(reinterpret_cast<const void*>(pointer));
    for (unsigned int i = 0; i < count; ++i) {
      const std::size_t size = size_of(attributes[i]);
      require(values[i], "a value's address");
      if (size == 0) {
        throw Failure(CUDA_ERROR_INVALID_VALUE,
                      fmt::format("pointer attribute {} is not offered", static_cast<int>(attributes[i])));
      }
      // What a pointer does not have is zero here, not an error; a pageable one belongs to no device.
      std::memset(values[i], 0, size);
      if (found) {
        store_attribute(values[i], attributes[i], pointer, *found);
      } else if (attributes[i] == CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL) {
        store(values[i], -2);
      }
    }
    return CUDA_SUCCESS;
  });
}

}  // extern "C"

}  // namespace kerncast::simulator::api
