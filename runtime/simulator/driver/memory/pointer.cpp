#include <fmt/format.h>

#include <cstring>
#include <optional>

#include "runtime/simulator/driver/context/failure.hpp"
#include "runtime/simulator/driver/context/state.hpp"
#include "runtime/simulator/driver/memory/pool.hpp"

namespace kerncast::simulator::api {
namespace {

template <class Value>
void store(void* to, const Value& value) {
  std::memcpy(to, &value, sizeof(Value));
}

Owned owner_of(const Allocation& allocation) {
  const std::lock_guard lock(state().owned_mutex);
  const auto found = state().owned.find(allocation.base);
  return found == state().owned.end() ? Owned{} : found->second;
}

/// Writes an attribute in the type that the driver gives it. False if the attribute is not offered.
bool store_attribute(void* value, CUpointer_attribute attribute, CUdeviceptr pointer,
                     const Allocation& allocation) {
  const bool pinned = allocation.kind == MemoryKind::pinned_host;
  const Owned owned = owner_of(allocation);
  const bool managed = owned.kind == Owned::Kind::managed;
  switch (attribute) {
    case CU_POINTER_ATTRIBUTE_CONTEXT:
      store(value, owned.context);
      return true;
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
      store(value, pinned ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE);
      return true;
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
      store(value, pointer);
      return true;
    case CU_POINTER_ATTRIBUTE_HOST_POINTER:
      if (!pinned && !managed) {
        return false;
      }
      store(value, pointer);
      return true;
    case CU_POINTER_ATTRIBUTE_IS_MANAGED:
      store(value, managed);
      return true;
    case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
      store(value, owned.context != nullptr && owned.kind == Owned::Kind::device && owned.pool == nullptr);
      return true;
    case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
    case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
    case CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE:
      store(value, false);
      return true;
    case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
      store(value, std::uint64_t{0});
      return true;
    case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
      store(value, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
      return true;
    case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
      store(value, owned.pool != nullptr ? owned.pool->handle : nullptr);
      return true;
    case CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID:
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
    case CU_POINTER_ATTRIBUTE_MAPPING_SIZE:
      store(value, allocation.size);
      return true;
    case CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR:
      store(value, allocation.base);
      return true;
    case CU_POINTER_ATTRIBUTE_P2P_TOKENS:
      break;
  }
  return false;
}

/// Bytes of an attribute's type; 0 if the attribute is not offered.
std::size_t size_of(CUpointer_attribute attribute) {
  switch (attribute) {
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
    case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
      return 4;
    case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
    case CU_POINTER_ATTRIBUTE_IS_MANAGED:
    case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
    case CU_POINTER_ATTRIBUTE_MAPPED:
    case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
    case CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE:
      return 1;
    case CU_POINTER_ATTRIBUTE_CONTEXT:
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
    case CU_POINTER_ATTRIBUTE_HOST_POINTER:
    case CU_POINTER_ATTRIBUTE_BUFFER_ID:
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
    case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
    case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
    case CU_POINTER_ATTRIBUTE_MAPPING_SIZE:
    case CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR:
    case CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID:
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

CUresult cuPointerSetAttribute(const void* value, CUpointer_attribute attribute, CUdeviceptr pointer) {
  return driver_call([&] {
    require(value, "value");
    if (attribute != CU_POINTER_ATTRIBUTE_SYNC_MEMOPS ||
        !state().memory.find(reinterpret_cast<const void*>(pointer))) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("pointer attribute {} of {:#x} cannot be set",
                                                          static_cast<int>(attribute), pointer));
    }
    return CUDA_SUCCESS;  // copies and fills are never ahead of the call that starts them
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
      // An attribute that the pointer lacks is zero here, not an error. A pageable pointer belongs to no
      // device.
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
