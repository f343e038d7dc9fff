#include "runtime/simulator/driver/memory/memory.hpp"

#include <fmt/format.h>
#include <sys/mman.h>

#include "runtime/simulator/driver/context/context.hpp"
#include "runtime/simulator/driver/context/failure.hpp"
#include "runtime/simulator/driver/context/scheduler.hpp"
#include "runtime/simulator/driver/context/state.hpp"
#include "runtime/simulator/driver/graph/capture.hpp"
#include "runtime/simulator/driver/graph/graph.hpp"
#include "runtime/simulator/driver/memory/ipc.hpp"
#include "runtime/simulator/driver/memory/pool.hpp"

namespace kerncast::simulator::api {
namespace {

std::uintptr_t number(const void* address) {
  return reinterpret_cast<std::uintptr_t>(address);
}

std::byte* allocate(const Context& context, std::size_t bytes, Owned::Kind kind, unsigned int flags = 0) {
  DriverState& all = state();
  if (bytes == 0) {
    throw Failure(CUDA_ERROR_INVALID_VALUE, "an allocation of 0 bytes");
  }
  const std::size_t used = all.memory.bytes_in_use(context.device);
  const bool pinned = kind == Owned::Kind::pinned;
  if (!pinned && (used > all.total_memory || bytes > all.total_memory - used)) {
    throw Failure(CUDA_ERROR_OUT_OF_MEMORY,
                  fmt::format("{} bytes are asked for; {} of device {}'s {} are in use", bytes, used,
                              context.device, all.total_memory));
  }
  std::byte* base =
      all.memory.allocate(bytes, pinned ? MemoryKind::pinned_host : MemoryKind::device, context.device);
  if (base == nullptr) {
    throw Failure(CUDA_ERROR_OUT_OF_MEMORY, fmt::format("the host has no {} bytes left", bytes));
  }
  const std::lock_guard lock(all.owned_mutex);
  Owned& owned = all.owned[base];
  owned.context = context.handle;
  owned.kind = kind;
  owned.host_flags = flags;
  return base;
}

/// The address must be valid for the stream's later work; allocating the memory at once guarantees that.
CUdeviceptr allocate_in_stream(const StreamRef& target, std::size_t bytes,
                               const std::shared_ptr<Pool>& pool) {
  if (is_captured(target)) {
    CUDA_MEM_ALLOC_NODE_PARAMS given{};
    given.poolProps = pool->properties;
    given.bytesize = bytes;
    submit(target, CU_GRAPH_NODE_TYPE_MEM_ALLOC, alloc_payload(given));
    return given.dptr;
  }
  std::uint64_t peers = 0;
  {
    const std::lock_guard lock(pool->mutex);
    peers = pool->peers;
    if (pool->properties.maxSize != 0 && bytes > pool->properties.maxSize - pool->used) {
      throw Failure(CUDA_ERROR_OUT_OF_MEMORY,
                    fmt::format("{} bytes are asked for; {} of the pool's {} are used", bytes, pool->used,
                                pool->properties.maxSize));
    }
  }
  std::byte* base = allocate(*target.context, bytes, pool->host ? Owned::Kind::pinned : Owned::Kind::device);
  state().memory.set_peers(base, peers, !pool->host);
  pool->add(bytes);
  const std::lock_guard lock(state().owned_mutex);
  state().owned[base].pool = pool;
  return reinterpret_cast<CUdeviceptr>(base);
}

bool is_host(Owned::Kind kind) {
  return kind == Owned::Kind::pinned;
}

bool is_freeable(const Owned& owned, bool pinned) {
  if (owned.freeing) {
    return false;
  }
  if (pinned) {
    return is_host(owned.kind) && owned.pool == nullptr;
  }
  return owned.kind == Owned::Kind::device || owned.kind == Owned::Kind::managed ||
         (is_host(owned.kind) && owned.pool != nullptr);
}

/// Marks an allocation as being freed, so that it is freed once. Throws Failure(CUDA_ERROR_INVALID_VALUE).
void claim(const std::byte* base, bool pinned) {
  DriverState& all = state();
  const std::lock_guard lock(all.owned_mutex);
  const auto found = all.owned.find(base);
  if (found == all.owned.end() || !is_freeable(found->second, pinned)) {
    throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("{:#x} is not the start of a live {} allocation",
                                                        number(base), pinned ? "host" : "device"));
  }
  found->second.freeing = true;
}

/// Frees memory if a graph allocated it. Throws Failure(CUDA_ERROR_INVALID_VALUE).
bool free_graph_memory(void* pointer) {
  const std::shared_ptr<GraphMemory> memory = find_graph_memory(reinterpret_cast<CUdeviceptr>(pointer));
  if (memory == nullptr) {
    return false;
  }
  if (!memory->live) {
    throw Failure(CUDA_ERROR_INVALID_VALUE,
                  fmt::format("{:#x} is memory of a graph that no launch has allocated", number(pointer)));
  }
  set_graph_memory_live(memory, false);
  return true;
}

void free_now(void* pointer, bool pinned, const char* call) {
  const std::shared_ptr<Context> context = current_context();
  refuse_unsafe_call(call);
  if (pointer == nullptr) {
    return;
  }
  auto* base = static_cast<std::byte*>(pointer);
  const std::optional<Allocation> allocation = state().memory.find(base);
  const int device = allocation ? allocation->device : context->device;
  if (!pinned && find_graph_memory(reinterpret_cast<CUdeviceptr>(pointer)) != nullptr) {
    wait_for_device(device);
    free_graph_memory(pointer);
    return;
  }
  claim(base, pinned);
  wait_for_device(device);
  release_allocation(base);
}

}  // namespace

bool is_device_allocation(const std::byte* base) {
  DriverState& all = state();
  const std::lock_guard lock(all.owned_mutex);
  const auto found = all.owned.find(base);
  return found != all.owned.end() && is_freeable(found->second, false);
}

void release_allocation(const std::byte* base) {
  DriverState& all = state();
  std::shared_ptr<Pool> pool;
  std::shared_ptr<SharedPages> shared;
  bool imported = false;
  {
    const std::lock_guard lock(all.owned_mutex);
    if (const auto found = all.owned.find(base); found != all.owned.end()) {
      pool = std::move(found->second.pool);
      shared = std::move(found->second.shared);
      imported = found->second.kind == Owned::Kind::imported;
      all.owned.erase(found);
    }
  }
  if (pool != nullptr) {
    if (const std::optional<Allocation> allocation = all.memory.find(base)) {
      pool->remove(allocation->size);
    }
  }
  if (shared != nullptr && !imported) {
    take_back_pages(const_cast<std::byte*>(base), *shared);
  }
  all.memory.release(base);
  if (imported) {
    munmap(const_cast<std::byte*>(base), shared->bytes());
  }
}

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
    *pointer = reinterpret_cast<CUdeviceptr>(allocate(*context, bytes, Owned::Kind::device));
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
    constexpr unsigned int known = 0x7;  // portable, device-mapped, write-combined
    if ((flags & ~known) != 0) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("there are no host allocation flags {:#x}", flags));
    }
    refuse_unsafe_call("cuMemHostAlloc");
    *pointer = allocate(*context, bytes, Owned::Kind::pinned, flags);
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

CUresult cuMemAllocPitch_v2(CUdeviceptr* pointer, std::size_t* pitch, std::size_t width, std::size_t height,
                            unsigned int element) {
  return driver_call([&] {
    require(pointer, "pointer");
    require(pitch, "pitch");
    if ((element != 4 && element != 8 && element != 16) || width == 0 || height == 0) {
      throw Failure(CUDA_ERROR_INVALID_VALUE,
                    fmt::format("{} rows of {} bytes in elements of {}", height, width, element));
    }
    constexpr std::size_t alignment = 512;
    const std::size_t row = (width + alignment - 1) / alignment * alignment;
    if (row < width || height > SIZE_MAX / row) {
      throw Failure(CUDA_ERROR_OUT_OF_MEMORY, fmt::format("{} rows of {} bytes", height, width));
    }
    const std::shared_ptr<Context> context = current_context();
    refuse_unsafe_call("cuMemAllocPitch");
    *pointer = reinterpret_cast<CUdeviceptr>(allocate(*context, row * height, Owned::Kind::device));
    *pitch = row;
    return CUDA_SUCCESS;
  });
}

CUresult cuMemAllocManaged(CUdeviceptr* pointer, std::size_t bytes, unsigned int flags) {
  return driver_call([&] {
    require(pointer, "pointer");
    if (flags != 1 && flags != 2) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("there are no attach flags {:#x}", flags));
    }
    const std::shared_ptr<Context> context = current_context();
    refuse_unsafe_call("cuMemAllocManaged");
    std::byte* base = allocate(*context, bytes, Owned::Kind::managed);
    state().memory.set_peers(base, ~std::uint64_t{0}, false);
    state().memory.mark_written(base, bytes);  // the host writes to it unseen
    *pointer = reinterpret_cast<CUdeviceptr>(base);
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

CUresult cuMemHostGetFlags(unsigned int* flags, void* pointer) {
  return driver_call([&] {
    require(flags, "flags");
    current_context();
    const std::lock_guard lock(state().owned_mutex);
    const auto found = state().owned.find(static_cast<const std::byte*>(pointer));
    if (found == state().owned.end() || !is_host(found->second.kind)) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("{:#x} is no pinned host memory", number(pointer)));
    }
    *flags = found->second.host_flags;
    return CUDA_SUCCESS;
  });
}

CUresult cuMemHostRegister_v2(void* pointer, std::size_t bytes, unsigned int flags) {
  return driver_call([&] {
    require(pointer, "pointer");
    const std::shared_ptr<Context> context = current_context();
    constexpr unsigned int known = 0xf;  // portable, device-mapped, of a device's, read-only
    if (bytes == 0 || (flags & ~known) != 0) {
      throw Failure(CUDA_ERROR_INVALID_VALUE,
                    fmt::format("{} bytes of host memory with flags {:#x}", bytes, flags));
    }
    refuse_unsafe_call("cuMemHostRegister");
    auto* base = static_cast<std::byte*>(pointer);
    if (!state().memory.adopt(base, bytes, MemoryKind::pinned_host, context->device)) {
      throw Failure(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED,
                    fmt::format("{} bytes at {:#x} overlap pinned memory", bytes, number(pointer)));
    }
    const std::lock_guard lock(state().owned_mutex);
    Owned& owned = state().owned[base];
    owned.context = context->handle;
    owned.kind = Owned::Kind::registered;
    owned.host_flags = flags;
    return CUDA_SUCCESS;
  });
}

CUresult cuMemHostUnregister(void* pointer) {
  return driver_call([&] {
    require(pointer, "pointer");
    const std::shared_ptr<Context> context = current_context();
    refuse_unsafe_call("cuMemHostUnregister");
    const auto* base = static_cast<const std::byte*>(pointer);
    {
      const std::lock_guard lock(state().owned_mutex);
      const auto found = state().owned.find(base);
      if (found == state().owned.end() || found->second.kind != Owned::Kind::registered ||
          found->second.freeing) {
        throw Failure(CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED,
                      fmt::format("{:#x} is not the start of registered memory", number(pointer)));
      }
      found->second.freeing = true;
    }
    wait_for_device(context->device);
    release_allocation(base);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemAllocFromPoolAsync(CUdeviceptr* pointer, std::size_t bytes, CUmemoryPool pool,
                                 CUstream stream) {
  return driver_call([&] {
    require(pointer, "pointer");
    const std::shared_ptr<Pool> found = state().pools.find(pool);
    if (found == nullptr) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, "there is no such memory pool, or it is destroyed");
    }
    *pointer = allocate_in_stream(find_stream(stream), bytes, found);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemAllocAsync(CUdeviceptr* pointer, std::size_t bytes, CUstream stream) {
  return driver_call([&] {
    require(pointer, "pointer");
    const StreamRef target = find_stream(stream);
    *pointer = allocate_in_stream(target, bytes, current_pool(target.context->device));
    return CUDA_SUCCESS;
  });
}

CUresult cuMemFreeAsync(CUdeviceptr pointer, CUstream stream) {
  return driver_call([&] {
    const StreamRef target = find_stream(stream);
    if (pointer == 0) {
      return CUDA_SUCCESS;
    }
    if (is_captured(target)) {
      submit(target, CU_GRAPH_NODE_TYPE_MEM_FREE, free_payload(pointer));
      return CUDA_SUCCESS;
    }
    if (free_graph_memory(reinterpret_cast<void*>(pointer))) {
      return CUDA_SUCCESS;
    }
    const auto* base = reinterpret_cast<const std::byte*>(pointer);
    claim(base, false);
    submit_uncaptured(target, [base](Context&, Moment&) { release_allocation(base); });
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
