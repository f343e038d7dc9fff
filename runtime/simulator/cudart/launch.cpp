#include <fmt/format.h>

#include <vector>

#include "runtime/simulator/cudart/context.hpp"
#include "runtime/simulator/cudart/registry.hpp"
#include "runtime/simulator/cudart/symbols.hpp"

namespace kerncast::cudart {
namespace {

/// The arguments of <<<>>> on their way to the function that launches.
struct CallConfiguration {
  dim3 grid;
  dim3 block;
  std::size_t shared_bytes;
  CUstream stream;
};

std::vector<CallConfiguration>& configurations() {
  thread_local std::vector<CallConfiguration> pending;
  return pending;
}

/// The runtime has a code of its own for a grid or block that no device takes.
CUresult refined(CUresult result, const dim3& grid, const dim3& block) {
  if (result != CUDA_ERROR_INVALID_VALUE) {
    return result;
  }
  constexpr unsigned int most_threads = 1024;
  const bool empty =
      grid.x == 0 || grid.y == 0 || grid.z == 0 || block.x == 0 || block.y == 0 || block.z == 0;
  const bool wide = static_cast<unsigned long long>(block.x) * block.y * block.z > most_threads ||
                    grid.y > 65535 || grid.z > 65535;
  if (empty || wide) {
    throw Failure(cudaErrorInvalidConfiguration,
                  fmt::format("a grid of {} x {} x {} blocks of {} x {} x {} threads", grid.x, grid.y, grid.z,
                              block.x, block.y, block.z));
  }
  return result;
}

CUfunction as_function(CUkernel kernel) {
  return reinterpret_cast<CUfunction>(kernel);  // the driver's launches take a kernel for a function
}

CUlaunchConfig driver_config(const cudaLaunchConfig_t& given) {
  return {given.gridDim.x,
          given.gridDim.y,
          given.gridDim.z,
          given.blockDim.x,
          given.blockDim.y,
          given.blockDim.z,
          static_cast<unsigned int>(given.dynamicSmemBytes),
          default_stream(given.stream),
          given.attrs,
          given.numAttrs};
}

}  // namespace

extern "C" {

unsigned int __cudaPushCallConfiguration(dim3 grid, dim3 block, std::size_t shared_bytes, CUstream stream) {
  configurations().push_back({grid, block, shared_bytes, stream});
  return 0;
}

cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, std::size_t* shared_bytes, void* stream) {
  std::vector<CallConfiguration>& pending = configurations();
  if (pending.empty()) {
    return finish(cudaErrorMissingConfiguration);
  }
  const CallConfiguration last = pending.back();
  pending.pop_back();
  *grid = last.grid;
  *block = last.block;
  *shared_bytes = last.shared_bytes;
  *static_cast<CUstream*>(stream) = last.stream;
  return cudaSuccess;
}

cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** arguments,
                             std::size_t shared_bytes, CUstream stream) {
  return device_call([&] {
    return refined(KERNCAST_CU(cuLaunchKernel)(
                       as_function(find_kernel(function)), grid.x, grid.y, grid.z, block.x, block.y, block.z,
                       static_cast<unsigned int>(shared_bytes), default_stream(stream), arguments, nullptr),
                   grid, block);
  });
}

cudaError_t __cudaLaunchKernel(CUkernel kernel, dim3 grid, dim3 block, void** arguments,
                               std::size_t shared_bytes, CUstream stream) {
  return cudaLaunchKernel(kernel, grid, block, arguments, shared_bytes, stream);
}

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* function, void** arguments) {
  return device_call([&] {
    require(config, "config");
    const CUlaunchConfig given = driver_config(*config);
    return refined(
        KERNCAST_CU(cuLaunchKernelEx)(&given, as_function(find_kernel(function)), arguments, nullptr),
        config->gridDim, config->blockDim);
  });
}

cudaError_t cudaLaunchCooperativeKernel(const void* function, dim3 grid, dim3 block, void** arguments,
                                        std::size_t shared_bytes, CUstream stream) {
  return device_call([&] {
    return refined(KERNCAST_CU(cuLaunchCooperativeKernel)(
                       as_function(find_kernel(function)), grid.x, grid.y, grid.z, block.x, block.y, block.z,
                       static_cast<unsigned int>(shared_bytes), default_stream(stream), arguments),
                   grid, block);
  });
}

}  // extern "C"

}  // namespace kerncast::cudart
