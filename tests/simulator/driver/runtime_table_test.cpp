#include <catch2/catch.hpp>
#include <cstring>
#include <string>
#include <vector>

#include "kerncast/error.hpp"
#include "runtime/driver/device.hpp"
#include "tests/simulator/driver/fixture.hpp"

using namespace kerncast;
using namespace kerncast::tests;

namespace {

/// Loads by library and kernel, and launches by a configuration, as the runtime does.
struct Fixture : PrimaryFixture {
  [[nodiscard]] CUfunction library_function(const char* name) const {
    CUlibrary library = nullptr;
    CUkernel kernel = nullptr;
    CUfunction out = nullptr;
    check(api, api.cuLibraryLoadData(&library, kernels, nullptr, nullptr, 0, nullptr, nullptr, 0), "load");
    check(api, api.cuLibraryGetKernel(&kernel, library, name), "kernel");
    check(api, api.cuKernelGetFunction(&out, kernel), "function");
    return out;
  }

  CUresult launch(CUfunction kernel, CUdeviceptr out, unsigned n, CUstream stream = nullptr) const {
    CUlaunchConfig config{};
    config.gridDimX = (n + 127) / 128;
    config.gridDimY = config.gridDimZ = 1;
    config.blockDimX = 128;
    config.blockDimY = config.blockDimZ = 1;
    config.hStream = stream;
    void* parameters[] = {&out, &n};
    return api.cuLaunchKernelEx(&config, kernel, parameters, nullptr);
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "the virtual device describes itself") {
  const DeviceInfo info = query_device(api, 0);
  CHECK(info.name.find("virtual GPU") != std::string::npos);
  CHECK(info.arch == arch_of(info.sm));
  CHECK(info.sm_count > 0);
  CHECK_THROWS_AS(query_device(api, 99), Error);
}

TEST_CASE_METHOD(Fixture, "launches on one stream run in order, and copies wait for them") {
  const CUfunction kernel = library_function("add_one");
  const DeviceBuffer buffer(api, 4000);
  buffer.fill(0);
  for (int i = 0; i < 50; ++i) {
    REQUIRE(launch(kernel, buffer.address(), 1000) == CUDA_SUCCESS);
  }
  std::vector<int> values(1000);
  buffer.download(values.data(), 4000);
  CHECK(values == std::vector<int>(1000, 50));
}

TEST_CASE_METHOD(Fixture, "a captured graph records and replays, and forbids what a driver forbids") {
  const CUfunction kernel = library_function("add_one");
  const DeviceBuffer buffer(api, 512);
  buffer.fill(0);
  CUstream stream = nullptr;
  REQUIRE(api.cuStreamCreate(&stream, 1) == CUDA_SUCCESS);
  REQUIRE(api.cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL) == CUDA_SUCCESS);
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
  REQUIRE(api.cuStreamIsCapturing(stream, &status) == CUDA_SUCCESS);
  CHECK(status == CU_STREAM_CAPTURE_STATUS_ACTIVE);
  REQUIRE(launch(kernel, buffer.address(), 128, stream) == CUDA_SUCCESS);
  REQUIRE(launch(kernel, buffer.address(), 128, stream) == CUDA_SUCCESS);
  CUgraph graph = nullptr;
  REQUIRE(api.cuStreamEndCapture(stream, &graph) == CUDA_SUCCESS);
  std::vector<int> values(128);
  buffer.download(values.data(), 512);
  CHECK(values == std::vector<int>(128, 0));
  CUgraphExec executable = nullptr;
  REQUIRE(api.cuGraphInstantiateWithFlags(&executable, graph, 0) == CUDA_SUCCESS);
  REQUIRE(api.cuGraphDestroy(graph) == CUDA_SUCCESS);
  REQUIRE(api.cuGraphLaunch(executable, stream) == CUDA_SUCCESS);
  REQUIRE(api.cuGraphLaunch(executable, stream) == CUDA_SUCCESS);
  REQUIRE(api.cuStreamSynchronize(stream) == CUDA_SUCCESS);
  buffer.download(values.data(), 512);
  CHECK(values == std::vector<int>(128, 4));
  CHECK(api.cuGraphExecDestroy(executable) == CUDA_SUCCESS);
  CHECK(api.cuGraphLaunch(executable, stream) == CUDA_ERROR_INVALID_HANDLE);

  REQUIRE(api.cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL) == CUDA_SUCCESS);
  CUlibrary library = nullptr;
  CHECK(api.cuLibraryLoadData(&library, kernels, nullptr, nullptr, 0, nullptr, nullptr, 0) ==
        CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  CHECK(api.cuStreamEndCapture(stream, &graph) == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);

  REQUIRE(api.cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL) == CUDA_SUCCESS);
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
  REQUIRE(api.cuThreadExchangeStreamCaptureMode(&mode) == CUDA_SUCCESS);
  CHECK(api.cuLibraryLoadData(&library, kernels, nullptr, nullptr, 0, nullptr, nullptr, 0) == CUDA_SUCCESS);
  REQUIRE(api.cuThreadExchangeStreamCaptureMode(&mode) == CUDA_SUCCESS);
  CHECK(api.cuStreamEndCapture(stream, &graph) == CUDA_SUCCESS);
  CHECK(api.cuGraphDestroy(graph) == CUDA_SUCCESS);
  CHECK(api.cuStreamDestroy(stream) == CUDA_SUCCESS);
}

TEST_CASE_METHOD(Fixture, "images a driver would refuse are refused with its codes") {
  CUlibrary library = nullptr;
  const auto load = [&](const char* image) {
    return api.cuLibraryLoadData(&library, image, nullptr, nullptr, 0, nullptr, nullptr, 0);
  };
  CHECK(load("\177ELF\2\1\1") == CUDA_ERROR_NO_BINARY_FOR_GPU);
  CHECK(load("nothing of the kind") == CUDA_ERROR_INVALID_IMAGE);
  CHECK(load(".version 8.0\n.target sm_999\n.address_size 64\n") == CUDA_ERROR_NO_BINARY_FOR_GPU);
  CHECK(load(".version 8.0\n.target sm_80\n.address_size 64\n.entry x() { no.such.instruction; }\n") ==
        CUDA_ERROR_INVALID_PTX);
  CHECK(std::strstr(api.last_fault(), "no.such.instruction") != nullptr);
}

TEST_CASE_METHOD(Fixture, "bad handles, sizes and addresses are errors, not crashes") {
  const CUfunction kernel = library_function("add_one");
  const DeviceBuffer buffer(api, 16);
  int value = 0;
  CHECK(launch(reinterpret_cast<CUfunction>(&value), buffer.address(), 1) == CUDA_ERROR_INVALID_HANDLE);
  CHECK(launch(kernel, buffer.address(), 0) == CUDA_ERROR_INVALID_VALUE);
  CHECK(launch(kernel, buffer.address(), 1, reinterpret_cast<CUstream>(&value)) == CUDA_ERROR_INVALID_HANDLE);
  CHECK(api.cuMemcpyHtoD(buffer.address() + 8, &value, 16) == CUDA_ERROR_INVALID_VALUE);
  CHECK(api.cuMemFree(buffer.address() + 4) == CUDA_ERROR_INVALID_VALUE);
  unsigned int kind = 0;
  CHECK(api.cuPointerGetAttribute(&kind, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, buffer.address()) == CUDA_SUCCESS);
  CHECK(kind == CU_MEMORYTYPE_DEVICE);
  CHECK(api.cuPointerGetAttribute(&kind, CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
                                  reinterpret_cast<std::uint64_t>(&value)) == CUDA_ERROR_INVALID_VALUE);
}

// Last: the fault stays with the context, as on a device.
TEST_CASE_METHOD(Fixture, "an access outside an allocation is named and sticks") {
  const CUfunction kernel = library_function("add_one");
  const DeviceBuffer buffer(api, 400);
  buffer.fill(0);
  REQUIRE(launch(kernel, buffer.address(), 101) == CUDA_SUCCESS);
  CHECK(api.cuCtxSynchronize() == CUDA_ERROR_ILLEGAL_ADDRESS);
  CHECK(launch(kernel, buffer.address(), 1) == CUDA_ERROR_ILLEGAL_ADDRESS);
  const std::string fault = api.last_fault();
  INFO(fault);
  CHECK(fault.find("add_one") != std::string::npos);
  CHECK(fault.find("(100,0,0)") != std::string::npos);
  CHECK(fault.find("ld.global.u32") != std::string::npos);
  CHECK(fault.find("400-byte") != std::string::npos);
  CHECK_THROWS_AS(context.synchronize(), Error);
}
