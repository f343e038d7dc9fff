#include <fmt/format.h>

#include "tests/simulator/cudart/fixture.hpp"

namespace {

using namespace kerncast::tests;

/// Puts the arguments of a launch down and launches as the compiler's stub of a kernel does.
cudaError_t launch_as_stub(const void* function, dim3 grid, dim3 block, void** arguments) {
  CUkernel kernel = nullptr;
  REQUIRE_RT(RT(__cudaGetKernel)(&kernel, function));
  REQUIRE(RT(__cudaPushCallConfiguration)(grid, block, 0, nullptr) == 0);
  std::size_t shared_bytes = 1;
  CUstream stream = nullptr;
  REQUIRE_RT(RT(__cudaPopCallConfiguration)(&grid, &block, &shared_bytes, static_cast<void*>(&stream)));
  CHECK(shared_bytes == 0);
  return RT(__cudaLaunchKernel)(kernel, grid, block, arguments, shared_bytes, stream);
}

std::string last_text() {
  return RT(cudaGetErrorString)(RT(cudaPeekAtLastError)());
}

}  // namespace

TEST_CASE("a registered kernel is launched by its host function and by the compiler's stub") {
  unsigned int* words = device_words(100, 3);
  REQUIRE_RT(launch_add(words, 100, 4));
  CHECK(read_words(words, 100) == std::vector<unsigned int>(100, 7));
  unsigned int n = 100;
  void* arguments[] = {&words, &n};
  REQUIRE_RT(launch_as_stub(test_program().host("add_one"), {1, 1, 1}, {128, 1, 1}, arguments));
  CHECK(read_words(words, 100) == std::vector<unsigned int>(100, 8));
}

TEST_CASE("a launch may be configured, and cooperative") {
  unsigned int* words = device_words(64, 0);
  unsigned int n = 64;
  unsigned int value = 2;
  void* arguments[] = {&words, &n, &value};
  const void* add = test_program().host("add");
  REQUIRE_RT(RT(cudaLaunchCooperativeKernel)(add, {1, 1, 1}, {64, 1, 1}, arguments, 0, nullptr));
  CUlaunchAttribute attribute{};
  attribute.id = CU_LAUNCH_ATTRIBUTE_PRIORITY;
  cudaLaunchConfig_t config{{1, 1, 1}, {64, 1, 1}, 0, nullptr, &attribute, 1};
  REQUIRE_RT(RT(cudaLaunchKernelExC)(&config, add, arguments));
  CHECK(read_words(words, 64) == std::vector<unsigned int>(64, 4));
}

TEST_CASE("a kernel is known by its driver's handle too") {
  const void* add = test_program().host("add");
  CUkernel kernel = nullptr;
  REQUIRE_RT(RT(cudaGetKernel)(&kernel, add));
  const char* name = nullptr;
  REQUIRE_RT(RT(cudaFuncGetName)(&name, kernel));
  CHECK(std::string(name) == "add");
  std::size_t count = 0;
  REQUIRE_RT(RT(cudaFuncGetParamCount)(add, &count));
  CHECK(count == 3);
  CUfunction function = nullptr;
  CHECK(RT(cudaGetFuncBySymbol)(&function, add) == cudaSuccess);
  CHECK(function != nullptr);
}

TEST_CASE("attributes and occupancy of a kernel") {
  const void* add = test_program().host("add");
  cudaFuncAttributes attributes{};
  REQUIRE_RT(RT(cudaFuncGetAttributes)(&attributes, add));
  CHECK(attributes.maxThreadsPerBlock == 1024);
  CHECK(attributes.ptxVersion == 80);
  CHECK(attributes.sharedSizeBytes == 0);
  int blocks = 0;
  REQUIRE_RT(RT(cudaOccupancyMaxActiveBlocksPerMultiprocessor)(&blocks, add, 1024, 0));
  CHECK(blocks == 2);
  const void* dynamic = test_program().host("dynamic");
  REQUIRE_RT(RT(cudaFuncSetAttribute)(dynamic, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 100 * 1024));
  REQUIRE_RT(RT(cudaFuncGetAttributes)(&attributes, dynamic));
  CHECK(attributes.maxDynamicSharedSizeBytes == 100 * 1024);
}

TEST_CASE("a kernel without PTX is refused by name, and the program goes on") {
  const Program binaries(fat_binary({{2, 90,
                                      "\x7f"
                                      "ELF"}}),
                         {"only_a_binary"});
  const void* kernel = binaries.host("only_a_binary");
  CHECK(launch_as_stub(kernel, {1, 1, 1}, {1, 1, 1}, nullptr) == cudaErrorNoKernelImageForDevice);
  CHECK_THAT(last_text(), Catch::Contains("only_a_binary") && Catch::Contains("sm_90"));
  cudaFuncAttributes attributes{};
  CHECK(RT(cudaFuncGetAttributes)(&attributes, kernel) == cudaErrorNoKernelImageForDevice);
  int blocks = 0;
  CHECK(RT(cudaOccupancyMaxActiveBlocksPerMultiprocessor)(&blocks, kernel, 32, 0) ==
        cudaErrorNoKernelImageForDevice);
  CHECK_THAT(last_text(), Catch::Contains("only_a_binary"));
  CHECK(RT(cudaGetLastError)() == cudaErrorNoKernelImageForDevice);
  unsigned int* words = device_words(1, 1);
  REQUIRE_RT(launch_add(words, 1, 1));
}

TEST_CASE("what is not registered is no kernel and no variable") {
  const int nothing = 0;
  CHECK(RT(cudaLaunchKernel)(&nothing, {1, 1, 1}, {1, 1, 1}, nullptr, 0, nullptr) ==
        cudaErrorInvalidDeviceFunction);
  void* address = nullptr;
  CHECK(RT(cudaGetSymbolAddress)(&address, &nothing) == cudaErrorInvalidSymbol);
  const Program other(fat_binary({{1, 75, kernels}}), {"absent"}, {"missing"});
  CHECK(RT(cudaLaunchKernel)(other.host("absent"), {1, 1, 1}, {1, 1, 1}, nullptr, 0, nullptr) ==
        cudaErrorInvalidDeviceFunction);
  CHECK_THAT(last_text(), Catch::Contains("absent"));
  CHECK(RT(cudaGetSymbolAddress)(&address, other.host("missing")) == cudaErrorInvalidSymbol);
}

TEST_CASE("a damaged fat binary does no harm until it is used") {
  const Program damaged("\xb1\x43 no fat binary at all", {"kernel"});
  CHECK(RT(cudaLaunchKernel)(damaged.host("kernel"), {1, 1, 1}, {1, 1, 1}, nullptr, 0, nullptr) !=
        cudaSuccess);
}

TEST_CASE("a fat binary that is taken back takes its kernels along") {
  int host = 0;
  const std::string image = fat_binary({{1, 75, kernels}});
  FatWrapper wrapper;
  wrapper.data = image.data();
  void** handle = RT(__cudaRegisterFatBinary)(&wrapper);
  RT(__cudaRegisterFunction)(handle, reinterpret_cast<char*>(&host), nullptr, "add", -1, nullptr, nullptr,
                             nullptr, nullptr, nullptr);
  cudaFuncAttributes attributes{};
  CHECK(RT(cudaFuncGetAttributes)(&attributes, &host) == cudaSuccess);
  RT(__cudaUnregisterFatBinary)(handle);
  CHECK(RT(cudaFuncGetAttributes)(&attributes, &host) == cudaErrorInvalidDeviceFunction);
}

TEST_CASE("a program may register very many kernels") {
  constexpr std::size_t count = 24'000;
  const std::string image = fat_binary({{1, 75, kernels}});
  FatWrapper wrapper;
  wrapper.data = image.data();
  void** handle = RT(__cudaRegisterFatBinary)(&wrapper);
  std::vector<char> hosts(count);
  const auto register_function = RT(__cudaRegisterFunction);
  for (std::size_t i = 0; i < count; ++i) {
    register_function(handle, &hosts[i], nullptr, i == count / 2 ? "add" : "absent", -1, nullptr, nullptr,
                      nullptr, nullptr, nullptr);
  }
  cudaFuncAttributes attributes{};
  CHECK(RT(cudaFuncGetAttributes)(&attributes, &hosts[count / 2]) == cudaSuccess);
  CHECK(RT(cudaFuncGetAttributes)(&attributes, &hosts[0]) == cudaErrorInvalidDeviceFunction);
  RT(__cudaUnregisterFatBinary)(handle);
}

TEST_CASE("device variables are read and written by their host symbols") {
  const void* counter = test_program().host("counter");
  std::size_t size = 0;
  REQUIRE_RT(RT(cudaGetSymbolSize)(&size, counter));
  CHECK(size == 16);
  void* address = nullptr;
  REQUIRE_RT(RT(cudaGetSymbolAddress)(&address, counter));
  CHECK(read_words(static_cast<unsigned int*>(address), 4) == std::vector<unsigned int>{7, 8, 9, 10});
  const unsigned int value = 42;
  REQUIRE_RT(RT(cudaMemcpyToSymbol)(counter, &value, 4, 8, cudaMemcpyHostToDevice));
  unsigned int back = 0;
  REQUIRE_RT(RT(cudaMemcpyFromSymbol)(&back, counter, 4, 8, cudaMemcpyDeviceToHost));
  CHECK(back == 42);
  CHECK(RT(cudaMemcpyToSymbol)(counter, &value, 4, 13, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
}

TEST_CASE("a launch that no device can take is an invalid configuration") {
  void* arguments[] = {nullptr, nullptr, nullptr};
  const void* add = test_program().host("add");
  CHECK(RT(cudaLaunchKernel)(add, {0, 1, 1}, {1, 1, 1}, arguments, 0, nullptr) ==
        cudaErrorInvalidConfiguration);
  CHECK(RT(cudaLaunchKernel)(add, {1, 1, 1}, {2048, 1, 1}, arguments, 0, nullptr) ==
        cudaErrorInvalidConfiguration);
  dim3 grid{};
  std::size_t bytes = 0;
  CUstream stream = nullptr;
  CHECK(RT(__cudaPopCallConfiguration)(&grid, &grid, &bytes, static_cast<void*>(&stream)) ==
        cudaErrorMissingConfiguration);
}

TEST_CASE("libraries of the runtime API hold kernels and variables") {
  CUlibrary library = nullptr;
  REQUIRE_RT(RT(cudaLibraryLoadData)(&library, kernels, nullptr, nullptr, 0, nullptr, nullptr, 0));
  CUkernel add_one = nullptr;
  REQUIRE_RT(RT(cudaLibraryGetKernel)(&add_one, library, "add_one"));
  unsigned int* words = device_words(32, 1);
  unsigned int n = 32;
  void* arguments[] = {&words, &n};
  REQUIRE_RT(RT(cudaLaunchKernel)(add_one, {1, 1, 1}, {32, 1, 1}, arguments, 0, nullptr));
  CHECK(read_words(words, 32) == std::vector<unsigned int>(32, 2));
  CUdeviceptr counter = 0;
  std::size_t size = 0;
  REQUIRE_RT(RT(cudaLibraryGetGlobal)(&counter, &size, library, "counter"));
  CHECK(size == 16);
  unsigned int count = 0;
  REQUIRE_RT(RT(cudaLibraryGetKernelCount)(&count, library));
  std::vector<CUkernel> all(count);
  REQUIRE_RT(RT(cudaLibraryEnumerateKernels)(all.data(), count, library));
  CHECK(RT(cudaLibraryUnload)(library) == cudaSuccess);
}

TEST_CASE("errors have names and texts, and each thread has its last one") {
  CHECK(std::string(RT(cudaGetErrorName)(cudaErrorNotReady)) == "cudaErrorNotReady");
  CHECK(std::string(RT(cudaGetErrorString)(static_cast<cudaError_t>(17))) == "invalid device pointer");
  CHECK(std::string(RT(cudaGetErrorString)(static_cast<cudaError_t>(214))) == "ecc uncorrectable");
  CHECK(std::string(RT(cudaGetErrorName)(static_cast<cudaError_t>(12345))) == "unrecognized error code");
  RT(cudaGetLastError)();
  CHECK(RT(cudaMalloc)(nullptr, 1) == cudaErrorInvalidValue);
  CHECK(RT(cudaPeekAtLastError)() == cudaErrorInvalidValue);
  CHECK_THAT(last_text(), Catch::Contains("pointer is null"));
  CHECK(RT(cudaGetLastError)() == cudaErrorInvalidValue);
  CHECK(RT(cudaGetLastError)() == cudaSuccess);
}
