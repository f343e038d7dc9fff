#include <fmt/format.h>

#include "runtime/simulator/driver/context/context.hpp"
#include "runtime/simulator/driver/context/failure.hpp"
#include "runtime/simulator/driver/context/scheduler.hpp"
#include "runtime/simulator/driver/context/state.hpp"
#include "runtime/simulator/driver/graph/capture.hpp"
#include "runtime/simulator/driver/memory/copy.hpp"

namespace kerncast::simulator::api {
namespace {

Side device_side(CUdeviceptr pointer) {
  return {reinterpret_cast<std::byte*>(pointer), 0, 0, true};
}
Side any_side(CUdeviceptr pointer) {
  return {reinterpret_cast<std::byte*>(pointer), 0, 0, false};
}
Side host_side(const void* pointer) {
  return any_side(reinterpret_cast<CUdeviceptr>(pointer));
}

/// Reads the pageable memory of a copy now.
void stage(CopyNode& copy) {
  copy.staged.reserve(copy.extent.width * copy.extent.rows * copy.extent.slices);
  for (std::size_t z = 0; z < copy.extent.slices; ++z) {
    for (std::size_t y = 0; y < copy.extent.rows; ++y) {
      const std::byte* row = copy.from.first + z * copy.from.slice_pitch + y * copy.from.row_pitch;
      copy.staged.insert(copy.staged.end(), row, row + copy.extent.width);
    }
  }
}

/// Copies in stream order. Pageable memory is the caller's again when the call returns: it is read before,
/// and written by then.
void start(const std::shared_ptr<CopyNode>& copy, CUstream stream, bool wait) {
  const StreamRef target = find_stream(stream);
  if (copy->extent.empty()) {
    return;
  }
  if (copy->from_pageable && !wait && !is_captured(target)) {
    stage(*copy);
  }
  const std::optional<Point> end =
      submit(target, CU_GRAPH_NODE_TYPE_MEMCPY, std::shared_ptr<const CopyNode>(copy));
  if (end && (wait || copy->to_pageable)) {
    wait_for(target, *end);
  }
}

void flat(const Side& to, const Side& from, std::size_t bytes, CUstream stream, const char* call, bool wait) {
  current_context();
  const std::shared_ptr<CopyNode> copy = make_copy(to, from, {bytes, 1, 1}, call);
  copy->given = flat_copy(to, from, bytes);
  start(copy, stream, wait);
}

void fill(CUdeviceptr to, std::size_t pitch, unsigned int value, unsigned int size, std::size_t width,
          std::size_t height, CUstream stream, const char* call) {
  const StreamRef target = find_stream(stream);
  const std::shared_ptr<const FillNode> node = make_fill({to, pitch, value, size, width, height}, call);
  if (width != 0 && height != 0) {
    submit(target, CU_GRAPH_NODE_TYPE_MEMSET, node);
  }
}

CUDA_MEMCPY3D deepened(const CUDA_MEMCPY2D& given) {
  CUDA_MEMCPY3D shape{};
  shape.srcXInBytes = given.srcXInBytes;
  shape.srcY = given.srcY;
  shape.srcMemoryType = given.srcMemoryType;
  shape.srcHost = given.srcHost;
  shape.srcDevice = given.srcDevice;
  shape.srcArray = given.srcArray;
  shape.srcPitch = given.srcPitch;
  shape.dstXInBytes = given.dstXInBytes;
  shape.dstY = given.dstY;
  shape.dstMemoryType = given.dstMemoryType;
  shape.dstHost = given.dstHost;
  shape.dstDevice = given.dstDevice;
  shape.dstArray = given.dstArray;
  shape.dstPitch = given.dstPitch;
  shape.WidthInBytes = given.WidthInBytes;
  shape.Height = given.Height;
  shape.Depth = 1;
  return shape;
}

void shaped(const CUDA_MEMCPY3D& given, CUstream stream, const char* call, bool wait) {
  current_context();
  start(make_copy(given, call), stream, wait);
}

/// The contexts of a copy between devices must exist. All devices share the host's memory, so the copy is an
/// ordinary one.
void require_contexts(CUcontext to, CUcontext from) {
  for (const CUcontext context : {to, from}) {
    if (state().contexts.find(context) == nullptr) {
      throw Failure(CUDA_ERROR_INVALID_CONTEXT, "there is no such context, or it is destroyed");
    }
  }
}

}  // namespace

extern "C" {

CUresult cuMemcpy(CUdeviceptr to, CUdeviceptr from, std::size_t bytes) {
  return driver_call([&] {
    refuse_unsafe_call("cuMemcpy");
    flat(any_side(to), any_side(from), bytes, nullptr, "cuMemcpy", true);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemcpyAsync(CUdeviceptr to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
  return driver_call([&] {
    flat(any_side(to), any_side(from), bytes, stream, "cuMemcpyAsync", false);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void* from, std::size_t bytes) {
  return driver_call([&] {
    refuse_unsafe_call("cuMemcpyHtoD");
    flat(device_side(to), host_side(from), bytes, nullptr, "cuMemcpyHtoD", true);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemcpyDtoH_v2(void* to, CUdeviceptr from, std::size_t bytes) {
  return driver_call([&] {
    refuse_unsafe_call("cuMemcpyDtoH");
    flat(host_side(to), device_side(from), bytes, nullptr, "cuMemcpyDtoH", true);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, std::size_t bytes) {
  return driver_call([&] {
    refuse_unsafe_call("cuMemcpyDtoD");
    flat(device_side(to), device_side(from), bytes, nullptr, "cuMemcpyDtoD", false);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, std::size_t bytes, CUstream stream) {
  return driver_call([&] {
    flat(device_side(to), host_side(from), bytes, stream, "cuMemcpyHtoDAsync", false);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
  return driver_call([&] {
    flat(host_side(to), device_side(from), bytes, stream, "cuMemcpyDtoHAsync", false);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
  return driver_call([&] {
    flat(device_side(to), device_side(from), bytes, stream, "cuMemcpyDtoDAsync", false);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemcpyPeer(CUdeviceptr to, CUcontext to_context, CUdeviceptr from, CUcontext from_context,
                      std::size_t bytes) {
  return driver_call([&] {
    refuse_unsafe_call("cuMemcpyPeer");
    require_contexts(to_context, from_context);
    flat(device_side(to), device_side(from), bytes, nullptr, "cuMemcpyPeer", false);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemcpyPeerAsync(CUdeviceptr to, CUcontext to_context, CUdeviceptr from, CUcontext from_context,
                           std::size_t bytes, CUstream stream) {
  return driver_call([&] {
    require_contexts(to_context, from_context);
    flat(device_side(to), device_side(from), bytes, stream, "cuMemcpyPeerAsync", false);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemcpy2D_v2(const CUDA_MEMCPY2D* given) {
  return driver_call([&] {
    require(given, "copy");
    refuse_unsafe_call("cuMemcpy2D");
    shaped(deepened(*given), nullptr, "cuMemcpy2D", true);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemcpy2DUnaligned_v2(const CUDA_MEMCPY2D* given) {
  return cuMemcpy2D_v2(given);
}

CUresult cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D* given, CUstream stream) {
  return driver_call([&] {
    require(given, "copy");
    shaped(deepened(*given), stream, "cuMemcpy2DAsync", false);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemcpy3D_v2(const CUDA_MEMCPY3D* given) {
  return driver_call([&] {
    require(given, "copy");
    refuse_unsafe_call("cuMemcpy3D");
    shaped(*given, nullptr, "cuMemcpy3D", true);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemcpy3DAsync_v2(const CUDA_MEMCPY3D* given, CUstream stream) {
  return driver_call([&] {
    require(given, "copy");
    shaped(*given, stream, "cuMemcpy3DAsync", false);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemcpy3DPeer(const CUDA_MEMCPY3D* given) {
  return driver_call([&] {
    require(given, "copy");
    refuse_unsafe_call("cuMemcpy3DPeer");
    require_contexts(given->dstContext, given->srcContext);
    shaped(*given, nullptr, "cuMemcpy3DPeer", true);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemcpy3DPeerAsync(const CUDA_MEMCPY3D* given, CUstream stream) {
  return driver_call([&] {
    require(given, "copy");
    require_contexts(given->dstContext, given->srcContext);
    shaped(*given, stream, "cuMemcpy3DPeerAsync", false);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemsetD8_v2(CUdeviceptr to, unsigned char value, std::size_t count) {
  return driver_call([&] {
    refuse_unsafe_call("cuMemsetD8");
    fill(to, 0, value, 1, count, 1, nullptr, "cuMemsetD8");
    return CUDA_SUCCESS;
  });
}

CUresult cuMemsetD16_v2(CUdeviceptr to, unsigned short value, std::size_t count) {
  return driver_call([&] {
    refuse_unsafe_call("cuMemsetD16");
    fill(to, 0, value, 2, count, 1, nullptr, "cuMemsetD16");
    return CUDA_SUCCESS;
  });
}

CUresult cuMemsetD32_v2(CUdeviceptr to, unsigned int value, std::size_t count) {
  return driver_call([&] {
    refuse_unsafe_call("cuMemsetD32");
    fill(to, 0, value, 4, count, 1, nullptr, "cuMemsetD32");
    return CUDA_SUCCESS;
  });
}

CUresult cuMemsetD2D8_v2(CUdeviceptr to, std::size_t pitch, unsigned char value, std::size_t width,
                         std::size_t height) {
  return driver_call([&] {
    refuse_unsafe_call("cuMemsetD2D8");
    fill(to, pitch, value, 1, width, height, nullptr, "cuMemsetD2D8");
    return CUDA_SUCCESS;
  });
}

CUresult cuMemsetD2D16_v2(CUdeviceptr to, std::size_t pitch, unsigned short value, std::size_t width,
                          std::size_t height) {
  return driver_call([&] {
    refuse_unsafe_call("cuMemsetD2D16");
    fill(to, pitch, value, 2, width, height, nullptr, "cuMemsetD2D16");
    return CUDA_SUCCESS;
  });
}

CUresult cuMemsetD2D32_v2(CUdeviceptr to, std::size_t pitch, unsigned int value, std::size_t width,
                          std::size_t height) {
  return driver_call([&] {
    refuse_unsafe_call("cuMemsetD2D32");
    fill(to, pitch, value, 4, width, height, nullptr, "cuMemsetD2D32");
    return CUDA_SUCCESS;
  });
}

CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, std::size_t count, CUstream stream) {
  return driver_call([&] {
    fill(to, 0, value, 1, count, 1, stream, "cuMemsetD8Async");
    return CUDA_SUCCESS;
  });
}

CUresult cuMemsetD16Async(CUdeviceptr to, unsigned short value, std::size_t count, CUstream stream) {
  return driver_call([&] {
    fill(to, 0, value, 2, count, 1, stream, "cuMemsetD16Async");
    return CUDA_SUCCESS;
  });
}

CUresult cuMemsetD32Async(CUdeviceptr to, unsigned int value, std::size_t count, CUstream stream) {
  return driver_call([&] {
    fill(to, 0, value, 4, count, 1, stream, "cuMemsetD32Async");
    return CUDA_SUCCESS;
  });
}

CUresult cuMemsetD2D8Async(CUdeviceptr to, std::size_t pitch, unsigned char value, std::size_t width,
                           std::size_t height, CUstream stream) {
  return driver_call([&] {
    fill(to, pitch, value, 1, width, height, stream, "cuMemsetD2D8Async");
    return CUDA_SUCCESS;
  });
}

CUresult cuMemsetD2D16Async(CUdeviceptr to, std::size_t pitch, unsigned short value, std::size_t width,
                            std::size_t height, CUstream stream) {
  return driver_call([&] {
    fill(to, pitch, value, 2, width, height, stream, "cuMemsetD2D16Async");
    return CUDA_SUCCESS;
  });
}

CUresult cuMemsetD2D32Async(CUdeviceptr to, std::size_t pitch, unsigned int value, std::size_t width,
                            std::size_t height, CUstream stream) {
  return driver_call([&] {
    fill(to, pitch, value, 4, width, height, stream, "cuMemsetD2D32Async");
    return CUDA_SUCCESS;
  });
}

}  // extern "C"

}  // namespace kerncast::simulator::api
