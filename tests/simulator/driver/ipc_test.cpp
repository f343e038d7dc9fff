#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "tests/simulator/driver/fixture.hpp"
#include "tests/simulator/driver/pipe.hpp"

using namespace kerncast::tests;

namespace {

struct Handles {
  CUipcMemHandle small;
  CUipcMemHandle large;
  CUipcEventHandle filled;
};

constexpr std::size_t large_words = std::size_t{1} << 19;

/// The other process: adds one to memory of the first, once the first has filled it.
void other_process(const Pipe& from, const Pipe& to) {
  const auto handles = from.receive<Handles>();
  const OwnContext own;
  const CUstream one = OwnContext::stream();
  CUdeviceptr small = 0;
  CUdeviceptr again = 0;
  CUdeviceptr large = 0;
  CUevent filled = nullptr;
  REQUIRE_CU(CU(cuIpcOpenMemHandle_v2)(&small, handles.small, 1));
  REQUIRE_CU(CU(cuIpcOpenMemHandle_v2)(&again, handles.small, 1));
  CHECK(again == small);
  REQUIRE_CU(CU(cuIpcOpenMemHandle_v2)(&large, handles.large, 1));
  REQUIRE_CU(CU(cuIpcOpenEventHandle)(&filled, handles.filled));
  CHECK(CU(cuEventQuery)(filled) == CUDA_ERROR_NOT_READY);
  REQUIRE_CU(CU(cuStreamWaitEvent)(one, filled, 0));
  REQUIRE_CU(own.launch("add_one", one, small, 16));
  REQUIRE_CU(own.launch("add_one", one, large + 4 * (large_words - 16), 16));
  CHECK(CU(cuStreamQuery)(one) == CUDA_ERROR_NOT_READY);
  to.send('w');
  REQUIRE_CU(CU(cuStreamSynchronize)(one));
  REQUIRE_CU(CU(cuIpcCloseMemHandle)(small));
  CHECK(OwnContext::read(small, 16) == std::vector<unsigned int>(16, 11));
  REQUIRE_CU(CU(cuIpcCloseMemHandle)(small));
  CHECK(CU(cuIpcCloseMemHandle)(small) == CUDA_ERROR_INVALID_VALUE);
  CHECK(CU(cuMemFree_v2)(large) == CUDA_ERROR_INVALID_VALUE);
  REQUIRE_CU(CU(cuIpcCloseMemHandle)(large));
}

}  // namespace

// Alone in its program: a process that has called cuInit cannot fork and go on in the child.
TEST_CASE("two processes share memory and events") {
  const Pipe there;
  const Pipe back;
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    other_process(there, back);
    return;  // and to the end of main, with the result of the checks
  }
  const OwnContext own;
  const CUstream one = OwnContext::stream();
  const CUdeviceptr small = OwnContext::words(16, 3);
  const CUdeviceptr large = OwnContext::words(large_words, 4);
  const CUevent filled = OwnContext::event(CU_EVENT_DISABLE_TIMING | CU_EVENT_INTERPROCESS);
  CUevent refused = nullptr;
  CHECK(CU(cuEventCreate)(&refused, CU_EVENT_INTERPROCESS) == CUDA_ERROR_INVALID_VALUE);
  Handles handles{};
  CHECK(CU(cuIpcGetEventHandle)(&handles.filled, OwnContext::event()) == CUDA_ERROR_INVALID_HANDLE);
  CUdeviceptr own_memory = 0;
  CHECK(CU(cuIpcOpenMemHandle_v2)(&own_memory, handles.small, 1) == CUDA_ERROR_INVALID_VALUE);
  REQUIRE_CU(CU(cuIpcGetMemHandle)(&handles.small, small));
  REQUIRE_CU(CU(cuIpcGetMemHandle)(&handles.large, large));
  REQUIRE_CU(CU(cuIpcGetEventHandle)(&handles.filled, filled));
  CHECK(CU(cuIpcOpenMemHandle_v2)(&own_memory, handles.small, 1) == CUDA_ERROR_INVALID_CONTEXT);
  CHECK(OwnContext::read(small, 16) == std::vector<unsigned int>(16, 3));

  // The other process waits for the event until the host lets this stream go on.
  void* pinned = nullptr;
  REQUIRE_CU(CU(cuMemHostAlloc)(&pinned, 4, 0));
  auto* gate = static_cast<unsigned int*>(pinned);
  *gate = 0;
  REQUIRE_CU(
      CU(cuStreamWaitValue32_v2)(one, reinterpret_cast<CUdeviceptr>(gate), 1, CU_STREAM_WAIT_VALUE_EQ));
  REQUIRE_CU(CU(cuMemsetD32Async)(small, 10, 16, one));
  REQUIRE_CU(CU(cuEventRecord)(filled, one));
  there.send(handles);
  CHECK(back.receive<char>() == 'w');
  CHECK(CU(cuEventQuery)(filled) == CUDA_ERROR_NOT_READY);
  std::atomic_ref(*gate).store(1);
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
  REQUIRE_CU(CU(cuEventSynchronize)(filled));
  CHECK(OwnContext::read(small, 16) == std::vector<unsigned int>(16, 11));
  std::vector<unsigned int> expected(large_words, 4);
  std::fill(expected.end() - 16, expected.end(), 5);
  CHECK((OwnContext::read(large, large_words) == expected));
  REQUIRE_CU(CU(cuMemFree_v2)(small));
  REQUIRE_CU(CU(cuMemFree_v2)(large));
}
