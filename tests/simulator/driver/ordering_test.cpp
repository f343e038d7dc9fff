#include <atomic>
#include <cstring>
#include <thread>

#include "tests/simulator/driver/fixture.hpp"

using namespace kerncast::tests;

namespace {

/// A word that kernels wait for and the host sets.
struct FlagInHostMemory {
  FlagInHostMemory() {
    void* made = nullptr;
    REQUIRE_CU(CU(cuMemHostAlloc)(&made, 4, 0));
    word = static_cast<unsigned int*>(made);
    *word = 0;
  }
  void open() const { std::atomic_ref(*word).store(1); }
  [[nodiscard]] CUdeviceptr address() const { return reinterpret_cast<CUdeviceptr>(word); }
  unsigned int* word = nullptr;
};

void wait_for(CUstream stream, const FlagInHostMemory& gate) {
  REQUIRE_CU(CU(cuStreamWaitValue32_v2)(stream, gate.address(), 1, CU_STREAM_WAIT_VALUE_EQ));
}

}  // namespace

TEST_CASE_METHOD(OwnContext, "streams run beside each other, and a kernel may wait for another's") {
  const FlagInHostMemory gate;
  const CUstream waiting = stream();
  const CUstream working = stream();
  CUdeviceptr flag = gate.address();
  void* parameters[] = {&flag};
  REQUIRE_CU(CU(cuLaunchKernel)(function("spin"), 1, 1, 1, 1, 1, 1, 0, waiting, parameters, nullptr));
  CHECK(CU(cuStreamQuery)(waiting) == CUDA_ERROR_NOT_READY);
  REQUIRE_CU(launch("add_one", working, flag, 1));
  REQUIRE_CU(CU(cuStreamSynchronize)(working));
  REQUIRE_CU(CU(cuStreamSynchronize)(waiting));
}

TEST_CASE_METHOD(OwnContext, "the legacy stream waits for blocking streams, and they for it") {
  const FlagInHostMemory gate;
  CUstream blocking = nullptr;
  REQUIRE_CU(CU(cuStreamCreate)(&blocking, CU_STREAM_DEFAULT));
  const CUstream apart = stream();
  const CUdeviceptr x = words(1, 0);
  const CUdeviceptr y = words(1, 0);
  wait_for(blocking, gate);
  REQUIRE_CU(launch("add_one", nullptr, x, 1));
  REQUIRE_CU(launch("add_one", blocking, x, 1));
  CHECK(CU(cuStreamQuery)(nullptr) == CUDA_ERROR_NOT_READY);
  REQUIRE_CU(launch("add_one", apart, y, 1));
  REQUIRE_CU(CU(cuStreamSynchronize)(apart));  // waits for nothing of the above
  gate.open();
  REQUIRE_CU(CU(cuStreamSynchronize)(nullptr));
  CHECK(read(x, 1).front() == 2);
}

TEST_CASE_METHOD(OwnContext, "the per-thread family takes null for the thread's own stream") {
  CUdeviceptr x = words(1, 4);
  unsigned int n = 1;
  void* parameters[] = {&x, &n};
  REQUIRE_CU(CU(cuLaunchKernel_ptsz)(function("add_one"), 1, 1, 1, 1, 1, 1, 0, nullptr, parameters, nullptr));
  unsigned int value = 0;
  REQUIRE_CU(CU(cuMemcpyDtoHAsync_v2_ptsz)(&value, x, 4, nullptr));
  REQUIRE_CU(CU(cuStreamSynchronize_ptsz)(nullptr));
  CHECK(value == 5);
  // The legacy stream, which null names otherwise, cannot be captured.
  CUgraph graph = nullptr;
  REQUIRE_CU(CU(cuStreamBeginCapture_v2_ptsz)(nullptr, CU_STREAM_CAPTURE_MODE_RELAXED));
  REQUIRE_CU(CU(cuStreamEndCapture_ptsz)(nullptr, &graph));
  REQUIRE_CU(CU(cuGraphDestroy)(graph));
}

TEST_CASE_METHOD(OwnContext, "an event stands for its latest recording") {
  const FlagInHostMemory first;
  const FlagInHostMemory second;
  const CUstream one = stream();
  const CUevent done = event();
  REQUIRE_CU(CU(cuEventQuery)(done));  // never recorded: nothing to wait for
  wait_for(one, first);
  REQUIRE_CU(CU(cuEventRecord)(done, one));
  CHECK(CU(cuEventQuery)(done) == CUDA_ERROR_NOT_READY);
  const CUstream two = stream();
  REQUIRE_CU(CU(cuStreamWaitEvent)(two, done, 0));
  wait_for(one, second);
  REQUIRE_CU(CU(cuEventRecord)(done, one));
  first.open();
  REQUIRE_CU(CU(cuStreamSynchronize)(two));  // waited for the first recording only
  CHECK(CU(cuEventQuery)(done) == CUDA_ERROR_NOT_READY);
  second.open();
  REQUIRE_CU(CU(cuEventSynchronize)(done));
}

TEST_CASE_METHOD(OwnContext, "elapsed time needs two timed, recorded and passed events") {
  const CUstream one = stream();
  const CUevent start = event();
  const CUevent end = event();
  const CUevent untimed = event(CU_EVENT_DISABLE_TIMING);
  float milliseconds = -1;
  CHECK(CU(cuEventElapsedTime)(&milliseconds, start, end) == CUDA_ERROR_INVALID_HANDLE);
  REQUIRE_CU(CU(cuEventRecord)(start, one));
  REQUIRE_CU(CU(cuEventRecord)(untimed, one));
  const FlagInHostMemory gate;
  wait_for(one, gate);
  REQUIRE_CU(CU(cuEventRecord)(end, one));
  CHECK(CU(cuEventElapsedTime)(&milliseconds, start, end) == CUDA_ERROR_NOT_READY);
  gate.open();
  REQUIRE_CU(CU(cuEventSynchronize)(end));
  REQUIRE_CU(CU(cuEventElapsedTime)(&milliseconds, start, end));
  CHECK(milliseconds >= 0);
  CHECK(CU(cuEventElapsedTime)(&milliseconds, start, untimed) == CUDA_ERROR_INVALID_HANDLE);
}

TEST_CASE_METHOD(OwnContext, "host functions and callbacks run in stream order") {
  const CUstream one = stream();
  static std::atomic<int> step{0};
  step = 0;
  REQUIRE_CU(CU(cuLaunchHostFunc)(one, [](void*) { step = step * 10 + 1; }, nullptr));
  REQUIRE_CU(CU(cuStreamAddCallback)(
      one, [](CUstream, CUresult status, void*) { step = step * 10 + (status == CUDA_SUCCESS ? 2 : 9); },
      nullptr, 0));
  REQUIRE_CU(CU(cuLaunchHostFunc)(one, [](void*) { step = step * 10 + 3; }, nullptr));
  REQUIRE_CU(CU(cuStreamSynchronize)(one));
  CHECK(step == 123);
}

TEST_CASE_METHOD(OwnContext, "after a fault host functions are skipped and callbacks are told") {
  const CUstream one = stream();
  static std::atomic<int> told{0};
  told = 0;
  CUdeviceptr nowhere = 64;
  REQUIRE_CU(launch("add_one", one, nowhere, 1));
  // Either is refused already if the kernel has run by now.
  const CUresult host = CU(cuLaunchHostFunc)(one, [](void*) { told = -1; }, nullptr);
  const CUresult callback =
      CU(cuStreamAddCallback)(one, [](CUstream, CUresult status, void*) { told = status; }, nullptr, 0);
  CHECK(CU(cuStreamSynchronize)(one) == CUDA_ERROR_ILLEGAL_ADDRESS);
  CHECK((host == CUDA_SUCCESS || host == CUDA_ERROR_ILLEGAL_ADDRESS));
  CHECK(told == (callback == CUDA_SUCCESS ? CUDA_ERROR_ILLEGAL_ADDRESS : CUDA_SUCCESS));
}

TEST_CASE_METHOD(OwnContext, "values are written and waited for by each condition") {
  const CUstream one = stream();
  const CUdeviceptr x = words(4, 0);
  REQUIRE_CU(CU(cuStreamWriteValue32_v2)(one, x, 6, 0));
  REQUIRE_CU(CU(cuStreamWaitValue32_v2)(one, x, 5, CU_STREAM_WAIT_VALUE_GEQ));
  REQUIRE_CU(CU(cuStreamWaitValue32_v2)(one, x, 6, CU_STREAM_WAIT_VALUE_EQ));
  REQUIRE_CU(CU(cuStreamWaitValue32_v2)(one, x, 2, CU_STREAM_WAIT_VALUE_AND));
  REQUIRE_CU(CU(cuStreamWaitValue32_v2)(one, x, 8, CU_STREAM_WAIT_VALUE_NOR));
  REQUIRE_CU(CU(cuStreamWriteValue64_v2)(one, x + 8, 0x100000002, 0));
  REQUIRE_CU(CU(cuStreamSynchronize)(one));
  CHECK(read(x, 4) == std::vector<unsigned int>{6, 0, 2, 1});
  // Ordered round the end of the numbers: 1 comes after 0xffffffff.
  REQUIRE_CU(CU(cuStreamWriteValue32_v2)(one, x, 1, 0));
  REQUIRE_CU(CU(cuStreamWaitValue32_v2)(one, x, 0xffffffff, CU_STREAM_WAIT_VALUE_GEQ));
  REQUIRE_CU(CU(cuStreamSynchronize)(one));
  CHECK(CU(cuStreamWriteValue32_v2)(one, x + 2, 1, 0) == CUDA_ERROR_INVALID_VALUE);
}

TEST_CASE_METHOD(OwnContext, "copies of rows and slices leave what lies between alone") {
  const CUdeviceptr x = words(64, 0);
  std::vector<unsigned int> host(32);
  for (unsigned int i = 0; i < 32; ++i) {
    host[i] = i + 1;
  }
  // Rows of 3 words out of 8, 2 rows, 2 slices of 4 rows.
  CUDA_MEMCPY3D shape{};
  shape.srcMemoryType = CU_MEMORYTYPE_HOST;
  shape.srcHost = host.data();
  shape.srcPitch = 16;
  shape.srcHeight = 4;
  shape.srcXInBytes = 4;
  shape.dstMemoryType = CU_MEMORYTYPE_DEVICE;
  shape.dstDevice = x;
  shape.dstPitch = 32;
  shape.dstHeight = 4;
  shape.dstY = 1;
  shape.WidthInBytes = 12;
  shape.Height = 2;
  shape.Depth = 2;
  REQUIRE_CU(CU(cuMemcpy3D_v2)(&shape));
  std::vector<unsigned int> expected(64, 0);
  for (unsigned int z = 0; z < 2; ++z) {
    for (unsigned int y = 0; y < 2; ++y) {
      for (unsigned int i = 0; i < 3; ++i) {
        expected[z * 32 + (y + 1) * 8 + i] = host[z * 16 + y * 4 + 1 + i];
      }
    }
  }
  CHECK(read(x, 64) == expected);
  shape.dstPitch = 8;
  CHECK(CU(cuMemcpy3D_v2)(&shape) == CUDA_ERROR_INVALID_VALUE);
  shape.dstPitch = 64;
  CHECK(CU(cuMemcpy3D_v2)(&shape) == CUDA_ERROR_INVALID_VALUE);  // beyond the allocation
  REQUIRE_CU(CU(cuMemsetD2D16_v2)(x, 16, 0xffff, 2, 3));
  for (unsigned int row = 0; row < 3; ++row) {
    expected[row * 4] = 0xffffffff;
  }
  CHECK(read(x, 64) == expected);
}

TEST_CASE_METHOD(OwnContext, "host memory can be registered for kernels, once") {
  alignas(64) static unsigned int mine[64];
  std::memset(mine, 0, sizeof mine);
  const auto address = reinterpret_cast<CUdeviceptr>(&mine[0]);
  REQUIRE_CU(CU(cuMemHostRegister_v2)(mine, sizeof mine, 0));
  CHECK(CU(cuMemHostRegister_v2)(&mine[8], 32, 0) == CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
  REQUIRE_CU(launch("add_one", nullptr, address, 64));
  REQUIRE_CU(CU(cuCtxSynchronize)());
  CHECK(mine[63] == 1);
  CHECK(CU(cuMemHostUnregister)(&mine[8]) == CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
  REQUIRE_CU(CU(cuMemHostUnregister)(mine));
  CHECK(CU(cuMemHostUnregister)(mine) == CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
}

TEST_CASE_METHOD(OwnContext, "managed memory is the host's and the device's at once") {
  CUdeviceptr made = 0;
  REQUIRE_CU(CU(cuMemAllocManaged)(&made, 16, 1));
  auto* values = reinterpret_cast<unsigned int*>(made);
  for (unsigned int i = 0; i < 4; ++i) {
    values[i] = i;
  }
  REQUIRE_CU(launch("add_one", nullptr, made, 4));
  REQUIRE_CU(CU(cuCtxSynchronize)());
  CHECK(values[3] == 4);
  bool managed = false;
  REQUIRE_CU(CU(cuPointerGetAttribute)(&managed, CU_POINTER_ATTRIBUTE_IS_MANAGED, made));
  CHECK(managed);
  REQUIRE_CU(CU(cuMemFree_v2)(made));
}
