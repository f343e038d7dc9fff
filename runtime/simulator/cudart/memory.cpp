#include "runtime/simulator/cudart/context.hpp"
#include "runtime/simulator/cudart/copy.hpp"
#include "runtime/simulator/cudart/symbols.hpp"

namespace kerncast::cudart {
namespace {

/// Rows of an allocation with a pitch, aligned for elements of any size.
constexpr unsigned int widest_element = 16;

cudaMemoryType type_of(CUmemorytype type, bool managed) {
  if (managed) {
    return cudaMemoryTypeManaged;
  }
  switch (type) {
    case CU_MEMORYTYPE_HOST:
      return cudaMemoryTypeHost;
    case CU_MEMORYTYPE_DEVICE:
      return cudaMemoryTypeDevice;
    default:
      return cudaMemoryTypeUnregistered;
  }
}

/// The attributes of a pointer in the driver. A pointer that it does not know has only zeros.
struct PointerFacts {
  CUmemorytype type{};
  CUdeviceptr device_pointer = 0;
  void* host_pointer = nullptr;
  int managed = 0;  // the driver writes one byte, or four
  int ordinal = -2;
};

PointerFacts facts_of(const void* pointer) {
  PointerFacts facts;
  CUpointer_attribute wanted[] = {CU_POINTER_ATTRIBUTE_MEMORY_TYPE, CU_POINTER_ATTRIBUTE_DEVICE_POINTER,
                                  CU_POINTER_ATTRIBUTE_HOST_POINTER, CU_POINTER_ATTRIBUTE_IS_MANAGED,
                                  CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL};
  void* values[] = {&facts.type, &facts.device_pointer, &facts.host_pointer, &facts.managed, &facts.ordinal};
  check(KERNCAST_CU(cuPointerGetAttributes)(5, wanted, values, address(pointer)));
  return facts;
}

CUresult fill(void* to, int value, std::size_t bytes, CUstream stream) {
  return KERNCAST_CU(cuMemsetD8Async)(address(to), static_cast<unsigned char>(value), bytes, stream);
}

CUresult fill_plane(void* to, std::size_t pitch, int value, std::size_t width, std::size_t height,
                    CUstream stream) {
  return KERNCAST_CU(cuMemsetD2D8Async)(address(to), pitch, static_cast<unsigned char>(value), width, height,
                                        stream);
}

/// Fills a box: its rows lie one pitch apart, in all planes, if they fill them.
CUresult fill_box(const cudaPitchedPtr& to, int value, const cudaExtent& extent, CUstream stream) {
  auto* plane = static_cast<char*>(to.ptr);
  for (std::size_t z = 0; z < extent.depth; ++z, plane += to.pitch * to.ysize) {
    if (const CUresult result = fill_plane(plane, to.pitch, value, extent.width, extent.height, stream);
        result != CUDA_SUCCESS) {
      return result;
    }
  }
  return CUDA_SUCCESS;
}

}  // namespace

extern "C" {

cudaError_t cudaMalloc(void** pointer, std::size_t bytes) {
  return device_call([&] {
    require(static_cast<const void*>(pointer), "pointer");
    *pointer = nullptr;
    if (bytes == 0) {
      return CUDA_SUCCESS;  // the driver refuses it, the runtime gives null
    }
    return KERNCAST_CU(cuMemAlloc_v2)(reinterpret_cast<CUdeviceptr*>(pointer), bytes);
  });
}

cudaError_t cudaMallocPitch(void** pointer, std::size_t* pitch, std::size_t width, std::size_t height) {
  return device_call([&] {
    require(static_cast<const void*>(pointer), "pointer");
    require(pitch, "pitch");
    return KERNCAST_CU(cuMemAllocPitch_v2)(reinterpret_cast<CUdeviceptr*>(pointer), pitch, width, height,
                                           widest_element);
  });
}

cudaError_t cudaMalloc3D(cudaPitchedPtr* pointer, cudaExtent extent) {
  return device_call([&] {
    require(pointer, "pointer");
    CUdeviceptr made = 0;
    std::size_t pitch = 0;
    check(KERNCAST_CU(cuMemAllocPitch_v2)(&made, &pitch, extent.width, extent.height * extent.depth,
                                          widest_element));
    *pointer = {reinterpret_cast<void*>(made), pitch, extent.width, extent.height};
    return cudaSuccess;
  });
}

// Null does nothing, and programs use it to create the context.
cudaError_t cudaFree(void* pointer) {
  return device_call(
      [&] { return pointer == nullptr ? CUDA_SUCCESS : KERNCAST_CU(cuMemFree_v2)(address(pointer)); });
}

cudaError_t cudaFreeHost(void* pointer) {
  return device_call([&] { return pointer == nullptr ? CUDA_SUCCESS : KERNCAST_CU(cuMemFreeHost)(pointer); });
}

cudaError_t cudaMallocHost(void** pointer, std::size_t bytes) {
  return cudaHostAlloc(pointer, bytes, 0);
}

cudaError_t cudaHostAlloc(void** pointer, std::size_t bytes, unsigned int flags) {
  return device_call([&] {
    require(static_cast<const void*>(pointer), "pointer");
    *pointer = nullptr;
    return bytes == 0 ? CUDA_SUCCESS : KERNCAST_CU(cuMemHostAlloc)(pointer, bytes, flags);
  });
}

cudaChannelFormatDesc cudaCreateChannelDesc(int x, int y, int z, int w, int kind) {
  return {x, y, z, w, kind};
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
  return driver_call([&] {
    require(attributes, "attributes");
    const PointerFacts facts = facts_of(pointer);
    cudaPointerAttributes filled{};
    filled.type = type_of(facts.type, (facts.managed & 0xff) != 0);
    if (filled.type == cudaMemoryTypeUnregistered) {
      filled.device = -2;  // of no device
      filled.hostPointer = const_cast<void*>(pointer);
    } else {
      filled.device = facts.ordinal;
      filled.devicePointer = reinterpret_cast<void*>(facts.device_pointer);
      filled.hostPointer = facts.host_pointer;
    }
    *attributes = filled;
    return cudaSuccess;
  });
}

cudaError_t cudaMemset(void* to, int value, std::size_t bytes) {
  return device_call([&] {
    return per_thread_default()
               ? fill(to, value, bytes, stream_per_thread)
               : KERNCAST_CU(cuMemsetD8_v2)(address(to), static_cast<unsigned char>(value), bytes);
  });
}

cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, CUstream stream) {
  return device_call([&] { return fill(to, value, bytes, default_stream(stream)); });
}

cudaError_t cudaMemset2D(void* to, std::size_t pitch, int value, std::size_t width, std::size_t height) {
  return cudaMemset2DAsync(to, pitch, value, width, height, nullptr);
}

cudaError_t cudaMemset2DAsync(void* to, std::size_t pitch, int value, std::size_t width, std::size_t height,
                              CUstream stream) {
  return device_call([&] { return fill_plane(to, pitch, value, width, height, default_stream(stream)); });
}

cudaError_t cudaMemset3D(cudaPitchedPtr to, int value, cudaExtent extent) {
  return cudaMemset3DAsync(to, value, extent, nullptr);
}

cudaError_t cudaMemset3DAsync(cudaPitchedPtr to, int value, cudaExtent extent, CUstream stream) {
  return device_call([&] { return fill_box(to, value, extent, default_stream(stream)); });
}

}  // extern "C"

}  // namespace kerncast::cudart
