#include <catch2/catch.hpp>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "kerncast/error.hpp"
#include "tests/simulator/driver/fixture.hpp"

using namespace kerncast;
using namespace kerncast::tests;

using Words = std::vector<unsigned int>;

TEST_CASE_METHOD(PrimaryFixture, "copies and fills of every kind move the right bytes") {
  const DeviceBuffer a(api, 64);
  const DeviceBuffer b(api, 64);
  REQUIRE(api.cuMemsetD8(a.address(), 0x11, 64) == CUDA_SUCCESS);
  REQUIRE(api.cuMemsetD16(a.address() + 4, 0x2233, 2) == CUDA_SUCCESS);
  REQUIRE(api.cuMemsetD32(a.address() + 8, 0x44556677, 1) == CUDA_SUCCESS);
  REQUIRE(api.cuMemcpyDtoD(b.address(), a.address(), 64) == CUDA_SUCCESS);
  Words seen(16);
  REQUIRE(api.cuMemcpyDtoH(seen.data(), b.address(), 64) == CUDA_SUCCESS);
  Words expected(16, 0x11111111);
  expected[1] = 0x22332233;
  expected[2] = 0x44556677;
  CHECK(seen == expected);

  // Unified copies take either kind on either side.
  const Words source(16, 77);
  REQUIRE(api.cuMemcpy(a.address(), reinterpret_cast<CUdeviceptr>(source.data()), 64) == CUDA_SUCCESS);
  REQUIRE(api.cuMemcpyAsync(b.address(), a.address(), 64, nullptr) == CUDA_SUCCESS);
  REQUIRE(api.cuMemcpyAsync(reinterpret_cast<CUdeviceptr>(seen.data()), b.address(), 64, nullptr) ==
          CUDA_SUCCESS);
  CHECK(seen == source);
  CHECK(api.cuMemcpyHtoD(a.address(), source.data(), 0) == CUDA_SUCCESS);
}

TEST_CASE_METHOD(PrimaryFixture, "ranges outside of allocations are refused with their place") {
  const DeviceBuffer buffer(api, 100);
  std::vector<char> host(4096);
  CHECK(api.cuMemcpyDtoH(host.data(), buffer.address(), 101) == CUDA_ERROR_INVALID_VALUE);
  CHECK(std::string(api.last_fault()).find("1 bytes past") != std::string::npos);
  CHECK(api.cuMemcpyDtoH(host.data(), buffer.address() + 100, 1) == CUDA_ERROR_INVALID_VALUE);
  CHECK(api.cuMemcpyDtoH(host.data(), reinterpret_cast<CUdeviceptr>(host.data()), 1) ==
        CUDA_ERROR_INVALID_VALUE);
  CHECK(api.cuMemcpyHtoD(buffer.address() + 50, host.data(), 51) == CUDA_ERROR_INVALID_VALUE);
  CHECK(api.cuMemcpyDtoD(buffer.address(), buffer.address() + 60, 41) == CUDA_ERROR_INVALID_VALUE);
  CHECK(api.cuMemsetD8(buffer.address(), 0, 101) == CUDA_ERROR_INVALID_VALUE);
  CHECK(api.cuMemsetD32(buffer.address(), 0, 26) == CUDA_ERROR_INVALID_VALUE);
  CHECK(api.cuMemsetD32(buffer.address() + 2, 0, 1) == CUDA_ERROR_INVALID_VALUE);
  CHECK(api.cuMemsetD16(buffer.address() + 1, 0, 1) == CUDA_ERROR_INVALID_VALUE);
  CHECK(api.cuMemsetD32(buffer.address(), 0, SIZE_MAX / 2) == CUDA_ERROR_INVALID_VALUE);
  CHECK(api.cuMemcpyHtoD(buffer.address(), nullptr, 4) == CUDA_ERROR_INVALID_VALUE);
  CHECK(api.cuMemsetD32(buffer.address(), 0, 25) == CUDA_SUCCESS);
  context.synchronize();
}

TEST_CASE_METHOD(PrimaryFixture, "allocations are counted, and freed once") {
  std::size_t before = 0;
  std::size_t total = 0;
  REQUIRE(api.cuMemGetInfo(&before, &total) == CUDA_SUCCESS);
  CHECK(before <= total);
  CUdeviceptr pointer = 0;
  REQUIRE(api.cuMemAlloc(&pointer, 1 << 20) == CUDA_SUCCESS);
  CHECK(pointer % 256 == 0);
  std::size_t during = 0;
  REQUIRE(api.cuMemGetInfo(&during, nullptr) == CUDA_SUCCESS);
  CHECK(before - during == 1 << 20);
  CHECK(api.cuMemFree(pointer + 256) == CUDA_ERROR_INVALID_VALUE);
  CHECK(api.cuMemFreeHost(reinterpret_cast<void*>(pointer)) == CUDA_ERROR_INVALID_VALUE);
  CHECK(api.cuMemFree(pointer) == CUDA_SUCCESS);
  CHECK(api.cuMemFree(pointer) == CUDA_ERROR_INVALID_VALUE);
  CHECK(api.cuMemFree(0) == CUDA_SUCCESS);
  REQUIRE(api.cuMemGetInfo(&during, nullptr) == CUDA_SUCCESS);
  CHECK(during == before);
  CHECK(api.cuMemAlloc(&pointer, 0) == CUDA_ERROR_INVALID_VALUE);
  CHECK(api.cuMemAlloc(nullptr, 16) == CUDA_ERROR_INVALID_VALUE);
  CHECK(api.cuMemAlloc(&pointer, total + 1) == CUDA_ERROR_OUT_OF_MEMORY);
  CHECK(api.cuMemAlloc(&pointer, SIZE_MAX) == CUDA_ERROR_OUT_OF_MEMORY);
  try {
    const DeviceBuffer too_large(api, total + 1);
    FAIL("allocated");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::out_of_memory);
  }
}

TEST_CASE_METHOD(PrimaryFixture, "freeing waits for the device") {
  const StreamHandle stream(api);
  CUdeviceptr pointer = 0;
  REQUIRE(api.cuMemAlloc(&pointer, 64) == CUDA_SUCCESS);
  Gate gate;
  REQUIRE(gate.close(api, stream.get()) == CUDA_SUCCESS);
  REQUIRE(api.cuMemsetD8Async(pointer, 1, 64, stream.get()) == CUDA_SUCCESS);
  std::thread opener([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    gate.open();
  });
  CHECK(api.cuMemFree(pointer) == CUDA_SUCCESS);
  CHECK(api.cuStreamQuery(stream.get()) == CUDA_SUCCESS);
  opener.join();
}

TEST_CASE_METHOD(PrimaryFixture, "a buffer is filled when the call that fills it returns") {
  // The legacy stream, on which the fill happens, waits for this one.
  const StreamHandle blocking(api, CU_STREAM_DEFAULT);
  const StreamHandle apart(api, CU_STREAM_NON_BLOCKING);
  const DeviceBuffer buffer(api, 64);
  Gate gate;
  REQUIRE(gate.close(api, blocking.get()) == CUDA_SUCCESS);
  std::thread opener([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    gate.open();
  });
  buffer.fill(0);
  CHECK(api.cuStreamQuery(blocking.get()) == CUDA_SUCCESS);
  REQUIRE(add(buffer.address(), 16, 3, apart.get()) == CUDA_SUCCESS);
  apart.synchronize();
  CHECK(read_words(buffer) == Words(16, 3));
  opener.join();
}

TEST_CASE_METHOD(PrimaryFixture, "stream-ordered allocations live until the stream frees them") {
  const StreamHandle stream(api);
  REQUIRE(function("add") != nullptr);  // a module takes memory too
  std::size_t before = 0;
  std::size_t during = 0;
  REQUIRE(api.cuMemGetInfo(&before, nullptr) == CUDA_SUCCESS);
  CUdeviceptr pointer = 0;
  REQUIRE(api.cuMemAllocAsync(&pointer, 4096, stream.get()) == CUDA_SUCCESS);
  Gate gate;
  REQUIRE(gate.close(api, stream.get()) == CUDA_SUCCESS);
  REQUIRE(api.cuMemsetD32Async(pointer, 6, 1024, stream.get()) == CUDA_SUCCESS);
  REQUIRE(add(pointer, 1024, 1, stream.get()) == CUDA_SUCCESS);
  Words seen(1024);
  void* pinned = nullptr;
  REQUIRE(api.cuMemHostAlloc(&pinned, 4096, 0) == CUDA_SUCCESS);
  REQUIRE(api.cuMemcpyDtoHAsync(pinned, pointer, 4096, stream.get()) == CUDA_SUCCESS);
  REQUIRE(api.cuMemFreeAsync(pointer, stream.get()) == CUDA_SUCCESS);
  CHECK(api.cuMemFreeAsync(pointer, stream.get()) == CUDA_ERROR_INVALID_VALUE);
  REQUIRE(api.cuMemGetInfo(&during, nullptr) == CUDA_SUCCESS);
  CHECK(before - during == 4096);
  gate.open();
  stream.synchronize();
  std::memcpy(seen.data(), pinned, 4096);
  CHECK(seen == Words(1024, 7));
  REQUIRE(api.cuMemGetInfo(&during, nullptr) == CUDA_SUCCESS);
  CHECK(during == before);
  CHECK(api.cuMemFreeHost(pinned) == CUDA_SUCCESS);
}

TEST_CASE_METHOD(PrimaryFixture, "kernels reach pinned host memory") {
  void* pinned = nullptr;
  REQUIRE(api.cuMemHostAlloc(&pinned, 64, 0) == CUDA_SUCCESS);
  std::memset(pinned, 0, 64);
  REQUIRE(add(reinterpret_cast<CUdeviceptr>(pinned), 16, 5, nullptr) == CUDA_SUCCESS);
  context.synchronize();
  CHECK(static_cast<unsigned int*>(pinned)[15] == 5);
  CHECK(api.cuMemFree(reinterpret_cast<CUdeviceptr>(pinned)) == CUDA_ERROR_INVALID_VALUE);
  CHECK(api.cuMemFreeHost(pinned) == CUDA_SUCCESS);
  CHECK(api.cuMemHostAlloc(&pinned, 64, 0x80) == CUDA_ERROR_INVALID_VALUE);
}

TEST_CASE_METHOD(PrimaryFixture, "pointers tell what they are") {
  const DeviceBuffer buffer(api, 4096);
  const CUdeviceptr inside = buffer.address() + 100;
  unsigned int kind = 0;
  CUcontext owner = nullptr;
  int ordinal = -1;
  CUdeviceptr start = 0;
  std::size_t size = 0;
  const auto get = [&](void* value, CUpointer_attribute attribute, CUdeviceptr pointer) {
    return api.cuPointerGetAttribute(value, attribute, pointer);
  };
  CHECK(get(&kind, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, inside) == CUDA_SUCCESS);
  CHECK(kind == CU_MEMORYTYPE_DEVICE);
  CHECK(get(&owner, CU_POINTER_ATTRIBUTE_CONTEXT, inside) == CUDA_SUCCESS);
  CHECK(owner == context.handle());
  CHECK(get(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, inside) == CUDA_SUCCESS);
  CHECK(ordinal == 0);
  CHECK(get(&start, CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, inside) == CUDA_SUCCESS);
  CHECK(start == buffer.address());
  CHECK(get(&size, CU_POINTER_ATTRIBUTE_RANGE_SIZE, inside) == CUDA_SUCCESS);
  CHECK(size == 4096);
  void* host = nullptr;
  CHECK(get(&host, CU_POINTER_ATTRIBUTE_HOST_POINTER, inside) == CUDA_ERROR_INVALID_VALUE);

  int on_the_stack = 0;
  const auto foreign = reinterpret_cast<CUdeviceptr>(&on_the_stack);
  CHECK(get(&kind, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, foreign) == CUDA_ERROR_INVALID_VALUE);
  CHECK(get(nullptr, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, inside) == CUDA_ERROR_INVALID_VALUE);
  CHECK(get(&kind, static_cast<CUpointer_attribute>(1000), inside) == CUDA_ERROR_INVALID_VALUE);

  CUpointer_attribute wanted[] = {CU_POINTER_ATTRIBUTE_MEMORY_TYPE, CU_POINTER_ATTRIBUTE_RANGE_SIZE};
  void* values[] = {&kind, &size};
  CHECK(api.cuPointerGetAttributes(2, wanted, values, inside) == CUDA_SUCCESS);
  CHECK((kind == CU_MEMORYTYPE_DEVICE && size == 4096));
  CHECK(api.cuPointerGetAttributes(2, wanted, values, foreign) == CUDA_SUCCESS);
  CHECK((kind == 0 && size == 0));
}

TEST_CASE("a context's memory goes with it") {
  CUdeviceptr pointer = 0;
  {
    const PrimaryFixture sim;
    REQUIRE(sim.api.cuMemAlloc(&pointer, 64) == CUDA_SUCCESS);
  }
  const PrimaryFixture sim;
  unsigned int kind = 0;
  CHECK(sim.api.cuPointerGetAttribute(&kind, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, pointer) ==
        CUDA_ERROR_INVALID_VALUE);
  CHECK(sim.api.cuMemFree(pointer) == CUDA_ERROR_INVALID_VALUE);
}
