#include <kerncast/ops/comm/all_reduce.hpp>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>

#include <atomic>
#include <new>

#include "tests/templates/comm/ranks.hpp"

using namespace kerncast;
using namespace kerncast::test;

namespace {

constexpr int world = 4;
constexpr int killed = 1;
constexpr int calls_before = 5;

/// Memory in which processes meet.
struct Meeting {
  std::atomic<int> arrived{0};
  std::byte parts[world][2048] = {};
};

Meeting& meeting() {
  static Meeting* const shared = [] {
    void* mapped = mmap(nullptr, sizeof(Meeting), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(mapped != MAP_FAILED);
    return new (mapped) Meeting;
  }();
  return *shared;
}

void meet(int turn) {
  ++meeting().arrived;
  while (meeting().arrived < world * turn) {
    usleep(100);
  }
}

/// The work of one process. It says what went wrong, or nothing.
std::string work_of(int rank) {
  int turn = 0;
  CommunicatorOptions options;
  options.rank = rank;
  options.world = world;
  options.max_bytes = 4096;
  options.timeout = std::chrono::milliseconds(1500);
  options.all_gather = [&](const void* mine, std::size_t bytes, void* all) {
    std::memcpy(meeting().parts[rank], mine, bytes);
    meet(++turn);
    for (std::size_t i = 0; i < world; ++i) {
      std::memcpy(static_cast<std::byte*>(all) + i * bytes, meeting().parts[i], bytes);
    }
    meet(++turn);
  };
  Runtime& runtime = ranks_runtime();
  runtime.make_current(rank);
  Communicator communicator(runtime, options);
  const OwnedStream stream(runtime);
  constexpr std::size_t count = 4 * 40;
  DeviceBuffer x(runtime, 2 * count);
  comm::AllReduce call;
  call.x = x.tensor(DType::bf16, {4, 40});
  call.x.device = rank;
  call.y = call.x;
  call.communicator = &communicator;
  std::vector<std::byte> result(2 * count);
  for (int turn_of_call = 0; turn_of_call < calls_before; ++turn_of_call) {
    x.upload(message_of(DType::bf16, count, rank, turn_of_call).data(), 2 * count, stream.get());
    usleep(static_cast<useconds_t>(500 * ((rank + turn_of_call) % 3)));
    call.algorithm = turn_of_call % 2 == 0 ? comm::Algorithm::one_shot : comm::Algorithm::two_shot;
    launch(runtime, call, stream.get());
    x.download(result.data(), 2 * count, stream.get());
    communicator.check();
    if (result != expected_sum(DType::bf16, count, world, turn_of_call)) {
      return "wrong sums";
    }
  }
  if (rank == killed) {
    std::raise(SIGKILL);
  }
  launch(runtime, call, stream.get());
  stream.synchronize();
  try {
    communicator.check();
  } catch (const Error& error) {
    const bool named = std::string(error.what()).find("rank 1 did not come") != std::string::npos;
    return named ? std::string() : error.what();
  }
  return "nobody missed the rank that was killed";
}

}  // namespace

// Alone in its program: a process that has called cuInit cannot fork and go on in the child.
TEST_CASE("processes add up by CUDA IPC, and learn that one of them was killed") {
  static_cast<void>(meeting());
  std::vector<pid_t> children;
  for (int rank = 0; rank < world; ++rank) {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      std::string wrong;
      try {
        wrong = work_of(rank);
      } catch (const std::exception& error) {
        wrong = error.what();
      }
      if (!wrong.empty()) {
        wrong = "rank " + std::to_string(rank) + ": " + wrong + "\n";
        static_cast<void>(!write(STDERR_FILENO, wrong.data(), wrong.size()));
      }
      _exit(wrong.empty() ? 0 : 1);
    }
    children.push_back(child);
  }
  for (int rank = 0; rank < world; ++rank) {
    int status = 0;
    REQUIRE(waitpid(children[static_cast<std::size_t>(rank)], &status, 0) > 0);
    INFO("rank " << rank);
    if (rank == killed) {
      CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
    } else {
      CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
    }
  }
}
