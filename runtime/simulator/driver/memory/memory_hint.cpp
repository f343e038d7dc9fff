#include <fmt/format.h>

#include "runtime/simulator/driver/context/context.hpp"
#include "runtime/simulator/driver/context/failure.hpp"
#include "runtime/simulator/driver/context/state.hpp"
#include "runtime/simulator/driver/graph/capture.hpp"
#include "runtime/simulator/driver/memory/memory.hpp"

namespace kerncast::simulator::api {
namespace {

/// Hints about managed memory are checked and then do nothing: it is in one place only.
void require_managed(CUdeviceptr pointer, std::size_t bytes, const char* call) {
  const Allocation found = require_range(reinterpret_cast<const void*>(pointer), bytes, call);
  const std::lock_guard lock(state().owned_mutex);
  const auto owned = state().owned.find(found.base);
  if (owned == state().owned.end() || owned->second.kind != Owned::Kind::managed) {
    throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("{}: {:#x} is no managed memory", call, pointer));
  }
}

void require_location(const CUmemLocation& location) {
  if (location.type == CU_MEM_LOCATION_TYPE_DEVICE) {
    require_device(location.id);
  } else if (location.type < CU_MEM_LOCATION_TYPE_INVALID ||
             location.type > CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT) {
    throw Failure(CUDA_ERROR_INVALID_VALUE,
                  fmt::format("there is no memory location type {}", static_cast<int>(location.type)));
  }
}

CUmemLocation location_of(CUdevice device) {
  return {device < 0 ? CU_MEM_LOCATION_TYPE_HOST : CU_MEM_LOCATION_TYPE_DEVICE, device < 0 ? 0 : device};
}

}  // namespace

extern "C" {

CUresult cuMemAdvise_v2(CUdeviceptr pointer, std::size_t bytes, CUmem_advise advice, CUmemLocation location) {
  return driver_call([&] {
    if (advice < CU_MEM_ADVISE_SET_READ_MOSTLY || advice > CU_MEM_ADVISE_UNSET_ACCESSED_BY) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("there is no advice {}", static_cast<int>(advice)));
    }
    require_managed(pointer, bytes, "cuMemAdvise");
    require_location(location);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemAdvise(CUdeviceptr pointer, std::size_t bytes, CUmem_advise advice, CUdevice device) {
  return cuMemAdvise_v2(pointer, bytes, advice, location_of(device));
}

CUresult cuMemPrefetchAsync_v2(CUdeviceptr pointer, std::size_t bytes, CUmemLocation location,
                               unsigned int flags, CUstream stream) {
  return driver_call([&] {
    if (flags != 0) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, "cuMemPrefetchAsync takes no flags");
    }
    require_managed(pointer, bytes, "cuMemPrefetchAsync");
    require_location(location);
    submit_uncaptured(find_stream(stream), {});
    return CUDA_SUCCESS;
  });
}

CUresult cuMemPrefetchAsync(CUdeviceptr pointer, std::size_t bytes, CUdevice device, CUstream stream) {
  return cuMemPrefetchAsync_v2(pointer, bytes, location_of(device), 0, stream);
}

}  // extern "C"

}  // namespace kerncast::simulator::api
