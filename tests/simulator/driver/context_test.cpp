#include <cstring>
#include <set>
#include <thread>

#include "tests/simulator/driver/fixture.hpp"

using namespace kerncast::tests;

namespace {

// Run with two devices: see CMakeLists.txt.
struct TwoDevices {
  TwoDevices() : second(1), first(0) {}
  OwnContext second;
  OwnContext first;  // current
};

}  // namespace

TEST_CASE("every code the interface names has a name and a text") {
  const std::set<int> known = {0,   1,   2,   3,   4,   34,  100, 101, 200, 201, 209, 218, 222, 300, 400,
                               401, 500, 600, 700, 701, 702, 704, 705, 708, 709, 710, 712, 713, 715, 716,
                               719, 720, 800, 801, 900, 901, 902, 903, 904, 905, 906, 907, 908, 910, 999};
  for (const int code : known) {
    CAPTURE(code);
    const char* name = nullptr;
    const char* text = nullptr;
    REQUIRE_CU(CU(cuGetErrorName)(static_cast<CUresult>(code), &name));
    REQUIRE_CU(CU(cuGetErrorString)(static_cast<CUresult>(code), &text));
    CHECK(std::strncmp(name, "CUDA_", 5) == 0);
    CHECK(std::strlen(text) > 0);
  }
  const char* name = "";
  CHECK(CU(cuGetErrorName)(static_cast<CUresult>(12345), &name) == CUDA_ERROR_INVALID_VALUE);
  CHECK(name == nullptr);
}

TEST_CASE("functions are found by name, version and family") {
  const auto find = [](const char* name, int version, std::uint64_t flags = 0) {
    void* found = nullptr;
    CUdriverProcAddressQueryResult status{};
    REQUIRE_CU(CU(cuGetProcAddress_v2)(name, &found, version, flags, &status));
    CHECK((found != nullptr) == (status == CU_GET_PROC_ADDRESS_SUCCESS));
    return found;
  };
  CHECK(find("cuCtxCreate", 12000) == find_symbol("cuCtxCreate_v3"));
  CHECK(find("cuCtxCreate", 13000) == find_symbol("cuCtxCreate_v4"));
  CHECK(find("cuCtxCreate", 4000) == find_symbol("cuCtxCreate_v2"));
  CHECK(find("cuMemAlloc", 13000) == find_symbol("cuMemAlloc_v2"));
  CHECK(find("cuGraphInstantiate", 11000) == find_symbol("cuGraphInstantiate_v2"));
  CHECK(find("cuGraphInstantiate", 12000) == find_symbol("cuGraphInstantiateWithFlags"));
  CHECK(find("cuStreamGetCaptureInfo", 12000) == find_symbol("cuStreamGetCaptureInfo_v2"));
  CHECK(find("cuStreamGetCaptureInfo", 12030) == find_symbol("cuStreamGetCaptureInfo_v3"));
  CHECK(find("cuMemcpyHtoDAsync", 12000, 2) == find_symbol("cuMemcpyHtoDAsync_v2_ptsz"));
  CHECK(find("cuMemcpyHtoDAsync", 12000, 1) == find_symbol("cuMemcpyHtoDAsync_v2"));
  CHECK(find("cuMemcpyHtoD", 12000, 2) == find_symbol("cuMemcpyHtoD_v2_ptds"));
  CHECK(find("cuMemAlloc", 12000, 2) == find_symbol("cuMemAlloc_v2"));
  void* found = nullptr;
  CUdriverProcAddressQueryResult status{};
  REQUIRE_CU(CU(cuGetProcAddress_v2)("cuLibraryLoadData", &found, 11000, 0, &status));
  CHECK(status == CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT);
  CHECK(found == nullptr);
  REQUIRE_CU(CU(cuGetProcAddress_v2)("cuNoSuchFunction", &found, 13000, 0, &status));
  CHECK(status == CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
  CHECK(found == nullptr);
  int version = 0;
  REQUIRE_CU(CU(cuDriverGetVersion)(&version));
  CHECK(CU(cuGetProcAddress_v2)("cuInit", &found, version + 10, 0, &status) == CUDA_ERROR_INVALID_VALUE);
}

TEST_CASE_METHOD(OwnContext, "what is not offered says so") {
  void* found = nullptr;
  CUdriverProcAddressQueryResult status{};
  REQUIRE_CU(CU(cuGetProcAddress_v2)("cuTexObjectCreate", &found, 13000, 0, &status));
  REQUIRE(found != nullptr);
  using Create = CUresult (*)(std::uint64_t*, const void*, const void*, const void*);
  std::uint64_t object = 0;
  CHECK(reinterpret_cast<Create>(found)(&object, nullptr, nullptr, nullptr) == CUDA_ERROR_NOT_SUPPORTED);
  CHECK(std::strstr(CU(kerncastSimLastFault)(), "cuTexObjectCreate") != nullptr);
}

TEST_CASE("contexts stand in a stack of each thread") {
  REQUIRE_CU(CU(cuInit)(0));
  CUcontext current = nullptr;
  CUcontext one = nullptr;
  CUcontext two = nullptr;
  REQUIRE_CU(CU(cuCtxGetCurrent)(&current));
  CHECK(current == nullptr);
  CUstream stream = nullptr;
  CHECK(CU(cuStreamCreate)(&stream, 0) == CUDA_ERROR_INVALID_CONTEXT);
  REQUIRE_CU(CU(cuCtxCreate_v2)(&one, 0, 0));
  REQUIRE_CU(CU(cuCtxCreate_v4)(&two, nullptr, CU_CTX_SCHED_YIELD, 1));
  CUdevice device = -1;
  REQUIRE_CU(CU(cuCtxGetDevice)(&device));
  CHECK(device == 1);
  unsigned int flags = 0;
  REQUIRE_CU(CU(cuCtxGetFlags)(&flags));
  CHECK((flags & CU_CTX_SCHED_MASK) == CU_CTX_SCHED_YIELD);
  REQUIRE_CU(CU(cuCtxPopCurrent_v2)(&current));
  CHECK(current == two);
  REQUIRE_CU(CU(cuCtxGetCurrent)(&current));
  CHECK(current == one);
  std::thread([] {
    CUcontext elsewhere = nullptr;
    CHECK(CU(cuCtxGetCurrent)(&elsewhere) == CUDA_SUCCESS);
    CHECK(elsewhere == nullptr);
  }).join();
  REQUIRE_CU(CU(cuCtxPushCurrent_v2)(two));
  REQUIRE_CU(CU(cuCtxDestroy_v2)(two));
  REQUIRE_CU(CU(cuCtxGetCurrent)(&current));
  CHECK(current == one);
  CHECK(CU(cuCtxPushCurrent_v2)(two) == CUDA_ERROR_INVALID_CONTEXT);
  CHECK(CU(cuCtxCreate_v2)(&two, 0x3, 0) == CUDA_ERROR_INVALID_VALUE);
  REQUIRE_CU(CU(cuCtxDestroy_v2)(one));
}

TEST_CASE("a device is found by its PCI address") {
  char address[16] = {};
  REQUIRE_CU(CU(cuDeviceGetPCIBusId)(address, sizeof(address), 1));
  CUdevice device = -1;
  REQUIRE_CU(CU(cuDeviceGetByPCIBusId)(&device, address));
  CHECK(device == 1);
  // Without the domain and the function.
  const std::string text = address;
  REQUIRE_CU(CU(cuDeviceGetByPCIBusId)(&device, text.substr(text.find(':') + 1, 5).c_str()));
  CHECK(device == 1);
  for (const char* const malformed : {"", "gpu", "1", ":1:0", "0:1:", "0:0:1:0", "0:fffffffff:0"}) {
    CAPTURE(malformed);
    CHECK(CU(cuDeviceGetByPCIBusId)(&device, malformed) == CUDA_ERROR_INVALID_VALUE);
  }
  CHECK(CU(cuDeviceGetByPCIBusId)(&device, "1:1:0") == CUDA_ERROR_INVALID_DEVICE);
}

TEST_CASE("a primary context lives while it is retained, and has the flags it was given") {
  REQUIRE_CU(CU(cuInit)(0));
  unsigned int flags = 0;
  int active = 1;
  REQUIRE_CU(CU(cuDevicePrimaryCtxGetState)(1, &flags, &active));
  CHECK(active == 0);
  REQUIRE_CU(CU(cuDevicePrimaryCtxSetFlags_v2)(1, CU_CTX_SCHED_SPIN));
  CUcontext context = nullptr;
  CUcontext same = nullptr;
  REQUIRE_CU(CU(cuDevicePrimaryCtxRetain)(&context, 1));
  REQUIRE_CU(CU(cuDevicePrimaryCtxRetain)(&same, 1));
  CHECK(context == same);
  REQUIRE_CU(CU(cuDevicePrimaryCtxRelease_v2)(1));
  REQUIRE_CU(CU(cuDevicePrimaryCtxGetState)(1, &flags, &active));
  CHECK(active == 1);
  CHECK(flags == CU_CTX_SCHED_SPIN);
  CHECK(CU(cuCtxDestroy_v2)(context) == CUDA_ERROR_INVALID_CONTEXT);
  REQUIRE_CU(CU(cuDevicePrimaryCtxRelease_v2)(1));
  CHECK(CU(cuDevicePrimaryCtxRelease_v2)(1) == CUDA_ERROR_INVALID_CONTEXT);
  CHECK(CU(cuCtxPushCurrent_v2)(context) == CUDA_ERROR_INVALID_CONTEXT);
}

TEST_CASE_METHOD(OwnContext, "limits are kept, and those the device lacks are named") {
  std::size_t value = 0;
  REQUIRE_CU(CU(cuCtxSetLimit)(CU_LIMIT_MALLOC_HEAP_SIZE, 1 << 24));
  REQUIRE_CU(CU(cuCtxGetLimit)(&value, CU_LIMIT_MALLOC_HEAP_SIZE));
  CHECK(value == 1 << 24);
  CHECK(CU(cuCtxGetLimit)(&value, CU_LIMIT_DEV_RUNTIME_SYNC_DEPTH) == CUDA_ERROR_UNSUPPORTED_LIMIT);
  CHECK(CU(cuCtxGetLimit)(&value, static_cast<CUlimit>(99)) == CUDA_ERROR_INVALID_VALUE);
}

TEST_CASE_METHOD(TwoDevices, "a kernel reaches a peer's memory only once access is enabled") {
  int can = 0;
  REQUIRE_CU(CU(cuDeviceCanAccessPeer)(&can, 0, 1));
  CHECK(can == 1);
  REQUIRE_CU(CU(cuCtxPushCurrent_v2)(second.context));
  CUdeviceptr there = OwnContext::words(1, 5);
  REQUIRE_CU(CU(cuCtxPopCurrent_v2)(nullptr));
  CUdeviceptr here = OwnContext::words(1, 0);
  void* parameters[] = {&here, &there};
  const CUfunction copy = first.function("copy");
  const auto launch = [&] {
    return CU(cuLaunchKernel)(copy, 1, 1, 1, 1, 1, 1, 0, nullptr, parameters, nullptr);
  };
  SECTION("enabled") {
    REQUIRE_CU(CU(cuCtxEnablePeerAccess)(second.context, 0));
    CHECK(CU(cuCtxEnablePeerAccess)(second.context, 0) == CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED);
    CHECK(CU(cuCtxEnablePeerAccess)(first.context, 0) == CUDA_ERROR_INVALID_DEVICE);
    REQUIRE_CU(launch());
    CHECK(OwnContext::read(here, 1).front() == 5);
    REQUIRE_CU(CU(cuCtxDisablePeerAccess)(second.context));
    CHECK(CU(cuCtxDisablePeerAccess)(second.context) == CUDA_ERROR_PEER_ACCESS_NOT_ENABLED);
  }
  SECTION("not enabled") {
    REQUIRE_CU(launch());
    CHECK(CU(cuCtxSynchronize)() == CUDA_ERROR_ILLEGAL_ADDRESS);
    CHECK(std::strstr(CU(kerncastSimLastFault)(), "device 1") != nullptr);
    // The fault stays with the context, and with no other.
    CHECK(launch() == CUDA_ERROR_ILLEGAL_ADDRESS);
    CUdeviceptr made = 0;
    CHECK(CU(cuMemAlloc_v2)(&made, 4) == CUDA_ERROR_ILLEGAL_ADDRESS);
    REQUIRE_CU(CU(cuCtxPushCurrent_v2)(second.context));
    CHECK(OwnContext::read(there, 1).front() == 5);
    REQUIRE_CU(CU(cuCtxPopCurrent_v2)(nullptr));
  }
  SECTION("a copy needs none") {
    REQUIRE_CU(CU(cuMemcpyPeer)(here, first.context, there, second.context, 4));
    CHECK(OwnContext::read(here, 1).front() == 5);
  }
}

TEST_CASE_METHOD(TwoDevices, "memory of a pool is reached by the devices the pool gives access to") {
  CUmemPoolProps properties{};
  properties.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, 1};
  CUmemoryPool pool = nullptr;
  REQUIRE_CU(CU(cuMemPoolCreate)(&pool, &properties));
  REQUIRE_CU(CU(cuCtxPushCurrent_v2)(second.context));
  CUdeviceptr there = 0;
  REQUIRE_CU(CU(cuMemAllocFromPoolAsync)(&there, 4, pool, nullptr));
  REQUIRE_CU(CU(cuMemsetD32_v2)(there, 8, 1));
  REQUIRE_CU(CU(cuCtxSynchronize)());
  std::uint64_t used = 0;
  REQUIRE_CU(CU(cuMemPoolGetAttribute)(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &used));
  CHECK(used == 4);
  REQUIRE_CU(CU(cuCtxPopCurrent_v2)(nullptr));

  CUmemLocation reader{CU_MEM_LOCATION_TYPE_DEVICE, 0};
  CUmemAccess_flags access{};
  REQUIRE_CU(CU(cuMemPoolGetAccess)(&access, pool, &reader));
  CHECK(access == CU_MEM_ACCESS_FLAGS_PROT_NONE);
  const bool open = GENERATE(false, true);
  if (open) {
    const CUmemAccessDesc wanted{reader, CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    REQUIRE_CU(CU(cuMemPoolSetAccess)(pool, &wanted, 1));
  } else {
    REQUIRE_CU(CU(cuCtxEnablePeerAccess)(second.context, 0));  // says nothing of pools
  }
  CUdeviceptr here = OwnContext::words(1, 0);
  void* parameters[] = {&here, &there};
  REQUIRE_CU(CU(cuLaunchKernel)(first.function("copy"), 1, 1, 1, 1, 1, 1, 0, nullptr, parameters, nullptr));
  CHECK(CU(cuCtxSynchronize)() == (open ? CUDA_SUCCESS : CUDA_ERROR_ILLEGAL_ADDRESS));
}

TEST_CASE_METHOD(OwnContext, "a cooperative grid must fit on the device") {
  CUdeviceptr x = words(128, 0);
  unsigned int n = 128;
  void* parameters[] = {&x, &n};
  const CUfunction kernel = function("add_one");
  int blocks = 0;
  int multiprocessors = 0;
  REQUIRE_CU(CU(cuOccupancyMaxActiveBlocksPerMultiprocessor)(&blocks, kernel, 1024, 0));
  REQUIRE_CU(CU(cuDeviceGetAttribute)(&multiprocessors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 0));
  const auto most = static_cast<unsigned int>(blocks * multiprocessors);
  CHECK(CU(cuLaunchCooperativeKernel)(kernel, most, 1, 1, 1024, 1, 1, 0, nullptr, parameters) ==
        CUDA_SUCCESS);
  CHECK(CU(cuLaunchCooperativeKernel)(kernel, most + 1, 1, 1, 1024, 1, 1, 0, nullptr, parameters) ==
        CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE);
  CUlaunchAttribute attribute{};
  attribute.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION;
  attribute.value.programmaticStreamSerializationAllowed = 1;
  CUlaunchConfig config{1, 1, 1, 128, 1, 1, 0, nullptr, &attribute, 1};
  CHECK(CU(cuLaunchKernelEx)(&config, kernel, parameters, nullptr) == CUDA_SUCCESS);
  int grid = 0;
  int block = 0;
  REQUIRE_CU(CU(cuOccupancyMaxPotentialBlockSize)(&grid, &block, kernel, nullptr, 0, 0));
  CHECK(block == 1024);
  CHECK(grid == static_cast<int>(most));
}

TEST_CASE_METHOD(OwnContext, "malformed PTX and binaries fail with the driver's codes and a log") {
  CUmodule made = nullptr;
  char log[512] = {};
  CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
  void* values[] = {log, reinterpret_cast<void*>(sizeof log)};
  const char* bad =
      ".version 8.0\n.target sm_75\n.address_size 64\n.visible .entry x()\n{\n  frobnicate.u32 %r1;\n}\n";
  CHECK(CU(cuModuleLoadDataEx)(&made, bad, 2, options, values) == CUDA_ERROR_INVALID_PTX);
  CHECK(std::strstr(log, "frobnicate") != nullptr);
  CHECK(std::strstr(log, "line 6") != nullptr);
  const unsigned char elf[64] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
  CHECK(CU(cuModuleLoadData)(&made, elf) == CUDA_ERROR_NO_BINARY_FOR_GPU);
}

TEST_CASE_METHOD(OwnContext, "libraries and modules tell what is in them") {
  CUlibrary library = nullptr;
  REQUIRE_CU(CU(cuLibraryLoadData)(&library, kernels, nullptr, nullptr, 0, nullptr, nullptr, 0));
  unsigned int count = 0;
  REQUIRE_CU(CU(cuLibraryGetKernelCount)(&count, library));
  REQUIRE(count == 10);
  std::vector<CUkernel> all(count);
  REQUIRE_CU(CU(cuLibraryEnumerateKernels)(all.data(), count, library));
  std::set<std::string> names;
  for (const CUkernel kernel : all) {
    const char* name = nullptr;
    REQUIRE_CU(CU(cuKernelGetName)(&name, kernel));
    names.insert(name);
  }
  CHECK(names == std::set<std::string>{"add", "add_one", "bounded", "copy", "double_it", "dynamic", "forever",
                                       "spin", "store", "trap"});
  CUkernel kernel = nullptr;
  REQUIRE_CU(CU(cuLibraryGetKernel)(&kernel, library, "add_one"));
  std::size_t offset = 0;
  std::size_t size = 0;
  REQUIRE_CU(CU(cuKernelGetParamInfo)(kernel, 1, &offset, &size));
  CHECK(offset == 8);
  CHECK(size == 4);
  CHECK(CU(cuKernelGetParamInfo)(kernel, 2, &offset, &size) == CUDA_ERROR_INVALID_VALUE);
  CUmodule as_module = nullptr;
  REQUIRE_CU(CU(cuLibraryGetModule)(&as_module, library));
  CUdeviceptr counter = 0;
  REQUIRE_CU(CU(cuModuleGetGlobal_v2)(&counter, &size, as_module, "counter"));
  CHECK(size == 16);
  CHECK(read(counter, 1).front() == 7);
  CUfunction function = nullptr;
  CUmodule owner = nullptr;
  REQUIRE_CU(CU(cuKernelGetFunction)(&function, kernel));
  REQUIRE_CU(CU(cuFuncGetModule)(&owner, function));
  CHECK(owner == as_module);
  REQUIRE_CU(CU(cuLibraryUnload)(library));
  CHECK(CU(cuKernelGetFunction)(&function, kernel) == CUDA_ERROR_INVALID_HANDLE);
  CHECK(CU(cuModuleGetGlobal_v2)(&counter, &size, as_module, "counter") == CUDA_ERROR_INVALID_HANDLE);
}
