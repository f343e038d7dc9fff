#include "tests/simulator/cudart/fixture.hpp"

namespace {

using namespace kerncast::tests;

}  // namespace

TEST_CASE("devices are counted, chosen and described") {
  int count = 0;
  REQUIRE_RT(RT(cudaGetDeviceCount)(&count));
  CHECK(count == 2);
  int device = -1;
  REQUIRE_RT(RT(cudaGetDevice)(&device));
  CHECK(device == 0);
  REQUIRE_RT(RT(cudaSetDevice)(1));
  REQUIRE_RT(RT(cudaGetDevice)(&device));
  CHECK(device == 1);
  CHECK(RT(cudaSetDevice)(2) == cudaErrorInvalidDevice);
  REQUIRE_RT(RT(cudaSetDevice)(0));
  cudaDeviceProp properties{};
  REQUIRE_RT(RT(cudaGetDeviceProperties)(&properties, 0));
  CHECK(properties.major == 9);
  CHECK(properties.warpSize == 32);
  CHECK(properties.maxThreadsDim[2] == 64);
  CHECK(properties.maxGridSize[1] == 65535);
  CHECK(properties.multiProcessorCount > 0);
  CHECK(properties.totalGlobalMem > 0);
  int value = 0;
  REQUIRE_RT(RT(cudaDeviceGetAttribute)(&value, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 1));
  CHECK(value == properties.multiProcessorCount);
  std::size_t limit = 0;
  REQUIRE_RT(RT(cudaDeviceGetLimit)(&limit, CU_LIMIT_STACK_SIZE));
  CHECK(limit > 0);
  char address[32] = {};
  REQUIRE_RT(RT(cudaDeviceGetPCIBusId)(address, sizeof(address), 1));
  REQUIRE_RT(RT(cudaDeviceGetByPCIBusId)(&device, address));
  CHECK(device == 1);
}

TEST_CASE("devices have access to each other once it is enabled") {
  int can = 0;
  REQUIRE_RT(RT(cudaDeviceCanAccessPeer)(&can, 0, 1));
  CHECK(can == 1);
  REQUIRE_RT(RT(cudaDeviceCanAccessPeer)(&can, 0, 0));
  CHECK(can == 0);
  REQUIRE_RT(RT(cudaDeviceEnablePeerAccess)(1, 0));
  CHECK(RT(cudaDeviceEnablePeerAccess)(1, 0) == static_cast<cudaError_t>(704));
  CHECK(RT(cudaDeviceDisablePeerAccess)(1) == cudaSuccess);
}

TEST_CASE("after a reset the device and its kernels can be used again") {
  unsigned int* words = device_words(4, 1);
  REQUIRE_RT(launch_add(words, 4, 1));
  REQUIRE_RT(RT(cudaDeviceReset)());
  cudaPointerAttributes attributes{};
  REQUIRE_RT(RT(cudaPointerGetAttributes)(&attributes, words));
  CHECK(attributes.type == cudaMemoryTypeUnregistered);
  words = device_words(4, 1);
  REQUIRE_RT(launch_add(words, 4, 1));
  CHECK(read_words(words, 4) == std::vector<unsigned int>(4, 2));
}

TEST_CASE("the driver's functions are had by name and version") {
  int driver = 0;
  REQUIRE_RT(RT(cudaDriverGetVersion)(&driver));
  int runtime = 0;
  REQUIRE_RT(RT(cudaRuntimeGetVersion)(&runtime));
  CHECK(runtime == 13000);
  CHECK(driver >= runtime);
  void* function = nullptr;
  CUdriverProcAddressQueryResult status{};
  REQUIRE_RT(RT(cudaGetDriverEntryPointByVersion)("cuStreamQuery", &function, 12000, 0, &status));
  CHECK(status == CU_GET_PROC_ADDRESS_SUCCESS);
  CHECK(function != nullptr);
  REQUIRE_RT(RT(cudaGetDriverEntryPointByVersion)("cuNoSuchFunction", &function, 12000, 0, &status));
  CHECK(status == CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
  CHECK(function == nullptr);
  const CUuuid id{};
  const void* table = &id;
  CHECK(RT(cudaGetExportTable)(&table, &id) == cudaErrorSymbolNotFound);
  CHECK(table == nullptr);
}

TEST_CASE("functions that are not offered say so") {
  CHECK(RT(cudaMallocArray)() == cudaErrorNotSupported);
  CHECK_THAT(RT(cudaGetErrorString)(RT(cudaGetLastError)()), Catch::Contains("cudaMallocArray"));
}

// The program stands alone: a process looks for its driver once.
TEST_CASE("without a driver there is none, and the library says so", "[.without-driver]") {
  int count = 5;
  CHECK(RT(cudaGetDeviceCount)(&count) == cudaErrorInsufficientDriver);
  CHECK(count == 0);
  int version = 5;
  CHECK(RT(cudaDriverGetVersion)(&version) == cudaSuccess);
  CHECK(version == 0);
  CHECK_THAT(RT(cudaGetErrorString)(RT(cudaGetLastError)()), Catch::Contains("KERNCAST_DRIVER"));
  void* pointer = nullptr;
  CHECK(RT(cudaMalloc)(&pointer, 4) == cudaErrorInsufficientDriver);
  void** const binary = RT(__cudaRegisterFatBinary)(nullptr);
  CHECK(binary != nullptr);
  RT(__cudaUnregisterFatBinary)(binary);
}
