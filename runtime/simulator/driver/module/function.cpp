#include <fmt/format.h>

#include <algorithm>

#include "runtime/simulator/clock/launch_cost.hpp"
#include "runtime/simulator/driver/context/failure.hpp"
#include "runtime/simulator/driver/context/state.hpp"
#include "runtime/simulator/driver/module/module.hpp"

namespace kerncast::simulator::api {
namespace {

constexpr int most_registers = 255;

int attribute_value(const Function& function, CUfunction_attribute attribute) {
  const KernelInfo& info = function.info();
  switch (attribute) {
    case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
      return info.max_threads_per_block > 0
                 ? std::min(static_cast<int>(info.max_threads_per_block), max_threads_per_block)
                 : max_threads_per_block;
    case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES:
      return static_cast<int>(info.static_shared_bytes);
    case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES:
      return static_cast<int>(info.local_bytes);
    case CU_FUNC_ATTRIBUTE_NUM_REGS:
      // The clock's estimates are of the registers that the virtual GPU itself assigns.
      if (state().clocked != nullptr) {
        return assigned_registers(*function.module, function.index);
      }
      // PTX names virtual registers without end; no register allocator of a real device runs here.
      return std::min(static_cast<int>(info.virtual_registers), most_registers);
    case CU_FUNC_ATTRIBUTE_PTX_VERSION:
      return function.ptx_version;
    case CU_FUNC_ATTRIBUTE_BINARY_VERSION:
      return state().arch.sm;
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
      return function.settings->max_dynamic_shared;
    case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
      return function.settings->carveout;
    case CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES:
      return static_cast<int>(function.module->constant_bytes());
    case CU_FUNC_ATTRIBUTE_CLUSTER_SIZE_MUST_BE_SET:
      return info.explicit_cluster || info.required_cluster[0] != 0 ? 1 : 0;
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH:
      return static_cast<int>(info.required_cluster[0]);
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_HEIGHT:
      return static_cast<int>(info.required_cluster[1]);
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH:
      return static_cast<int>(info.required_cluster[2]);
    case CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED:
      return function.settings->large_clusters;
    case CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
      return function.settings->cluster_policy;
    case CU_FUNC_ATTRIBUTE_CACHE_MODE_CA:
      return 0;
  }
  throw Failure(CUDA_ERROR_INVALID_VALUE,
                fmt::format("there is no function attribute {}", static_cast<int>(attribute)));
}

void set_attribute(FunctionSettings& settings, const KernelInfo& info, CUfunction_attribute attribute,
                   int value) {
  if (attribute == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) {
    const int most = state().arch.shared_optin_bytes() - static_cast<int>(info.static_shared_bytes);
    if (value < 0 || value > most) {
      throw Failure(
          CUDA_ERROR_INVALID_VALUE,
          fmt::format("{} bytes of dynamic shared memory for {}: the device has room for 0 to {} beside its "
                      "{} static bytes",
                      value, info.name, most, info.static_shared_bytes));
    }
    settings.max_dynamic_shared = value;
  } else if (attribute == CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT) {
    if (value < -1 || value > 100) {
      throw Failure(CUDA_ERROR_INVALID_VALUE,
                    fmt::format("a carveout of {} is not -1 to 100 percent", value));
    }
    settings.carveout = value;
  } else if (attribute == CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED) {
    if (value < 0 || value > 1) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("{} is not 0 or 1", value));
    }
    settings.large_clusters = value;
  } else if (attribute == CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE) {
    if (value < 0 || value > 2) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("there is no cluster scheduling policy {}", value));
    }
    settings.cluster_policy = value;
  } else {
    throw Failure(CUDA_ERROR_INVALID_VALUE,
                  fmt::format("function attribute {} cannot be set", static_cast<int>(attribute)));
  }
}

/// The function of `kernel` for reads that do not depend on a context: that of the current context, else any.
std::shared_ptr<Function> kernel_on(CUkernel handle, CUdevice device) {
  require_device(device);
  const std::shared_ptr<Kernel> kernel = state().kernels.find(handle);
  if (kernel == nullptr) {
    throw Failure(CUDA_ERROR_INVALID_HANDLE, "there is no such kernel, or its library is unloaded");
  }
  if (const std::shared_ptr<Context> context = current_context_if_any();
      context != nullptr && context->device == device) {
    context->require_no_fault();
    return function_of(kernel, context);
  }
  for (const std::shared_ptr<Context>& context : state().contexts.all()) {
    if (context->device == device) {
      return function_of(kernel, context);
    }
  }
  throw Failure(CUDA_ERROR_INVALID_CONTEXT, fmt::format("device {} has no context", device));
}

}  // namespace

int most_blocks_of_cluster(const Function& function) {
  constexpr int portable = 8;
  return function.settings->large_clusters != 0 ? static_cast<int>(most_cluster_blocks) : portable;
}

// Registers do not count, as they are not allocated.
int resident_blocks(const Function& function, int block_size, std::size_t dynamic_shared) {
  const ArchTraits& arch = state().arch;
  const int threads = (block_size + warp_size - 1) / warp_size * warp_size;
  const std::size_t shared = function.info().static_shared_bytes + dynamic_shared;
  if (block_size > attribute_value(function, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK) ||
      shared > static_cast<std::size_t>(arch.shared_optin_bytes())) {
    return 0;
  }
  int blocks = std::min(arch.blocks_per_sm, arch.threads_per_sm / threads);
  if (const std::size_t taken = shared + static_cast<std::size_t>(arch.reserved_shared_bytes()); taken > 0) {
    const std::size_t fit = static_cast<std::size_t>(arch.shared_per_sm_kib) * 1024 / taken;
    blocks = std::min(blocks, static_cast<int>(std::min<std::size_t>(fit, 1024)));
  }
  return blocks;
}

extern "C" {

CUresult cuFuncGetAttribute(int* value, CUfunction_attribute attribute, CUfunction function) {
  return driver_call([&] {
    require(value, "value");
    current_context();
    *value = attribute_value(*find_function(function), attribute);
    return CUDA_SUCCESS;
  });
}

CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value) {
  return driver_call([&] {
    current_context();
    const std::shared_ptr<Function> found = find_function(function);
    set_attribute(*found->settings, found->info(), attribute, value);
    return CUDA_SUCCESS;
  });
}

CUresult cuKernelGetAttribute(int* value, CUfunction_attribute attribute, CUkernel kernel, CUdevice device) {
  return driver_call([&] {
    require(value, "value");
    *value = attribute_value(*kernel_on(kernel, device), attribute);
    return CUDA_SUCCESS;
  });
}

CUresult cuKernelSetAttribute(CUfunction_attribute attribute, int value, CUkernel kernel, CUdevice device) {
  return driver_call([&] {
    const std::shared_ptr<Function> found = kernel_on(kernel, device);
    set_attribute(*found->settings, found->info(), attribute, value);
    return CUDA_SUCCESS;
  });
}

CUresult cuFuncSetCacheConfig(CUfunction function, CUfunc_cache) {
  return driver_call([&] {
    current_context();
    find_function(function);
    return CUDA_SUCCESS;  // a preference
  });
}

CUresult cuFuncSetSharedMemConfig(CUfunction function, CUsharedconfig) {
  return driver_call([&] {
    current_context();
    find_function(function);
    return CUDA_SUCCESS;  // banks have one width
  });
}

CUresult cuKernelSetCacheConfig(CUkernel kernel, CUfunc_cache, CUdevice device) {
  return driver_call([&] {
    kernel_on(kernel, device);
    return CUDA_SUCCESS;  // a preference
  });
}

}  // extern "C"

}  // namespace kerncast::simulator::api
