// Launches recorded in a CUDA graph. Nothing may be compiled while a stream is captured, so the kernel is
// made ready before.
#include <cstdio>
#include <exception>
#include <kerncast/kerncast.hpp>
#include <kerncast/ops/norm/rms_norm.hpp>
#include <vector>

#include "support/driver.hpp"

int main() try {
  kerncast::Runtime& runtime = kerncast::Runtime::instance();
  runtime.make_current(0);
  constexpr std::int64_t rows = 4;
  constexpr std::int64_t hidden = 1024;
  const example::DeviceFloats x(runtime, std::vector<float>(rows * hidden, 2.0F));
  const example::DeviceFloats y(runtime, rows * hidden);
  const kerncast::norm::RmsNorm call{.x = x.matrix(rows, hidden), .y = y.matrix(rows, hidden), .eps = 0};

  // A miss during the capture would be Error(capture_miss), whose text has the `kerncast warm` command for
  // it.
  const kerncast::PreparedLaunch prepared = kerncast::prepare(runtime, call);

  constexpr unsigned int non_blocking = 1;  // CU_STREAM_NON_BLOCKING
  constexpr int thread_local_mode = 1;      // CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
  kerncast::Stream stream = nullptr;
  void* graph = nullptr;
  void* executable = nullptr;
  example::call_driver(runtime, "cuStreamCreate", &stream, non_blocking);
  example::call_driver(runtime, "cuStreamBeginCapture", stream, thread_local_mode);
  prepared.launch(stream);                  // bound once, the cheapest
  kerncast::launch(runtime, call, stream);  // the same kernel is found in memory
  example::call_driver(runtime, "cuStreamEndCapture", stream, &graph);
  example::call_driver(runtime, "cuGraphInstantiateWithFlags", &executable, graph, 0ULL);

  for (int replay = 0; replay < 3; ++replay) {
    example::call_driver(runtime, "cuGraphLaunch", executable, stream);
  }
  example::call_driver(runtime, "cuStreamSynchronize", stream);
  const bool right = y.values() == std::vector<float>(rows * hidden, 1.0F);
  std::printf("a graph of two launches was replayed three times: %s\n", right ? "right" : "wrong");
  example::call_driver(runtime, "cuGraphExecDestroy", executable);
  example::call_driver(runtime, "cuGraphDestroy", graph);
  example::call_driver(runtime, "cuStreamDestroy", stream);
  return right ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
