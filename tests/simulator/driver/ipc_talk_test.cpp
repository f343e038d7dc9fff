#include <sys/wait.h>
#include <unistd.h>

#include "tests/simulator/driver/pipe.hpp"
#include "tests/simulator/driver/talking_kernels.hpp"

using namespace kerncast::tests;

namespace {

/// One of two processes whose kernels talk: it gives the other its word, and takes that of the other.
void talk(const Pipe& in, const Pipe& out, CUdevice device) {
  const Talker self(device);
  const CUdeviceptr mine = OwnContext::words(1, 0);
  CUipcMemHandle handle{};
  REQUIRE_CU(CU(cuIpcGetMemHandle)(&handle, mine));
  out.send(handle);
  CUdeviceptr theirs = 0;
  REQUIRE_CU(CU(cuIpcOpenMemHandle_v2)(&theirs, in.receive<CUipcMemHandle>(), 1));
  self.launch("ping_pong", 1, mine, theirs, talking_rounds, device == 0 ? 1U : 0U);
  REQUIRE_CU(CU(cuStreamSynchronize)(self.stream));
  CHECK(OwnContext::read(mine, 1).front() == talking_rounds);
  // The other kernel has stored its last word, so the memory is no longer in use.
  REQUIRE_CU(CU(cuIpcCloseMemHandle)(theirs));
}

}  // namespace

// Alone in its program: a process that has called cuInit cannot fork and go on in the child.
TEST_CASE("kernels of two processes run at the same time and see each other's stores") {
  const Pipe there;
  const Pipe back;
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    talk(there, back, 1);
    return;  // and to the end of main, with the result of the checks
  }
  talk(back, there, 0);
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
}
