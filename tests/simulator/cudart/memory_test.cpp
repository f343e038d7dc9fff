#include "tests/simulator/cudart/fixture.hpp"

namespace {

using namespace kerncast::tests;

using Words = std::vector<unsigned int>;

}  // namespace

TEST_CASE("memory is allocated and freed, and nothing is null") {
  void* pointer = &pointer;
  REQUIRE_RT(RT(cudaMalloc)(&pointer, 0));
  CHECK(pointer == nullptr);
  CHECK(RT(cudaFree)(nullptr) == cudaSuccess);
  REQUIRE_RT(RT(cudaMalloc)(&pointer, 100));
  CHECK(RT(cudaFree)(pointer) == cudaSuccess);
  CHECK(RT(cudaFree)(pointer) != cudaSuccess);
  CHECK(RT(cudaMalloc)(&pointer, std::size_t{1} << 60) == cudaErrorMemoryAllocation);
  CHECK(std::string(RT(cudaGetErrorName)(RT(cudaGetLastError)())) == "cudaErrorMemoryAllocation");
  std::size_t free = 0;
  std::size_t total = 0;
  REQUIRE_RT(RT(cudaMemGetInfo)(&free, &total));
  CHECK(free <= total);
}

TEST_CASE("copies go in each direction, and in no other") {
  const Words values = {1, 2, 3, 4};
  unsigned int* a = device_words(4, 0);
  unsigned int* b = device_words(4, 0);
  Words back(4);
  REQUIRE_RT(RT(cudaMemcpy)(a, values.data(), 16, cudaMemcpyDefault));
  REQUIRE_RT(RT(cudaMemcpy)(b, a, 16, cudaMemcpyDeviceToDevice));
  REQUIRE_RT(RT(cudaMemcpyAsync)(back.data(), b, 16, cudaMemcpyDeviceToHost, nullptr));
  REQUIRE_RT(RT(cudaDeviceSynchronize)());
  CHECK(back == values);
  Words other(4);
  REQUIRE_RT(RT(cudaMemcpy)(other.data(), back.data(), 16, cudaMemcpyHostToHost));
  CHECK(other == values);
  CHECK(RT(cudaMemcpy)(a, b, 16, static_cast<cudaMemcpyKind>(7)) == static_cast<cudaError_t>(21));
  CHECK(RT(cudaMemcpy)(values.empty() ? nullptr : back.data(), values.data(), 16, cudaMemcpyDeviceToHost) !=
        cudaSuccess);
}

TEST_CASE("planes and boxes are copied and filled") {
  void* plane = nullptr;
  std::size_t pitch = 0;
  REQUIRE_RT(RT(cudaMallocPitch)(&plane, &pitch, 12, 3));
  CHECK(pitch >= 12);
  REQUIRE_RT(RT(cudaMemset2D)(plane, pitch, 5, 12, 3));
  std::vector<unsigned char> bytes(36);
  REQUIRE_RT(RT(cudaMemcpy2D)(bytes.data(), 12, plane, pitch, 12, 3, cudaMemcpyDeviceToHost));
  CHECK(bytes == std::vector<unsigned char>(36, 5));

  cudaPitchedPtr box{};
  REQUIRE_RT(RT(cudaMalloc3D)(&box, {8, 2, 3}));
  REQUIRE_RT(RT(cudaMemset3D)(box, 9, {8, 2, 3}));
  std::vector<unsigned char> out(48);
  cudaMemcpy3DParms copy{};
  copy.srcPtr = box;
  copy.dstPtr = {out.data(), 8, 8, 2};
  copy.extent = {8, 2, 3};
  copy.kind = cudaMemcpyDeviceToHost;
  REQUIRE_RT(RT(cudaMemcpy3D)(&copy));
  CHECK(out == std::vector<unsigned char>(48, 9));
  copy.srcArray = reinterpret_cast<CUarray>(&copy);
  CHECK(RT(cudaMemcpy3D)(&copy) == cudaErrorNotSupported);
}

TEST_CASE("a pointer is told by where it lies") {
  cudaPointerAttributes attributes{};
  const unsigned int* words = device_words(1, 0);
  REQUIRE_RT(RT(cudaPointerGetAttributes)(&attributes, words));
  CHECK(attributes.type == cudaMemoryTypeDevice);
  CHECK(attributes.device == 0);
  CHECK(attributes.devicePointer == words);
  void* pinned = nullptr;
  REQUIRE_RT(RT(cudaMallocHost)(&pinned, 64));
  REQUIRE_RT(RT(cudaPointerGetAttributes)(&attributes, pinned));
  CHECK(attributes.type == cudaMemoryTypeHost);
  CHECK(attributes.hostPointer == pinned);
  CUdeviceptr managed = 0;
  REQUIRE_RT(RT(cudaMallocManaged)(&managed, 64, 1));
  REQUIRE_RT(RT(cudaPointerGetAttributes)(&attributes, reinterpret_cast<void*>(managed)));
  CHECK(attributes.type == cudaMemoryTypeManaged);
  const int local = 0;
  REQUIRE_RT(RT(cudaPointerGetAttributes)(&attributes, &local));
  CHECK(attributes.type == cudaMemoryTypeUnregistered);
  CHECK(attributes.device == -2);
  CHECK(attributes.hostPointer == &local);
  CHECK(RT(cudaFreeHost)(pinned) == cudaSuccess);
}

TEST_CASE("memory of pools comes and goes in the order of a stream") {
  CUstream stream = nullptr;
  REQUIRE_RT(RT(cudaStreamCreate)(&stream));
  CUdeviceptr made = 0;
  REQUIRE_RT(RT(cudaMallocAsync)(&made, 64, stream));
  REQUIRE_RT(RT(cudaMemsetAsync)(reinterpret_cast<void*>(made), 1, 64, stream));
  REQUIRE_RT(RT(cudaStreamSynchronize)(stream));
  CHECK(read_words(reinterpret_cast<unsigned int*>(made), 2) == Words{0x01010101, 0x01010101});
  CUmemoryPool pool = nullptr;
  REQUIRE_RT(RT(cudaDeviceGetDefaultMemPool)(&pool, 0));
  std::uint64_t used = 0;
  REQUIRE_RT(RT(cudaMemPoolGetAttribute)(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &used));
  CHECK(used >= 64);
  REQUIRE_RT(RT(cudaFreeAsync)(made, stream));
  REQUIRE_RT(RT(cudaStreamSynchronize)(stream));
  CHECK(RT(cudaMemPoolTrimTo)(pool, 0) == cudaSuccess);
}

TEST_CASE("memory has a handle for other processes") {
  CUipcMemHandle handle{};
  CHECK(RT(cudaIpcGetMemHandle)(&handle, reinterpret_cast<CUdeviceptr>(device_words(4, 0))) == cudaSuccess);
  CUevent event = nullptr;
  REQUIRE_RT(RT(cudaEventCreateWithFlags)(&event, CU_EVENT_INTERPROCESS | CU_EVENT_DISABLE_TIMING));
  CUipcEventHandle event_handle{};
  CHECK(RT(cudaIpcGetEventHandle)(&event_handle, event) == cudaSuccess);
}

TEST_CASE("copies reach memory of a peer") {
  unsigned int* here = device_words(4, 6);
  REQUIRE_RT(RT(cudaSetDevice)(1));
  unsigned int* there = device_words(4, 0);
  REQUIRE_RT(RT(cudaMemcpyPeer)(there, 1, here, 0, 16));
  REQUIRE_RT(RT(cudaDeviceSynchronize)());
  CHECK(read_words(there, 4) == Words(4, 6));
  REQUIRE_RT(RT(cudaSetDevice)(0));
}
