#include "tests/simulator/driver/talking_kernels.hpp"

using namespace kerncast::tests;

// Run with two devices: see CMakeLists.txt.
TEST_CASE("kernels of two devices run at the same time and see each other's stores") {
  const Talker first(0);
  const CUdeviceptr here = OwnContext::words(1, 0);
  const Talker second(1);
  const CUdeviceptr far = OwnContext::words(1, 0);
  REQUIRE_CU(CU(cuCtxEnablePeerAccess)(first.own.context, 0));
  second.launch("ping_pong", 1, far, here, talking_rounds, 0U);
  REQUIRE_CU(CU(cuCtxPushCurrent_v2)(first.own.context));
  REQUIRE_CU(CU(cuCtxEnablePeerAccess)(second.own.context, 0));
  first.launch("ping_pong", 1, here, far, talking_rounds, 1U);
  REQUIRE_CU(CU(cuStreamSynchronize)(first.stream));
  REQUIRE_CU(CU(cuCtxPopCurrent_v2)(nullptr));
  REQUIRE_CU(CU(cuStreamSynchronize)(second.stream));
  CHECK(OwnContext::read(far, 1).front() == talking_rounds);

  const CUdeviceptr words = OwnContext::words(32, 0);
  const CUdeviceptr flag = OwnContext::words(1, 0);
  const CUdeviceptr seen = OwnContext::words(32, 0);
  second.launch("observe", 32, words, flag, seen);
  REQUIRE_CU(CU(cuCtxPushCurrent_v2)(first.own.context));
  first.launch("publish", 32, words, flag);
  REQUIRE_CU(CU(cuStreamSynchronize)(first.stream));
  REQUIRE_CU(CU(cuCtxPopCurrent_v2)(nullptr));
  REQUIRE_CU(CU(cuStreamSynchronize)(second.stream));
  CHECK(OwnContext::read(seen, 32) == std::vector<unsigned int>(32, 7));
}

TEST_CASE("kernels of two streams run at the same time and see each other's stores") {
  const Talker one(0);
  const CUdeviceptr a = OwnContext::words(1, 0);
  const CUdeviceptr b = OwnContext::words(1, 0);
  const CUstream other = OwnContext::stream();
  one.launch("ping_pong", 1, a, b, talking_rounds, 0U);
  CUfunction function = nullptr;
  REQUIRE_CU(CU(cuModuleGetFunction)(&function, one.module, "ping_pong"));
  unsigned int count = talking_rounds;
  unsigned int first = 1;
  CUdeviceptr mine = b;
  CUdeviceptr theirs = a;
  void* parameters[] = {&mine, &theirs, &count, &first};
  REQUIRE_CU(CU(cuLaunchKernel)(function, 1, 1, 1, 1, 1, 1, 0, other, parameters, nullptr));
  REQUIRE_CU(CU(cuStreamSynchronize)(other));
  REQUIRE_CU(CU(cuStreamSynchronize)(one.stream));
  CHECK(OwnContext::read(a, 1).front() == talking_rounds);
}
