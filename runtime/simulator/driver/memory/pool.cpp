#include "runtime/simulator/driver/memory/pool.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "runtime/simulator/driver/context/failure.hpp"
#include "runtime/simulator/driver/context/state.hpp"

namespace kerncast::simulator::api {
namespace {

std::shared_ptr<Pool> find_pool(CUmemoryPool handle) {
  std::shared_ptr<Pool> pool = state().pools.find(handle);
  if (pool == nullptr) {
    throw Failure(CUDA_ERROR_INVALID_VALUE, "there is no such memory pool, or it is destroyed");
  }
  return pool;
}

std::shared_ptr<Pool> make_pool(int device, bool host) {
  auto pool = std::make_shared<Pool>();
  pool->device = device;
  pool->host = host;
  pool->properties.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
  pool->properties.location = {host ? CU_MEM_LOCATION_TYPE_HOST : CU_MEM_LOCATION_TYPE_DEVICE, device};
  state().pools.insert(pool);
  return pool;
}

/// The pools of a device, its initial one made on first use.
DriverState::DevicePools& pools_of(int device) {
  DriverState& all = state();
  all.device_pools.resize(static_cast<std::size_t>(all.device_count));
  DriverState::DevicePools& pools = all.device_pools[static_cast<std::size_t>(device)];
  if (pools.initial == nullptr) {
    pools.initial = make_pool(device, false);
    pools.current = pools.initial;
  }
  return pools;
}

bool is_host(CUmemLocationType type) {
  return type == CU_MEM_LOCATION_TYPE_HOST || type == CU_MEM_LOCATION_TYPE_HOST_NUMA ||
         type == CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT;
}

std::shared_ptr<Pool> initial_host_pool() {
  static const std::shared_ptr<Pool> pool = make_pool(0, true);
  return pool;
}

/// Checks the location in a call about its pools. Throws Failure.
bool names_host(const CUmemLocation* location, CUmemAllocationType type) {
  require(location, "location");
  if (type != CU_MEM_ALLOCATION_TYPE_PINNED) {
    throw Failure(CUDA_ERROR_NOT_SUPPORTED, "pools of managed memory are not offered");
  }
  if (is_host(location->type)) {
    return true;
  }
  if (location->type != CU_MEM_LOCATION_TYPE_DEVICE) {
    throw Failure(CUDA_ERROR_INVALID_VALUE,
                  fmt::format("there is no memory location type {}", static_cast<int>(location->type)));
  }
  require_device(location->id);
  return false;
}

template <class Value>
void load(Value& to, const void* from) {
  std::memcpy(&to, from, sizeof to);
}
template <class Value>
void store_attribute(void* to, const Value& from) {
  std::memcpy(to, &from, sizeof from);
}

}  // namespace

void Pool::add(std::uint64_t bytes) {
  const std::lock_guard lock(mutex);
  used += bytes;
  used_high = std::max(used_high, used);
}

void Pool::remove(std::uint64_t bytes) {
  const std::lock_guard lock(mutex);
  used -= bytes;
}

std::shared_ptr<Pool> current_pool(int device) {
  const std::lock_guard lock(state().pools_mutex);
  return pools_of(device).current;
}

extern "C" {

CUresult cuDeviceGetDefaultMemPool(CUmemoryPool* pool, CUdevice device) {
  return driver_call([&] {
    require(pool, "pool");
    require_device(device);
    const std::lock_guard lock(state().pools_mutex);
    *pool = pools_of(device).initial->handle;
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGetMemPool(CUmemoryPool* pool, CUdevice device) {
  return driver_call([&] {
    require(pool, "pool");
    require_device(device);
    *pool = current_pool(device)->handle;
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceSetMemPool(CUdevice device, CUmemoryPool pool) {
  return driver_call([&] {
    require_device(device);
    const std::shared_ptr<Pool> found = find_pool(pool);
    if (found->host || found->device != device) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, "the pool lies on another device");
    }
    const std::lock_guard lock(state().pools_mutex);
    pools_of(device).current = found;
    return CUDA_SUCCESS;
  });
}

CUresult cuMemGetDefaultMemPool(CUmemoryPool* pool, CUmemLocation* location, CUmemAllocationType type) {
  return driver_call([&] {
    require(pool, "pool");
    const bool host = names_host(location, type);
    const std::lock_guard lock(state().pools_mutex);
    *pool = host ? initial_host_pool()->handle : pools_of(location->id).initial->handle;
    return CUDA_SUCCESS;
  });
}

CUresult cuMemGetMemPool(CUmemoryPool* pool, CUmemLocation* location, CUmemAllocationType type) {
  return driver_call([&] {
    require(pool, "pool");
    const bool host = names_host(location, type);
    const std::lock_guard lock(state().pools_mutex);
    *pool = host ? initial_host_pool()->handle : pools_of(location->id).current->handle;
    return CUDA_SUCCESS;
  });
}

CUresult cuMemSetMemPool(CUmemLocation* location, CUmemAllocationType type, CUmemoryPool pool) {
  return driver_call([&] {
    if (names_host(location, type)) {
      throw Failure(CUDA_ERROR_NOT_SUPPORTED, "the host's current pool cannot be changed");
    }
    const std::shared_ptr<Pool> found = find_pool(pool);
    const std::lock_guard lock(state().pools_mutex);
    pools_of(location->id).current = found;
    return CUDA_SUCCESS;
  });
}

CUresult cuMemPoolCreate(CUmemoryPool* pool, const CUmemPoolProps* properties) {
  return driver_call([&] {
    require(pool, "pool");
    require(properties, "properties");
    const bool host = names_host(&properties->location, properties->allocType);
    if (properties->handleTypes != CU_MEM_HANDLE_TYPE_NONE) {
      throw Failure(CUDA_ERROR_NOT_SUPPORTED, "pools cannot be shared with other processes");
    }
    const std::shared_ptr<Pool> made = make_pool(host ? 0 : properties->location.id, host);
    made->properties = *properties;
    *pool = made->handle;
    return CUDA_SUCCESS;
  });
}

CUresult cuMemPoolDestroy(CUmemoryPool pool) {
  return driver_call([&] {
    const std::shared_ptr<Pool> gone = find_pool(pool);
    const std::lock_guard lock(state().pools_mutex);
    if (gone == (gone->host ? initial_host_pool() : pools_of(gone->device).initial)) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, "a device's default pool cannot be destroyed");
    }
    if (!gone->host && pools_of(gone->device).current == gone) {
      pools_of(gone->device).current = pools_of(gone->device).initial;
    }
    state().pools.take(pool);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemPoolTrimTo(CUmemoryPool pool, std::size_t) {
  return driver_call([&] {
    find_pool(pool);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemPoolSetAttribute(CUmemoryPool pool, CUmemPool_attribute attribute, void* value) {
  return driver_call([&] {
    require(value, "value");
    const std::shared_ptr<Pool> found = find_pool(pool);
    const std::lock_guard lock(found->mutex);
    switch (attribute) {
      case CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES:
        load(found->reuse_follow_event_dependencies, value);
        return CUDA_SUCCESS;
      case CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC:
        load(found->reuse_allow_opportunistic, value);
        return CUDA_SUCCESS;
      case CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES:
        load(found->reuse_allow_internal_dependencies, value);
        return CUDA_SUCCESS;
      case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
        load(found->release_threshold, value);
        return CUDA_SUCCESS;
      case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
      case CU_MEMPOOL_ATTR_USED_MEM_HIGH: {
        std::uint64_t given = 0;
        load(given, value);
        if (given == 0) {
          found->used_high = found->used;
          return CUDA_SUCCESS;
        }
        break;
      }
      default:
        break;
    }
    throw Failure(CUDA_ERROR_INVALID_VALUE,
                  fmt::format("pool attribute {} cannot be set so", static_cast<int>(attribute)));
  });
}

CUresult cuMemPoolGetAttribute(CUmemoryPool pool, CUmemPool_attribute attribute, void* value) {
  return driver_call([&] {
    require(value, "value");
    const std::shared_ptr<Pool> found = find_pool(pool);
    const std::lock_guard lock(found->mutex);
    switch (attribute) {
      case CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES:
        store_attribute(value, found->reuse_follow_event_dependencies);
        return CUDA_SUCCESS;
      case CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC:
        store_attribute(value, found->reuse_allow_opportunistic);
        return CUDA_SUCCESS;
      case CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES:
        store_attribute(value, found->reuse_allow_internal_dependencies);
        return CUDA_SUCCESS;
      case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
        store_attribute(value, found->release_threshold);
        return CUDA_SUCCESS;
      case CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT:
      case CU_MEMPOOL_ATTR_USED_MEM_CURRENT:
        store_attribute(value, found->used);
        return CUDA_SUCCESS;
      case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
      case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
        store_attribute(value, found->used_high);
        return CUDA_SUCCESS;
    }
    throw Failure(CUDA_ERROR_INVALID_VALUE,
                  fmt::format("there is no pool attribute {}", static_cast<int>(attribute)));
  });
}

CUresult cuMemPoolSetAccess(CUmemoryPool pool, const CUmemAccessDesc* accesses, std::size_t count) {
  return driver_call([&] {
    const std::shared_ptr<Pool> found = find_pool(pool);
    if (count > 0) {
      require(accesses, "accesses");
    }
    std::uint64_t peers = 0;
    {
      const std::lock_guard lock(found->mutex);
      peers = found->peers;
    }
    for (std::size_t i = 0; i < count; ++i) {
      if (accesses[i].location.type != CU_MEM_LOCATION_TYPE_DEVICE) {
        throw Failure(CUDA_ERROR_INVALID_VALUE, "access is given to devices");
      }
      require_device(accesses[i].location.id);
      const std::uint64_t bit = std::uint64_t{1} << accesses[i].location.id;
      const bool none = accesses[i].flags == CU_MEM_ACCESS_FLAGS_PROT_NONE;
      if (none && !found->host && accesses[i].location.id == found->device) {
        throw Failure(CUDA_ERROR_INVALID_VALUE, "a device keeps access to its own pool");
      }
      peers = none ? peers & ~bit : peers | bit;
    }
    {
      const std::lock_guard lock(found->mutex);
      found->peers = peers;
    }
    const std::lock_guard lock(state().owned_mutex);
    for (const auto& [base, owned] : state().owned) {
      if (owned.pool == found) {
        state().memory.set_peers(base, peers, !found->host);
      }
    }
    return CUDA_SUCCESS;
  });
}

CUresult cuMemPoolGetAccess(CUmemAccess_flags* flags, CUmemoryPool pool, CUmemLocation* location) {
  return driver_call([&] {
    require(flags, "flags");
    require(location, "location");
    const std::shared_ptr<Pool> found = find_pool(pool);
    if (location->type != CU_MEM_LOCATION_TYPE_DEVICE) {
      *flags = found->host ? CU_MEM_ACCESS_FLAGS_PROT_READWRITE : CU_MEM_ACCESS_FLAGS_PROT_NONE;
      return CUDA_SUCCESS;
    }
    require_device(location->id);
    const std::lock_guard lock(found->mutex);
    const bool open = found->host || location->id == found->device || (found->peers >> location->id & 1) != 0;
    *flags = open ? CU_MEM_ACCESS_FLAGS_PROT_READWRITE : CU_MEM_ACCESS_FLAGS_PROT_NONE;
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGraphMemTrim(CUdevice device) {
  return driver_call([&] {
    require_device(device);
    return CUDA_SUCCESS;
  });
}

}  // extern "C"

}  // namespace kerncast::simulator::api
