#include <catch2/catch.hpp>
#include <cstring>
#include <vector>

#include "kerncast/error.hpp"
#include "runtime/driver/context.hpp"
#include "runtime/driver/device.hpp"
#include "runtime/driver/driver_api.hpp"
#include "runtime/driver/driver_error.hpp"

using namespace kerncast;
using namespace kerncast::driver;

namespace {

// out[i] += 1 for i < n.
constexpr const char* increment = R"(
.version 8.0
.target sm_80
.address_size 64
.visible .entry increment(.param .u64 out, .param .u32 n)
{
  .reg .pred %p<2>;
  .reg .b32 %r<8>;
  .reg .b64 %rd<4>;
  ld.param.u64 %rd1, [out];
  ld.param.u32 %r1, [n];
  mov.u32 %r2, %ctaid.x;
  mov.u32 %r3, %ntid.x;
  mov.u32 %r4, %tid.x;
  mad.lo.s32 %r5, %r2, %r3, %r4;
  setp.ge.u32 %p1, %r5, %r1;
  @%p1 bra DONE;
  cvta.to.global.u64 %rd1, %rd1;
  mul.wide.u32 %rd2, %r5, 4;
  add.s64 %rd3, %rd1, %rd2;
  ld.global.u32 %r6, [%rd3];
  add.s32 %r7, %r6, 1;
  st.global.u32 [%rd3], %r7;
DONE:
  ret;
}
)";

std::shared_ptr<const Driver> simulator() {
  static const std::shared_ptr<const Driver> driver = load_driver(KERNCAST_SIM_LIBRARY);
  return driver;
}

struct Fixture {
  Fixture() : context(simulator(), 0), api(context.api()) {}

  CUfunction function(const char* ptx, const char* name) const {
    CUlibrary library = nullptr;
    CUkernel kernel = nullptr;
    CUfunction out = nullptr;
    check(api, api.cuLibraryLoadData(&library, ptx, nullptr, nullptr, 0, nullptr, nullptr, 0), "load");
    check(api, api.cuLibraryGetKernel(&kernel, library, name), "kernel");
    check(api, api.cuKernelGetFunction(&out, kernel), "function");
    return out;
  }

  CUresult launch(CUfunction kernel, std::uint64_t out, unsigned n, CUstream stream = nullptr) const {
    CUlaunchConfig config{};
    config.gridDimX = (n + 127) / 128;
    config.gridDimY = config.gridDimZ = 1;
    config.blockDimX = 128;
    config.blockDimY = config.blockDimZ = 1;
    config.hStream = stream;
    void* parameters[] = {&out, &n};
    return api.cuLaunchKernelEx(&config, kernel, parameters, nullptr);
  }

  PrimaryContext context;
  const DriverApi& api;
};

std::uint64_t address(const DeviceBuffer& buffer) {
  return reinterpret_cast<std::uint64_t>(buffer.data());
}

}  // namespace

TEST_CASE_METHOD(Fixture, "the virtual device describes itself") {
  const DeviceInfo info = query_device(api, 0);
  CHECK(info.name.find("virtual GPU") != std::string::npos);
  CHECK(info.arch == arch_of(info.sm));
  CHECK(info.sm_count > 0);
  CHECK_THROWS_AS(query_device(api, 99), Error);
}

TEST_CASE_METHOD(Fixture, "launches on one stream run in order, and copies wait for them") {
  const CUfunction kernel = function(increment, "increment");
  const DeviceBuffer buffer(api, 4000);
  buffer.fill(0);
  for (int i = 0; i < 50; ++i) {
    REQUIRE(launch(kernel, address(buffer), 1000) == CUDA_SUCCESS);
  }
  std::vector<int> values(1000);
  buffer.download(values.data(), 4000);
  CHECK(values == std::vector<int>(1000, 50));
}

TEST_CASE_METHOD(Fixture, "a captured graph records and replays, and forbids what a driver forbids") {
  const CUfunction kernel = function(increment, "increment");
  const DeviceBuffer buffer(api, 512);
  buffer.fill(0);
  CUstream stream = nullptr;
  REQUIRE(api.cuStreamCreate(&stream, 1) == CUDA_SUCCESS);
  REQUIRE(api.cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL) == CUDA_SUCCESS);
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
  REQUIRE(api.cuStreamIsCapturing(stream, &status) == CUDA_SUCCESS);
  CHECK(status == CU_STREAM_CAPTURE_STATUS_ACTIVE);
  REQUIRE(launch(kernel, address(buffer), 128, stream) == CUDA_SUCCESS);
  REQUIRE(launch(kernel, address(buffer), 128, stream) == CUDA_SUCCESS);
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
  CHECK(api.cuLibraryLoadData(&library, increment, nullptr, nullptr, 0, nullptr, nullptr, 0) ==
        CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  CHECK(api.cuStreamEndCapture(stream, &graph) == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);

  REQUIRE(api.cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL) == CUDA_SUCCESS);
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
  REQUIRE(api.cuThreadExchangeStreamCaptureMode(&mode) == CUDA_SUCCESS);
  CHECK(api.cuLibraryLoadData(&library, increment, nullptr, nullptr, 0, nullptr, nullptr, 0) == CUDA_SUCCESS);
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
  const CUfunction kernel = function(increment, "increment");
  const DeviceBuffer buffer(api, 16);
  int value = 0;
  CHECK(launch(reinterpret_cast<CUfunction>(&value), address(buffer), 1) == CUDA_ERROR_INVALID_HANDLE);
  CHECK(launch(kernel, address(buffer), 0) == CUDA_ERROR_INVALID_VALUE);
  CHECK(launch(kernel, address(buffer), 1, reinterpret_cast<CUstream>(&value)) == CUDA_ERROR_INVALID_HANDLE);
  CHECK(api.cuMemcpyHtoD(address(buffer) + 8, &value, 16) == CUDA_ERROR_INVALID_VALUE);
  CHECK(api.cuMemFree(address(buffer) + 4) == CUDA_ERROR_INVALID_VALUE);
  unsigned int kind = 0;
  CHECK(api.cuPointerGetAttribute(&kind, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, address(buffer)) == CUDA_SUCCESS);
  CHECK(kind == CU_MEMORYTYPE_DEVICE);
  CHECK(api.cuPointerGetAttribute(&kind, CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
                                  reinterpret_cast<std::uint64_t>(&value)) == CUDA_ERROR_INVALID_VALUE);
}

// Last: the fault stays with the context, as on a device.
TEST_CASE_METHOD(Fixture, "an access outside an allocation is named and sticks") {
  const CUfunction kernel = function(increment, "increment");
  const DeviceBuffer buffer(api, 400);
  buffer.fill(0);
  REQUIRE(launch(kernel, address(buffer), 101) == CUDA_SUCCESS);
  CHECK(api.cuCtxSynchronize() == CUDA_ERROR_ILLEGAL_ADDRESS);
  CHECK(launch(kernel, address(buffer), 1) == CUDA_ERROR_ILLEGAL_ADDRESS);
  const std::string fault = api.last_fault();
  INFO(fault);
  CHECK(fault.find("increment") != std::string::npos);
  CHECK(fault.find("(100,0,0)") != std::string::npos);
  CHECK(fault.find("ld.global.u32") != std::string::npos);
  CHECK(fault.find("400-byte") != std::string::npos);
  CHECK_THROWS_AS(context.synchronize(), Error);
}
