#include <algorithm>
#include <cstring>

#include "runtime/simulator/cudart/context.hpp"
#include "runtime/simulator/cudart/symbols.hpp"

namespace kerncast::cudart {
namespace {

/// The attribute, or 0 if the driver does not know it. The runtime numbers attributes as the driver does.
int attribute_of(CUdevice device, int attribute) {
  int value = 0;
  const CUresult result =
      KERNCAST_CU(cuDeviceGetAttribute)(&value, static_cast<CUdevice_attribute>(attribute), device);
  return result == CUDA_SUCCESS ? value : 0;
}

/// Members of cudaDeviceProp that are one attribute each.
struct IntMember {
  int cudaDeviceProp::* member;
  int attribute;
};

constexpr IntMember int_members[] = {
    {&cudaDeviceProp::regsPerBlock, 12},
    {&cudaDeviceProp::warpSize, 10},
    {&cudaDeviceProp::maxThreadsPerBlock, 1},
    {&cudaDeviceProp::major, 75},
    {&cudaDeviceProp::minor, 76},
    {&cudaDeviceProp::multiProcessorCount, 16},
    {&cudaDeviceProp::integrated, 18},
    {&cudaDeviceProp::canMapHostMemory, 19},
    {&cudaDeviceProp::maxTexture1D, 21},
    {&cudaDeviceProp::maxTexture1DMipmap, 77},
    {&cudaDeviceProp::maxTextureCubemap, 52},
    {&cudaDeviceProp::maxSurface1D, 55},
    {&cudaDeviceProp::maxSurfaceCubemap, 66},
    {&cudaDeviceProp::concurrentKernels, 31},
    {&cudaDeviceProp::ECCEnabled, 32},
    {&cudaDeviceProp::pciBusID, 33},
    {&cudaDeviceProp::pciDeviceID, 34},
    {&cudaDeviceProp::pciDomainID, 50},
    {&cudaDeviceProp::tccDriver, 35},
    {&cudaDeviceProp::asyncEngineCount, 40},
    {&cudaDeviceProp::unifiedAddressing, 41},
    {&cudaDeviceProp::memoryBusWidth, 37},
    {&cudaDeviceProp::l2CacheSize, 38},
    {&cudaDeviceProp::persistingL2CacheMaxSize, 108},
    {&cudaDeviceProp::maxThreadsPerMultiProcessor, 39},
    {&cudaDeviceProp::streamPrioritiesSupported, 78},
    {&cudaDeviceProp::globalL1CacheSupported, 79},
    {&cudaDeviceProp::localL1CacheSupported, 80},
    {&cudaDeviceProp::regsPerMultiprocessor, 82},
    {&cudaDeviceProp::managedMemory, 83},
    {&cudaDeviceProp::isMultiGpuBoard, 84},
    {&cudaDeviceProp::multiGpuBoardGroupID, 85},
    {&cudaDeviceProp::hostNativeAtomicSupported, 86},
    {&cudaDeviceProp::pageableMemoryAccess, 88},
    {&cudaDeviceProp::concurrentManagedAccess, 89},
    {&cudaDeviceProp::computePreemptionSupported, 90},
    {&cudaDeviceProp::canUseHostPointerForRegisteredMem, 91},
    {&cudaDeviceProp::cooperativeLaunch, 95},
    {&cudaDeviceProp::pageableMemoryAccessUsesHostPageTables, 100},
    {&cudaDeviceProp::directManagedMemAccessFromHost, 101},
    {&cudaDeviceProp::maxBlocksPerMultiProcessor, 106},
    {&cudaDeviceProp::accessPolicyMaxWindowSize, 109},
    {&cudaDeviceProp::hostRegisterSupported, 99},
    {&cudaDeviceProp::sparseCudaArraySupported, 112},
    {&cudaDeviceProp::hostRegisterReadOnlySupported, 113},
    {&cudaDeviceProp::timelineSemaphoreInteropSupported, 114},
    {&cudaDeviceProp::memoryPoolsSupported, 115},
    {&cudaDeviceProp::gpuDirectRDMASupported, 116},
    {&cudaDeviceProp::gpuDirectRDMAWritesOrdering, 118},
    {&cudaDeviceProp::deferredMappingCudaArraySupported, 121},
    {&cudaDeviceProp::ipcEventSupported, 125},
    {&cudaDeviceProp::clusterLaunch, 120},
    {&cudaDeviceProp::unifiedFunctionPointers, 129},
    {&cudaDeviceProp::deviceNumaConfig, 130},
    {&cudaDeviceProp::deviceNumaId, 131},
    {&cudaDeviceProp::mpsEnabled, 133},
    {&cudaDeviceProp::hostNumaId, 134},
    {&cudaDeviceProp::hostNumaMultinodeIpcSupported, 143},
};

struct SizeMember {
  std::size_t cudaDeviceProp::* member;
  int attribute;
};

constexpr SizeMember size_members[] = {
    {&cudaDeviceProp::sharedMemPerBlock, 8},
    {&cudaDeviceProp::memPitch, 11},
    {&cudaDeviceProp::totalConstMem, 9},
    {&cudaDeviceProp::textureAlignment, 14},
    {&cudaDeviceProp::texturePitchAlignment, 51},
    {&cudaDeviceProp::surfaceAlignment, 30},
    {&cudaDeviceProp::sharedMemPerMultiprocessor, 81},
    {&cudaDeviceProp::sharedMemPerBlockOptin, 97},
    {&cudaDeviceProp::reservedSharedMemPerBlock, 111},
};

/// Fills an array member from attributes with successive numbers.
template <std::size_t Count>
void fill(CUdevice device, int (&values)[Count], int first_attribute) {
  for (std::size_t i = 0; i < Count; ++i) {
    values[i] = attribute_of(device, first_attribute + static_cast<int>(i));
  }
}

void fill_texture_limits(CUdevice device, cudaDeviceProp& properties) {
  fill(device, properties.maxTexture2D, 22);
  fill(device, properties.maxTexture3D, 24);
  fill(device, properties.maxTexture2DLayered, 27);
  fill(device, properties.maxTexture1DLayered, 42);
  fill(device, properties.maxTexture2DGather, 45);
  fill(device, properties.maxTexture3DAlt, 47);
  fill(device, properties.maxTextureCubemapLayered, 53);
  fill(device, properties.maxSurface2D, 56);
  fill(device, properties.maxSurface3D, 58);
  fill(device, properties.maxSurface1DLayered, 61);
  fill(device, properties.maxSurface2DLayered, 63);
  fill(device, properties.maxSurfaceCubemapLayered, 67);
  fill(device, properties.maxTexture2DLinear, 70);
  fill(device, properties.maxTexture2DMipmap, 73);
}

}  // namespace

extern "C" {

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  return driver_call([&] {
    require(properties, "properties");
    require_device(device);
    cudaDeviceProp filled{};
    check(KERNCAST_CU(cuDeviceGetName)(filled.name, sizeof(filled.name), device));
    check(KERNCAST_CU(cuDeviceGetUuid_v2)(&filled.uuid, device));
    check(KERNCAST_CU(cuDeviceTotalMem_v2)(&filled.totalGlobalMem, device));
    for (const IntMember& entry : int_members) {
      filled.*entry.member = attribute_of(device, entry.attribute);
    }
    for (const SizeMember& entry : size_members) {
      filled.*entry.member = static_cast<std::size_t>(attribute_of(device, entry.attribute));
    }
    fill(device, filled.maxThreadsDim, 2);
    fill(device, filled.maxGridSize, 5);
    fill_texture_limits(device, filled);
    filled.gpuDirectRDMAFlushWritesOptions = static_cast<unsigned int>(attribute_of(device, 117));
    filled.memoryPoolSupportedHandleTypes = static_cast<unsigned int>(attribute_of(device, 119));
    filled.gpuPciDeviceID = static_cast<unsigned int>(attribute_of(device, 139));
    filled.gpuPciSubsystemID = static_cast<unsigned int>(attribute_of(device, 140));
    *properties = filled;
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceGetAttribute(int* value, CUdevice_attribute attribute, int device) {
  return driver_call([&] {
    require_device(device);
    return KERNCAST_CU(cuDeviceGetAttribute)(value, attribute, device);
  });
}

cudaError_t cudaChooseDevice(int* device, const cudaDeviceProp* wanted) {
  return driver_call([&] {
    require(device, "device");
    require(wanted, "properties");
    *device = 0;  // devices of one process are alike on the virtual GPU, and the first is as good as any
    return cudaSuccess;
  });
}

cudaError_t cudaDriverGetVersion(int* version) {
  if (version == nullptr) {
    return finish(Failure(cudaErrorInvalidValue, "version is null"));
  }
  *version = 0;
  if (driver().library == nullptr) {
    return cudaSuccess;  // 0 says that there is no driver
  }
  return finish(KERNCAST_CU(cuDriverGetVersion)(version));
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  if (version == nullptr) {
    return finish(Failure(cudaErrorInvalidValue, "version is null"));
  }
  *version = runtime_version;
  return cudaSuccess;
}

cudaError_t cudaDeviceEnablePeerAccess(int peer, unsigned int flags) {
  return device_call([&] {
    require_device(peer);
    return KERNCAST_CU(cuCtxEnablePeerAccess)(primary_context(peer), flags);
  });
}

cudaError_t cudaDeviceDisablePeerAccess(int peer) {
  return device_call([&] {
    require_device(peer);
    return KERNCAST_CU(cuCtxDisablePeerAccess)(primary_context(peer));
  });
}

cudaError_t cudaDeviceCanAccessPeer(int* can, int device, int peer) {
  return driver_call([&] {
    require(can, "can");
    require_device(device);
    require_device(peer);
    *can = 0;
    return device == peer ? CUDA_SUCCESS : KERNCAST_CU(cuDeviceCanAccessPeer)(can, device, peer);
  });
}

cudaError_t cudaGetDriverEntryPointByVersion(const char* symbol, void** function, unsigned int version,
                                             unsigned long long flags,
                                             CUdriverProcAddressQueryResult* status) {
  return driver_call([&] {
    require(symbol, "symbol");
    require(static_cast<const void*>(function), "function");
    CUdriverProcAddressQueryResult found = CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
    const CUresult result =
        KERNCAST_CU(cuGetProcAddress_v2)(symbol, function, static_cast<int>(version), flags, &found);
    if (status != nullptr) {
      *status = found;
    }
    if (result == CUDA_SUCCESS && found != CU_GET_PROC_ADDRESS_SUCCESS && status == nullptr) {
      throw Failure(cudaErrorSymbolNotFound, std::string("the driver has no function ") + symbol);
    }
    return result;
  });
}

cudaError_t cudaGetDriverEntryPoint(const char* symbol, void** function, unsigned long long flags,
                                    CUdriverProcAddressQueryResult* status) {
  return cudaGetDriverEntryPointByVersion(symbol, function, runtime_version, flags, status);
}

// The tables behind this call are NVIDIA's own and undocumented.
cudaError_t cudaGetExportTable(const void** table, const CUuuid*) {
  if (table != nullptr) {
    *table = nullptr;
  }
  return finish(Failure(cudaErrorSymbolNotFound, "this runtime library has none of NVIDIA's private tables"));
}

}  // extern "C"

}  // namespace kerncast::cudart
