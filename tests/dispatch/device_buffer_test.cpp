#include <catch2/catch.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "kerncast/device_buffer.hpp"
#include "kerncast/owned_stream.hpp"
#include "tests/dispatch/rows_of_ones.hpp"

using namespace kerncast;

namespace {

/// Bytes of device memory that are free.
std::size_t free_bytes(const Runtime& runtime) {
  const auto ask = reinterpret_cast<driver::CUresult (*)(std::size_t*, std::size_t*)>(
      runtime.driver_symbol("cuMemGetInfo"));
  std::size_t free = 0;
  std::size_t total = 0;
  REQUIRE(ask(&free, &total) == driver::CUDA_SUCCESS);
  return free;
}

ErrorCode code_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.code();
  }
  FAIL("no error");
  return ErrorCode::internal;
}

}  // namespace

TEST_CASE("a buffer holds what is copied to it, at any offset") {
  RowsOfOnes f;
  DeviceBuffer buffer(f.runtime, 16);
  CHECK(buffer.size() == 16);
  CHECK(buffer.device() == 0);
  const std::array<std::int32_t, 4> values{1, 2, 3, 4};
  buffer.upload(values.data(), 16);
  const std::int32_t nine = 9;
  buffer.upload(&nine, 4, nullptr, 8);
  std::array<std::int32_t, 3> read{};
  buffer.download(read.data(), 12, nullptr, 4);
  CHECK(read == std::array<std::int32_t, 3>{2, 9, 4});
}

TEST_CASE("a copy on a stream comes after the kernels of that stream") {
  RowsOfOnes f;
  const OwnedStream stream(f.runtime);
  DeviceBuffer x(f.runtime, RowsOfOnes::bytes);
  const DeviceBuffer y(f.runtime, RowsOfOnes::bytes);
  const std::vector<float> twos(RowsOfOnes::rows * RowsOfOnes::hidden, 2.0F);
  x.upload(twos.data(), RowsOfOnes::bytes, stream.get());
  f.arguments.x = x.tensor(DType::f32, {RowsOfOnes::rows, RowsOfOnes::hidden});
  f.arguments.y = y.tensor(DType::f32, {RowsOfOnes::rows, RowsOfOnes::hidden});
  launch(f.runtime, f.arguments, stream.get());
  std::vector<float> result(twos.size());
  y.download(result.data(), RowsOfOnes::bytes, stream.get());
  CHECK(result == std::vector<float>(twos.size(), 1.0F));
  stream.synchronize();
}

TEST_CASE("memory is freed with its owner, whoever that is, from any thread") {
  RowsOfOnes f;
  const std::size_t before = free_bytes(f.runtime);
  constexpr std::size_t bytes = 64 << 20;
  std::optional<DeviceBuffer> first(std::in_place, f.runtime, bytes);
  CHECK(free_bytes(f.runtime) < before);
  DeviceBuffer second(std::move(*first));
  CHECK(first->data() == nullptr);
  CHECK(first->size() == 0);
  first.reset();
  CHECK(free_bytes(f.runtime) < before);
  DeviceBuffer third;
  third = std::move(second);
  CHECK(third.size() == bytes);
  // No context is current on the new thread.
  std::thread([&] {
    const std::int32_t seven = 7;
    third.upload(&seven, 4);
    third = DeviceBuffer();
  }).join();
  CHECK(free_bytes(f.runtime) == before);
}

TEST_CASE("a view, a copy or an allocation that does not fit is refused") {
  RowsOfOnes f;
  DeviceBuffer buffer(f.runtime, 24);
  CHECK(buffer.tensor(DType::f32, {2, 3}).shape[1] == 3);
  CHECK(buffer.tensor(DType::f32, {0, 1000}).numel() == 0);
  CHECK(code_of([&] { (void)buffer.tensor(DType::f32, {7}); }) == ErrorCode::invalid_argument);
  CHECK(code_of([&] { (void)buffer.tensor(DType::f32, {-1}); }) == ErrorCode::invalid_argument);
  constexpr std::int64_t large = std::int64_t{1} << 32;
  CHECK(code_of([&] { (void)buffer.tensor(DType::u8, {large, large}); }) == ErrorCode::invalid_argument);
  std::array<std::byte, 24> bytes{};
  CHECK(code_of([&] { buffer.upload(bytes.data(), 24, nullptr, 1); }) == ErrorCode::invalid_argument);
  CHECK(code_of([&] { buffer.download(bytes.data(), 1, nullptr, 25); }) == ErrorCode::invalid_argument);
  CHECK(code_of([&] { const DeviceBuffer none(f.runtime, std::size_t{1} << 60); }) ==
        ErrorCode::out_of_memory);
}

TEST_CASE("memory and streams need a context when they are made") {
  RowsOfOnes f;
  std::thread([&] {
    CHECK(code_of([&] { const DeviceBuffer none(f.runtime, 4); }) == ErrorCode::driver_error);
    CHECK(code_of([&] { const OwnedStream none(f.runtime); }) == ErrorCode::driver_error);
    f.runtime.make_current(0);
    CHECK(DeviceBuffer(f.runtime, 0).data() == nullptr);
  }).join();
}

TEST_CASE("a stream moves with its owner") {
  RowsOfOnes f;
  OwnedStream first(f.runtime);
  Stream const handle = first.get();
  OwnedStream second(std::move(first));
  // NOLINTNEXTLINE(bugprone-use-after-move): the header says what is left.
  CHECK(first.get() == nullptr);
  CHECK(second.get() == handle);
  OwnedStream third(f.runtime);
  third = std::move(second);
  CHECK(third.get() == handle);
  std::thread([&] { third.synchronize(); }).join();
}
