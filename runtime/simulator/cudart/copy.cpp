#include "runtime/simulator/cudart/copy.hpp"

#include <fmt/format.h>

#include "runtime/simulator/cudart/registry.hpp"
#include "runtime/simulator/cudart/symbols.hpp"

namespace kerncast::cudart {
namespace {

[[noreturn]] void refuse_direction(cudaMemcpyKind kind) {
  throw Failure(cudaErrorInvalidMemcpyDirection,
                fmt::format("{} is no direction of a copy", static_cast<int>(kind)));
}

CUresult copy_async(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, CUstream stream) {
  switch (kind) {
    case cudaMemcpyHostToDevice:
      return KERNCAST_CU(cuMemcpyHtoDAsync_v2)(address(to), from, bytes, stream);
    case cudaMemcpyDeviceToHost:
      return KERNCAST_CU(cuMemcpyDtoHAsync_v2)(to, address(from), bytes, stream);
    case cudaMemcpyDeviceToDevice:
      return KERNCAST_CU(cuMemcpyDtoDAsync_v2)(address(to), address(from), bytes, stream);
    case cudaMemcpyHostToHost:
    case cudaMemcpyDefault:
      return KERNCAST_CU(cuMemcpyAsync)(address(to), address(from), bytes, stream);
  }
  refuse_direction(kind);
}

CUresult copy_now(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  switch (kind) {
    case cudaMemcpyHostToDevice:
      return KERNCAST_CU(cuMemcpyHtoD_v2)(address(to), from, bytes);
    case cudaMemcpyDeviceToHost:
      return KERNCAST_CU(cuMemcpyDtoH_v2)(to, address(from), bytes);
    case cudaMemcpyDeviceToDevice:
      return KERNCAST_CU(cuMemcpyDtoD_v2)(address(to), address(from), bytes);
    case cudaMemcpyHostToHost:
    case cudaMemcpyDefault:
      return KERNCAST_CU(cuMemcpy)(address(to), address(from), bytes);
  }
  refuse_direction(kind);
}

/// Kinds of memory on both sides. With cudaMemcpyDefault the driver infers them from the pointers.
struct Sides {
  CUmemorytype from;
  CUmemorytype to;
};

Sides sides_of(cudaMemcpyKind kind) {
  switch (kind) {
    case cudaMemcpyHostToHost:
      return {CU_MEMORYTYPE_HOST, CU_MEMORYTYPE_HOST};
    case cudaMemcpyHostToDevice:
      return {CU_MEMORYTYPE_HOST, CU_MEMORYTYPE_DEVICE};
    case cudaMemcpyDeviceToHost:
      return {CU_MEMORYTYPE_DEVICE, CU_MEMORYTYPE_HOST};
    case cudaMemcpyDeviceToDevice:
      return {CU_MEMORYTYPE_DEVICE, CU_MEMORYTYPE_DEVICE};
    case cudaMemcpyDefault:
      return {CU_MEMORYTYPE_UNIFIED, CU_MEMORYTYPE_UNIFIED};
  }
  refuse_direction(kind);
}

void refuse_arrays(const void* from, const void* to) {
  if (from != nullptr || to != nullptr) {
    throw Failure(cudaErrorNotSupported, "CUDA arrays are not offered");
  }
}

/// Fills the sides of a copy. A host pointer goes into its own member, any other into that of the device.
template <class Copy>
void set_sides(Copy& copy, const Sides& sides, const void* from, void* to) {
  copy.srcMemoryType = sides.from;
  copy.dstMemoryType = sides.to;
  copy.srcHost = sides.from == CU_MEMORYTYPE_HOST ? from : nullptr;
  copy.srcDevice = sides.from == CU_MEMORYTYPE_HOST ? 0 : address(from);
  copy.dstHost = sides.to == CU_MEMORYTYPE_HOST ? to : nullptr;
  copy.dstDevice = sides.to == CU_MEMORYTYPE_HOST ? 0 : address(to);
}

CUDA_MEMCPY2D plane(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch,
                    std::size_t width, std::size_t height, cudaMemcpyKind kind) {
  CUDA_MEMCPY2D made{};
  set_sides(made, sides_of(kind), from, to);
  made.srcPitch = from_pitch;
  made.dstPitch = to_pitch;
  made.WidthInBytes = width;
  made.Height = height;
  return made;
}

template <class Given>
CUDA_MEMCPY3D box(const Given& given, const Sides& sides) {
  refuse_arrays(given.srcArray, given.dstArray);
  CUDA_MEMCPY3D made{};
  set_sides(made, sides, given.srcPtr.ptr, given.dstPtr.ptr);
  made.srcXInBytes = given.srcPos.x;
  made.srcY = given.srcPos.y;
  made.srcZ = given.srcPos.z;
  made.srcPitch = given.srcPtr.pitch;
  made.srcHeight = given.srcPtr.ysize;
  made.dstXInBytes = given.dstPos.x;
  made.dstY = given.dstPos.y;
  made.dstZ = given.dstPos.z;
  made.dstPitch = given.dstPtr.pitch;
  made.dstHeight = given.dstPtr.ysize;
  made.WidthInBytes = given.extent.width;
  made.Height = given.extent.height;
  made.Depth = given.extent.depth;
  return made;
}

void* symbol_address(const void* symbol, std::size_t offset, std::size_t bytes) {
  const DeviceVariable variable = find_variable(symbol);
  if (offset > variable.size || bytes > variable.size - offset) {
    throw Failure(cudaErrorInvalidValue,
                  fmt::format("{} bytes at {} of a variable of {} bytes", bytes, offset, variable.size));
  }
  return reinterpret_cast<void*>(variable.address + offset);
}

/// Waits for the default stream if the call means the calling thread's own one.
CUresult waited(CUresult result) {
  return result == CUDA_SUCCESS && per_thread_default() ? KERNCAST_CU(cuStreamSynchronize)(stream_per_thread)
                                                        : result;
}

}  // namespace

CUresult copy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, CUstream stream,
              bool wait) {
  if (!wait) {
    return copy_async(to, from, bytes, kind, default_stream(stream));
  }
  if (per_thread_default()) {
    return waited(copy_async(to, from, bytes, kind, stream_per_thread));
  }
  return copy_now(to, from, bytes, kind);
}

CUDA_MEMCPY3D driver_copy(const cudaMemcpy3DParms& given) {
  return box(given, sides_of(given.kind));
}

CUDA_MEMCPY3D driver_copy(const cudaMemcpy3DPeerParms& given) {
  CUDA_MEMCPY3D made = box(given, {CU_MEMORYTYPE_UNIFIED, CU_MEMORYTYPE_UNIFIED});
  made.srcContext = primary_context(given.srcDevice);
  made.dstContext = primary_context(given.dstDevice);
  return made;
}

cudaMemcpy3DParms runtime_copy(const CUDA_MEMCPY3D& given) {
  const bool from_host = given.srcMemoryType == CU_MEMORYTYPE_HOST;
  const bool to_host = given.dstMemoryType == CU_MEMORYTYPE_HOST;
  const bool inferred =
      given.srcMemoryType == CU_MEMORYTYPE_UNIFIED || given.dstMemoryType == CU_MEMORYTYPE_UNIFIED;
  void* from = from_host ? const_cast<void*>(given.srcHost) : reinterpret_cast<void*>(given.srcDevice);
  void* to = to_host ? given.dstHost : reinterpret_cast<void*>(given.dstDevice);
  cudaMemcpyKind kind = cudaMemcpyDefault;
  if (!inferred) {
    kind = from_host ? (to_host ? cudaMemcpyHostToHost : cudaMemcpyHostToDevice)
                     : (to_host ? cudaMemcpyDeviceToHost : cudaMemcpyDeviceToDevice);
  }
  return {nullptr,
          {given.srcXInBytes, given.srcY, given.srcZ},
          {from, given.srcPitch, given.WidthInBytes, given.srcHeight},
          nullptr,
          {given.dstXInBytes, given.dstY, given.dstZ},
          {to, given.dstPitch, given.WidthInBytes, given.dstHeight},
          {given.WidthInBytes, given.Height, given.Depth},
          kind};
}

extern "C" {

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  return device_call([&] { return copy(to, from, bytes, kind, nullptr, true); });
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            CUstream stream) {
  return device_call([&] { return copy(to, from, bytes, kind, stream, false); });
}

cudaError_t cudaMemcpyToSymbol(const void* symbol, const void* from, std::size_t bytes, std::size_t offset,
                               cudaMemcpyKind kind) {
  return device_call(
      [&] { return copy(symbol_address(symbol, offset, bytes), from, bytes, kind, nullptr, true); });
}

cudaError_t cudaMemcpyFromSymbol(void* to, const void* symbol, std::size_t bytes, std::size_t offset,
                                 cudaMemcpyKind kind) {
  return device_call(
      [&] { return copy(to, symbol_address(symbol, offset, bytes), bytes, kind, nullptr, true); });
}

cudaError_t cudaMemcpyToSymbolAsync(const void* symbol, const void* from, std::size_t bytes,
                                    std::size_t offset, cudaMemcpyKind kind, CUstream stream) {
  return device_call(
      [&] { return copy(symbol_address(symbol, offset, bytes), from, bytes, kind, stream, false); });
}

cudaError_t cudaMemcpyFromSymbolAsync(void* to, const void* symbol, std::size_t bytes, std::size_t offset,
                                      cudaMemcpyKind kind, CUstream stream) {
  return device_call(
      [&] { return copy(to, symbol_address(symbol, offset, bytes), bytes, kind, stream, false); });
}

cudaError_t cudaMemcpyPeerAsync(void* to, int to_device, const void* from, int from_device, std::size_t bytes,
                                CUstream stream) {
  return device_call([&] {
    return KERNCAST_CU(cuMemcpyPeerAsync)(address(to), primary_context(to_device), address(from),
                                          primary_context(from_device), bytes, default_stream(stream));
  });
}

cudaError_t cudaMemcpyPeer(void* to, int to_device, const void* from, int from_device, std::size_t bytes) {
  return device_call([&] {
    return KERNCAST_CU(cuMemcpyPeer)(address(to), primary_context(to_device), address(from),
                                     primary_context(from_device), bytes);
  });
}

cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch,
                              std::size_t width, std::size_t height, cudaMemcpyKind kind, CUstream stream) {
  return device_call([&] {
    const CUDA_MEMCPY2D given = plane(to, to_pitch, from, from_pitch, width, height, kind);
    return KERNCAST_CU(cuMemcpy2DAsync_v2)(&given, default_stream(stream));
  });
}

cudaError_t cudaMemcpy2D(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch,
                         std::size_t width, std::size_t height, cudaMemcpyKind kind) {
  return device_call([&] {
    const CUDA_MEMCPY2D given = plane(to, to_pitch, from, from_pitch, width, height, kind);
    return per_thread_default() ? waited(KERNCAST_CU(cuMemcpy2DAsync_v2)(&given, stream_per_thread))
                                : KERNCAST_CU(cuMemcpy2DUnaligned_v2)(&given);
  });
}

cudaError_t cudaMemcpy3DAsync(const cudaMemcpy3DParms* given, CUstream stream) {
  return device_call([&] {
    require(given, "parameters");
    const CUDA_MEMCPY3D made = driver_copy(*given);
    return KERNCAST_CU(cuMemcpy3DAsync_v2)(&made, default_stream(stream));
  });
}

cudaError_t cudaMemcpy3D(const cudaMemcpy3DParms* given) {
  return device_call([&] {
    require(given, "parameters");
    const CUDA_MEMCPY3D made = driver_copy(*given);
    return per_thread_default() ? waited(KERNCAST_CU(cuMemcpy3DAsync_v2)(&made, stream_per_thread))
                                : KERNCAST_CU(cuMemcpy3D_v2)(&made);
  });
}

cudaError_t cudaMemcpy3DPeerAsync(const cudaMemcpy3DPeerParms* given, CUstream stream) {
  return device_call([&] {
    require(given, "parameters");
    const CUDA_MEMCPY3D made = driver_copy(*given);
    return KERNCAST_CU(cuMemcpy3DPeerAsync)(&made, default_stream(stream));
  });
}

cudaError_t cudaMemcpy3DPeer(const cudaMemcpy3DPeerParms* given) {
  return device_call([&] {
    require(given, "parameters");
    const CUDA_MEMCPY3D made = driver_copy(*given);
    return KERNCAST_CU(cuMemcpy3DPeer)(&made);
  });
}

}  // extern "C"

}  // namespace kerncast::cudart
