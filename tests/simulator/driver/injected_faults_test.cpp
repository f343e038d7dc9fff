// Faults on request; ctest sets KERNCAST_SIM_FAULTS.
#include <catch2/catch.hpp>

#include "tests/simulator/driver/fixture.hpp"

using namespace kerncast::tests;

namespace {

/// Launches `bounded` once in a context of its own.
CUresult launch_once(const OwnContext& own) {
  const CUresult launched =
      CU(cuLaunchKernel)(own.function("bounded"), 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr);
  REQUIRE(launched == CUDA_SUCCESS);
  return CU(cuCtxSynchronize)();
}

}  // namespace

TEST_CASE("launches fault, hang and lose the device when asked to, and a fresh context goes on until then") {
  {
    const OwnContext first;
    CHECK(launch_once(first) == CUDA_SUCCESS);
    CHECK(launch_once(first) == CUDA_ERROR_ILLEGAL_ADDRESS);
    CHECK(CU(cuCtxSynchronize)() == CUDA_ERROR_ILLEGAL_ADDRESS);
  }
  {
    const OwnContext second;
    CHECK(launch_once(second) == CUDA_SUCCESS);
    CHECK(launch_once(second) == CUDA_ERROR_LAUNCH_TIMEOUT);
  }
  {
    const OwnContext third;
    CHECK(launch_once(third) == CUDA_SUCCESS);
    CHECK(launch_once(third) == CUDA_ERROR_DEVICE_UNAVAILABLE);
  }
  CUcontext context = nullptr;
  CHECK(CU(cuCtxCreate_v2)(&context, 0, 0) == CUDA_ERROR_DEVICE_UNAVAILABLE);
  CHECK(CU(cuDevicePrimaryCtxRetain)(&context, 0) == CUDA_ERROR_DEVICE_UNAVAILABLE);
}
