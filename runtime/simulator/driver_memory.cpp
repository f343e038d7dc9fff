#include "runtime/simulator/driver_memory.hpp"

#include <fmt/format.h>

#include "runtime/simulator/driver_context.hpp"
#include "runtime/simulator/driver_failure.hpp"
#include "runtime/simulator/driver_state.hpp"

namespace kerncast::simulator::api {
namespace {

std::uintptr_t number(const void* address) {
  return reinterpret_cast<std::uintptr_t>(address);
}

std::byte* allocate(const Context& context, std::size_t bytes, MemoryKind kind) {
  State& all = state();
  if (bytes == 0) {
    throw Failure(CUDA_ERROR_INVALID_VALUE, "an allocation of 0 bytes");
  }
  const std::size_t used = all.memory.bytes_in_use(context.device);
  if (kind == MemoryKind::device && (used > all.total_memory || bytes > all.total_memory - used)) {
    throw Failure(CUDA_ERROR_OUT_OF_MEMORY,
                  fmt::format("{} bytes are asked for; {} of device {}'s {} are in use", bytes, used,
                              context.device, all.total_memory));
  }
  std::byte* base = all.memory.allocate(bytes, kind, context.device);
  if (base == nullptr) {
    throw Failure(CUDA_ERROR_OUT_OF_MEMORY, fmt::format("the host has no {} bytes left", bytes));
  }
  const std::lock_guard lock(all.owned_mutex);
  all.owned[base] = {context.handle, kind == MemoryKind::pinned_host, false};
  return base;
}

/// Marks an allocation as going, so that it is freed once. Throws Failure(CUDA_ERROR_INVALID_VALUE).
void claim(const std::byte* base, bool pinned) {
  State& all = state();
  const std::lock_guard lock(all.owned_mutex);
  const auto found = all.owned.find(base);
  if (found == all.owned.end() || found->second.pinned != pinned || found->second.freeing) {
    throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("{:#x} is not the start of a live {} allocation",
                                                        number(base), pinned ? "host" : "device"));
  }
  found->second.freeing = true;
}

void release(const std::byte* base) {
  State& all = state();
  {
    const std::lock_guard lock(all.owned_mutex);
    all.owned.erase(base);
  }
  all.memory.release(base);
}

/// Freeing waits for everything on the device, since any of it may use the memory.
void wait_for_device(int device) {
  std::vector<Point> ends;
  Scheduler::Lock lock = Scheduler::instance().lock();
  for (const std::shared_ptr<Context>& context : state().contexts.all()) {
    if (context->device == device) {
      const std::vector<Point> own = ends_of_streams(*context, false);
      ends.insert(ends.end(), own.begin(), own.end());
    }
  }
  Scheduler::wait(lock, ends);
}

void free_now(void* pointer, bool pinned, const char* call) {
  const std::shared_ptr<Context> context = current_context();
  refuse_unsafe_call(call);
  if (pointer == nullptr) {
    return;
  }
  auto* base = static_cast<std::byte*>(pointer);
  const std::optional<Allocation> allocation = state().memory.find(base);
  claim(base, pinned);
  wait_for_device(allocation ? allocation->device : context->device);
  release(base);
}

void refuse_memory_nodes(const StreamRef& target) {
  const Scheduler::Lock lock = Scheduler::instance().lock();
  if (const std::shared_ptr<Capture> capture = target.stream->capture; capture != nullptr) {
    invalidate(*capture, CUDA_ERROR_NOT_SUPPORTED, "the virtual GPU's graphs have no memory nodes");
  }
}

}  // namespace

std::optional<Allocation> find_range(const void* address, std::size_t bytes, std::string_view call) {
  const std::optional<Allocation> found = state().memory.find(address);
  if (found) {
    const std::size_t offset = number(address) - number(found->base);
    if (bytes > found->size - offset) {
      throw Failure(CUDA_ERROR_INVALID_VALUE,
                    fmt::format("{}: {} bytes at offset {} of an allocation of {} bytes end {} bytes past it",
                                call, bytes, offset, found->size, bytes - (found->size - offset)));
    }
  }
  return found;
}

Allocation require_range(const void* address, std::size_t bytes, std::string_view call) {
  const std::optional<Allocation> found = find_range(address, bytes, call);
  if (found) {
    return *found;
  }
  std::string where;
  if (const std::optional<Allocation> below = state().memory.nearest_below(address)) {
    where = fmt::format("; the nearest below, of {} bytes, ends {} bytes before it", below->size,
                        number(address) - number(below->base) - below->size);
  }
  throw Failure(CUDA_ERROR_INVALID_VALUE,
                fmt::format("{}: {:#x} lies in no allocation{}", call, number(address), where));
}

extern "C" {

CUresult cuMemAlloc_v2(CUdeviceptr* pointer, std::size_t bytes) {
  return driver_call([&] {
    require(pointer, "pointer");
    const std::shared_ptr<Context> context = current_context();
    refuse_unsafe_call("cuMemAlloc");
    *pointer = reinterpret_cast<CUdeviceptr>(allocate(*context, bytes, MemoryKind::device));
    return CUDA_SUCCESS;
  });
}

CUresult cuMemFree_v2(CUdeviceptr pointer) {
  return driver_call([&] {
    free_now(reinterpret_cast<void*>(pointer), false, "cuMemFree");
    return CUDA_SUCCESS;
  });
}

CUresult cuMemHostAlloc(void** pointer, std::size_t bytes, unsigned int flags) {
  return driver_call([&] {
    require(static_cast<const void*>(pointer), "pointer");
    const std::shared_ptr<Context> context = current_context();
    constexpr unsigned int known = 0x7;  // portable, device-mapped, write-combined: all memory here is
    if ((flags & ~known) != 0) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("there are no host allocation flags {:#x}", flags));
    }
    refuse_unsafe_call("cuMemHostAlloc");
    *pointer = allocate(*context, bytes, MemoryKind::pinned_host);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemAllocHost_v2(void** pointer, std::size_t bytes) {
  return cuMemHostAlloc(pointer, bytes, 0);
}

CUresult cuMemFreeHost(void* pointer) {
  return driver_call([&] {
    free_now(pointer, true, "cuMemFreeHost");
    return CUDA_SUCCESS;
  });
}

CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr* device_pointer, void* pointer, unsigned int flags) {
  return driver_call([&] {
    require(device_pointer, "device_pointer");
    current_context();
    const std::optional<Allocation> found = state().memory.find(pointer);
    if (flags != 0 || !found || found->kind != MemoryKind::pinned_host) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("{:#x} is no pinned host memory", number(pointer)));
    }
    *device_pointer = reinterpret_cast<CUdeviceptr>(pointer);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemAllocAsync(CUdeviceptr* pointer, std::size_t bytes, CUstream stream) {
  return driver_call([&] {
    require(pointer, "pointer");
    const StreamRef target = find_stream(stream);
    refuse_memory_nodes(target);
    // The address is valid for the stream's later work at least; having the memory at once gives that too.
    *pointer = reinterpret_cast<CUdeviceptr>(allocate(*target.context, bytes, MemoryKind::device));
    return CUDA_SUCCESS;
  });
}

CUresult cuMemFreeAsync(CUdeviceptr pointer, CUstream stream) {
  return driver_call([&] {
    const StreamRef target = find_stream(stream);
    refuse_memory_nodes(target);
    if (pointer == 0) {
      return CUDA_SUCCESS;
    }
    const auto* base = reinterpret_cast<const std::byte*>(pointer);
    claim(base, false);
    submit(target, CU_GRAPH_NODE_TYPE_EMPTY, [base](Context&) { release(base); });
    return CUDA_SUCCESS;
  });
}

CUresult cuMemGetInfo_v2(std::size_t* free, std::size_t* total) {
  return driver_call([&] {
    const std::shared_ptr<Context> context = current_context();
    const std::size_t all = state().total_memory;
    const std::size_t used = state().memory.bytes_in_use(context->device);
    if (free != nullptr) {
      *free = used < all ? all - used : 0;
    }
    if (total != nullptr) {
      *total = all;
    }
    return CUDA_SUCCESS;
  });
}

CUresult cuMemGetAddressRange_v2(CUdeviceptr* base, std::size_t* bytes, CUdeviceptr pointer) {
  return driver_call([&] {
    current_context();
    const std::optional<Allocation> found = state().memory.find(reinterpret_cast<const void*>(pointer));
    if (!found) {
      throw Failure(CUDA_ERROR_NOT_FOUND, fmt::format("{:#x} lies in no allocation", pointer));
    }
    if (base != nullptr) {
      *base = reinterpret_cast<CUdeviceptr>(found->base);
    }
    if (bytes != nullptr) {
      *bytes = found->size;
    }
    return CUDA_SUCCESS;
  });
}

}  // extern "C"

}  // namespace kerncast::simulator::api
