#include <fmt/format.h>

#include "runtime/simulator/driver/context/context.hpp"
#include "runtime/simulator/driver/context/failure.hpp"
#include "runtime/simulator/driver/context/state.hpp"

namespace kerncast::simulator::api {
namespace {

std::shared_ptr<Context> given_or_current(CUcontext context) {
  return context != nullptr ? find_context(context) : current_context();
}

void require_limit(CUlimit limit) {
  if (limit < 0 || limit >= CU_LIMIT_MAX) {
    throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("there is no limit {}", static_cast<int>(limit)));
  }
  if (limit == CU_LIMIT_DEV_RUNTIME_SYNC_DEPTH || limit == CU_LIMIT_DEV_RUNTIME_PENDING_LAUNCH_COUNT ||
      limit > CU_LIMIT_PERSISTING_L2_CACHE_SIZE) {
    throw Failure(CUDA_ERROR_UNSUPPORTED_LIMIT,
                  fmt::format("the virtual GPU does not have limit {}", static_cast<int>(limit)));
  }
}

/// The bit of the device of `peer` in a context's mask. Throws Failure.
std::uint64_t peer_bit(const Context& context, CUcontext peer) {
  const std::shared_ptr<Context> found = find_context(peer);
  if (found->device == context.device) {
    throw Failure(CUDA_ERROR_INVALID_DEVICE, "a device is no peer of its own");
  }
  return std::uint64_t{1} << found->device;
}

}  // namespace

extern "C" {

CUresult cuCtxGetDevice_v2(CUdevice* device, CUcontext context) {
  return driver_call([&] {
    require(device, "device");
    *device = given_or_current(context)->device;
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxGetFlags(unsigned int* flags) {
  return driver_call([&] {
    require(flags, "flags");
    *flags = current_context()->flags;
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxSetFlags(unsigned int flags) {
  return driver_call([&] {
    const std::shared_ptr<Context> context = current_context();
    if ((flags & ~static_cast<unsigned int>(CU_CTX_FLAGS_MASK)) != 0) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("there are no context flags {:#x}", flags));
    }
    context->flags = flags;
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxGetId(CUcontext context, unsigned long long* id) {
  return driver_call([&] {
    require(id, "id");
    *id = given_or_current(context)->id;
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxGetApiVersion(CUcontext context, unsigned int* version) {
  return driver_call([&] {
    require(version, "version");
    *version = given_or_current(context)->api_version;
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxSetLimit(CUlimit limit, std::size_t value) {
  return driver_call([&] {
    const std::shared_ptr<Context> context = current_context();
    require_limit(limit);
    context->limits[static_cast<std::size_t>(limit)] = value;
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxGetLimit(std::size_t* value, CUlimit limit) {
  return driver_call([&] {
    require(value, "value");
    const std::shared_ptr<Context> context = current_context();
    require_limit(limit);
    *value = context->limits[static_cast<std::size_t>(limit)];
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxGetCacheConfig(CUfunc_cache* config) {
  return driver_call([&] {
    require(config, "config");
    *config = static_cast<CUfunc_cache>(current_context()->cache_config.load());
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxSetCacheConfig(CUfunc_cache config) {
  return driver_call([&] {
    if (config < CU_FUNC_CACHE_PREFER_NONE || config > CU_FUNC_CACHE_PREFER_EQUAL) {
      throw Failure(CUDA_ERROR_INVALID_VALUE,
                    fmt::format("there is no cache preference {}", static_cast<int>(config)));
    }
    current_context()->cache_config = config;
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxGetSharedMemConfig(CUsharedconfig* config) {
  return driver_call([&] {
    require(config, "config");
    *config = static_cast<CUsharedconfig>(current_context()->shared_config.load());
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxSetSharedMemConfig(CUsharedconfig config) {
  return driver_call([&] {
    if (config < CU_SHARED_MEM_CONFIG_DEFAULT_BANK_SIZE || config > CU_SHARED_MEM_CONFIG_EIGHT_BYTE) {
      throw Failure(CUDA_ERROR_INVALID_VALUE,
                    fmt::format("there is no bank size {}", static_cast<int>(config)));
    }
    current_context()->shared_config = config;
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxResetPersistingL2Cache() {
  return driver_call([&] {
    current_context();
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxGetExecAffinity(CUexecAffinityParam* affinity, CUexecAffinityType) {
  return driver_call([&]() -> CUresult {
    require(affinity, "affinity");
    current_context();
    throw Failure(CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY, "the virtual GPU has no execution affinities");
  });
}

CUresult cuCtxEnablePeerAccess(CUcontext peer, unsigned int flags) {
  return driver_call([&] {
    const std::shared_ptr<Context> context = current_context();
    if (flags != 0) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, "cuCtxEnablePeerAccess takes no flags");
    }
    const std::uint64_t bit = peer_bit(*context, peer);
    if ((context->reachable.fetch_or(bit) & bit) != 0) {
      throw Failure(CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED, "access to the peer is enabled already");
    }
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxDisablePeerAccess(CUcontext peer) {
  return driver_call([&] {
    const std::shared_ptr<Context> context = current_context();
    const std::uint64_t bit = peer_bit(*context, peer);
    if ((context->reachable.fetch_and(~bit) & bit) == 0) {
      throw Failure(CUDA_ERROR_PEER_ACCESS_NOT_ENABLED, "access to the peer is not enabled");
    }
    return CUDA_SUCCESS;
  });
}

}  // extern "C"

}  // namespace kerncast::simulator::api
