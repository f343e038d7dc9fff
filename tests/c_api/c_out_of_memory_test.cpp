#include <catch2/catch.hpp>
#include <cstdlib>
#include <new>

#include "tests/c_api/c_host.hpp"

using namespace kerncast::test;
using kerncast::TensorView;

namespace {

/// Allocations of this thread that still succeed; negative: all do.
thread_local int allocations_left = -1;

}  // namespace

// The library calls these too, so a test can let its allocations fail.
void* operator new(std::size_t bytes) {
  if (allocations_left == 0) {
    throw std::bad_alloc();
  }
  if (allocations_left > 0) {
    --allocations_left;
  }
  void* memory = std::malloc(bytes == 0 ? 1 : bytes);
  if (memory == nullptr) {
    throw std::bad_alloc();
  }
  return memory;
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t /*bytes*/) noexcept {
  std::free(memory);
}

TEST_CASE("host memory that runs out at any allocation is a status and never ends the process") {
  CHost host;
  const TensorView in = matrix(host.memory(matrix_bytes, 1));
  const TensorView out = matrix(host.memory(matrix_bytes, 2));
  const Tensor x(in);
  const Tensor y(out);
  Arguments warm("norm.rms_norm");
  warm.tensor("x", in).tensor("y", out);
  require_ok([&](auto** e) { return kerncast_run(host.c, warm.handle, nullptr, e); });
  const kerncast_op* op = nullptr;
  require_ok([&](auto** e) { return kerncast_op_find("norm.rms_norm", &op, e); });
  int failures = 0;
  kerncast_status status = KERNCAST_OUT_OF_MEMORY;
  for (int allowed = 0; status != KERNCAST_OK && allowed < 1000; ++allowed) {
    kerncast_arguments* arguments = nullptr;
    kerncast_prepared* prepared = nullptr;
    kerncast_error* error = nullptr;
    allocations_left = allowed;
    status = kerncast_arguments_create(op, &arguments, &error);
    if (status == KERNCAST_OK) {
      status = kerncast_arguments_set_tensor(arguments, "x", &x.tensor, &error);
    }
    if (status == KERNCAST_OK) {
      status = kerncast_arguments_set_tensor(arguments, "y", &y.tensor, &error);
    }
    if (status == KERNCAST_OK) {
      status = kerncast_run(host.c, arguments, nullptr, &error);
    }
    if (status == KERNCAST_OK) {
      status = kerncast_prepare(host.c, arguments, nullptr, &prepared, &error);
    }
    allocations_left = -1;
    if (status != KERNCAST_OK) {
      ++failures;
      CHECK(status == KERNCAST_OUT_OF_MEMORY);
      CHECK_THAT(kerncast_error_message(error), Catch::Contains("host memory ran out"));
    }
    kerncast_error_free(error);
    kerncast_prepared_free(prepared);
    kerncast_arguments_free(arguments);
  }
  CHECK(status == KERNCAST_OK);
  CHECK(failures > 3);
}
