#include "runtime/simulator/cudart/context.hpp"
#include "runtime/simulator/cudart/registry.hpp"
#include "runtime/simulator/cudart/symbols.hpp"

namespace kerncast::cudart {
namespace {

int attribute_of(CUfunction function, CUfunction_attribute attribute) {
  int value = 0;
  check(KERNCAST_CU(cuFuncGetAttribute)(&value, attribute, function));
  return value;
}

/// The attribute, or 0 if the driver does not know it.
int optional_attribute_of(CUfunction function, CUfunction_attribute attribute) {
  int value = 0;
  return KERNCAST_CU(cuFuncGetAttribute)(&value, attribute, function) == CUDA_SUCCESS ? value : 0;
}

std::size_t bytes_of(CUfunction function, CUfunction_attribute attribute) {
  return static_cast<std::size_t>(attribute_of(function, attribute));
}

}  // namespace

extern "C" {

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* function) {
  return device_call([&] {
    require(attributes, "attributes");
    CUfunction found = find_function(function);
    cudaFuncAttributes filled{};
    filled.sharedSizeBytes = bytes_of(found, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES);
    filled.constSizeBytes = bytes_of(found, CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES);
    filled.localSizeBytes = bytes_of(found, CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES);
    filled.maxThreadsPerBlock = attribute_of(found, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
    filled.numRegs = attribute_of(found, CU_FUNC_ATTRIBUTE_NUM_REGS);
    filled.ptxVersion = attribute_of(found, CU_FUNC_ATTRIBUTE_PTX_VERSION);
    filled.binaryVersion = attribute_of(found, CU_FUNC_ATTRIBUTE_BINARY_VERSION);
    filled.cacheModeCA = attribute_of(found, CU_FUNC_ATTRIBUTE_CACHE_MODE_CA);
    filled.maxDynamicSharedSizeBytes = attribute_of(found, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES);
    filled.preferredShmemCarveout =
        optional_attribute_of(found, CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT);
    filled.clusterDimMustBeSet = optional_attribute_of(found, CU_FUNC_ATTRIBUTE_CLUSTER_SIZE_MUST_BE_SET);
    filled.requiredClusterWidth = optional_attribute_of(found, CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH);
    filled.requiredClusterHeight = optional_attribute_of(found, CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_HEIGHT);
    filled.requiredClusterDepth = optional_attribute_of(found, CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH);
    filled.clusterSchedulingPolicyPreference =
        optional_attribute_of(found, CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE);
    filled.nonPortableClusterSizeAllowed =
        optional_attribute_of(found, CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED);
    *attributes = filled;
    return cudaSuccess;
  });
}

cudaError_t cudaFuncSetAttribute(const void* function, CUfunction_attribute attribute, int value) {
  return device_call(
      [&] { return KERNCAST_CU(cuFuncSetAttribute)(find_function(function), attribute, value); });
}

cudaError_t cudaKernelSetAttributeForDevice(CUkernel kernel, CUfunction_attribute attribute, int value,
                                            int device) {
  return device_call([&] {
    require_device(device);
    return KERNCAST_CU(cuKernelSetAttribute)(attribute, value, find_kernel(kernel), device);
  });
}

cudaError_t cudaFuncSetCacheConfig(const void* function, CUfunc_cache config) {
  return device_call([&] { return KERNCAST_CU(cuFuncSetCacheConfig)(find_function(function), config); });
}

cudaError_t cudaFuncSetSharedMemConfig(const void* function, CUsharedconfig) {
  return device_call([&] {
    find_kernel(function);
    return cudaSuccess;  // banks have one width since compute capability 5.0
  });
}

cudaError_t cudaFuncGetName(const char** name, const void* function) {
  return device_call([&] { return KERNCAST_CU(cuKernelGetName)(name, find_kernel(function)); });
}

cudaError_t cudaFuncGetParamInfo(const void* function, std::size_t index, std::size_t* offset,
                                 std::size_t* size) {
  return device_call(
      [&] { return KERNCAST_CU(cuKernelGetParamInfo)(find_kernel(function), index, offset, size); });
}

cudaError_t cudaFuncGetParamCount(const void* function, std::size_t* count) {
  return device_call([&] {
    require(count, "count");
    CUkernel kernel = find_kernel(function);
    *count = 0;
    std::size_t offset = 0;
    std::size_t size = 0;
    while (KERNCAST_CU(cuKernelGetParamInfo)(kernel, *count, &offset, &size) == CUDA_SUCCESS) {
      ++*count;
    }
    return cudaSuccess;
  });
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, const void* function,
                                                                   int block_size, std::size_t dynamic_shared,
                                                                   unsigned int flags) {
  return device_call([&] {
    return KERNCAST_CU(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags)(
        blocks, find_function(function), block_size, dynamic_shared, flags);
  });
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* function, int block_size,
                                                          std::size_t dynamic_shared) {
  return cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, function, block_size, dynamic_shared,
                                                                0);
}

cudaError_t cudaOccupancyAvailableDynamicSMemPerBlock(std::size_t* bytes, const void* function, int blocks,
                                                      int block_size) {
  return device_call([&] {
    return KERNCAST_CU(cuOccupancyAvailableDynamicSMemPerBlock)(bytes, find_function(function), blocks,
                                                                block_size);
  });
}

cudaError_t cudaLibraryGetKernel(CUkernel* kernel, CUlibrary library, const char* name) {
  return device_call([&] {
    check(KERNCAST_CU(cuLibraryGetKernel)(kernel, library, name));
    remember_kernel(*kernel);
    return cudaSuccess;
  });
}

cudaError_t cudaLibraryEnumerateKernels(CUkernel* kernels, unsigned int count, CUlibrary library) {
  return device_call([&] {
    unsigned int all = 0;
    check(KERNCAST_CU(cuLibraryGetKernelCount)(&all, library));
    check(KERNCAST_CU(cuLibraryEnumerateKernels)(kernels, count, library));
    for (unsigned int i = 0; i < count && i < all; ++i) {
      remember_kernel(kernels[i]);
    }
    return cudaSuccess;
  });
}

}  // extern "C"

}  // namespace kerncast::cudart
