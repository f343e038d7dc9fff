#include <cstring>

#include "tests/simulator/cudart/fixture.hpp"

namespace {

using namespace kerncast::tests;

using Words = std::vector<unsigned int>;

CUstream new_stream() {
  CUstream stream = nullptr;
  REQUIRE_RT(RT(cudaStreamCreateWithFlags)(&stream, CU_STREAM_NON_BLOCKING));
  return stream;
}

cudaKernelNodeParams add_node(void** arguments) {
  return {const_cast<void*>(test_program().host("add")), {1, 1, 1}, {64, 1, 1}, 0, arguments, nullptr};
}

}  // namespace

TEST_CASE("a stream is busy until its work is done, and events follow it") {
  CUstream stream = new_stream();
  CUevent begin = nullptr;
  CUevent end = nullptr;
  REQUIRE_RT(RT(cudaEventCreate)(&begin));
  REQUIRE_RT(RT(cudaEventCreate)(&end));
  Gate gate;
  REQUIRE_RT(RT(cudaEventRecord)(begin, stream));
  REQUIRE_RT(RT(cudaLaunchHostFunc)(stream, &Gate::wait, &gate));
  REQUIRE_RT(RT(cudaEventRecord)(end, stream));
  CHECK(RT(cudaStreamQuery)(stream) == cudaErrorNotReady);
  CHECK(RT(cudaEventQuery)(end) == cudaErrorNotReady);
  CHECK(RT(cudaGetLastError)() == cudaErrorNotReady);
  CUstream other = new_stream();
  unsigned int* words = device_words(4, 1);
  REQUIRE_RT(RT(cudaStreamWaitEvent)(other, end, 0));
  REQUIRE_RT(launch_add(words, 4, 1, other));
  CHECK(RT(cudaStreamQuery)(other) == cudaErrorNotReady);
  gate.open();
  REQUIRE_RT(RT(cudaStreamSynchronize)(other));
  CHECK(read_words(words, 4) == Words(4, 2));
  float milliseconds = -1;
  REQUIRE_RT(RT(cudaEventElapsedTime)(&milliseconds, begin, end));
  CHECK(milliseconds >= 0);
  REQUIRE_RT(RT(cudaEventDestroy)(begin));
  REQUIRE_RT(RT(cudaStreamDestroy)(stream));
}

TEST_CASE("a callback gets the stream and the runtime's code") {
  struct Seen {
    CUstream stream;
    cudaError_t status;
  } seen{nullptr, cudaErrorUnknown};
  CUstream stream = new_stream();
  REQUIRE_RT(RT(cudaStreamAddCallback)(
      stream, [](CUstream its, cudaError_t status, void* data) { *static_cast<Seen*>(data) = {its, status}; },
      &seen, 0));
  REQUIRE_RT(RT(cudaStreamSynchronize)(stream));
  CHECK(seen.stream == stream);
  CHECK(seen.status == cudaSuccess);
}

TEST_CASE("the null stream of the per-thread family is the thread's own") {
  Gate gate;
  CUstream legacy = stream_legacy;
  REQUIRE_RT(RT(cudaLaunchHostFunc)(legacy, &Gate::wait, &gate));
  CHECK(RT(cudaStreamQuery)(nullptr) == cudaErrorNotReady);
  // The thread's own stream is another one, which waits for nothing here.
  int level = 1;
  CHECK(RT(cudaStreamGetPriority_ptsz)(nullptr, &level) == cudaSuccess);
  CHECK(RT(cudaStreamQuery_ptsz)(nullptr) == cudaSuccess);
  gate.open();
  unsigned int* words = device_words(4, 1);
  unsigned int n = 4;
  unsigned int value = 2;
  void* arguments[] = {&words, &n, &value};
  REQUIRE_RT(
      RT(cudaLaunchKernel_ptsz)(test_program().host("add"), {1, 1, 1}, {4, 1, 1}, arguments, 0, nullptr));
  Words back(4);
  REQUIRE_RT(RT(cudaMemcpy_ptds)(back.data(), words, 16, cudaMemcpyDeviceToHost));
  CHECK(back == Words(4, 3));
  REQUIRE_RT(RT(cudaMemset_ptds)(words, 0, 16));
  REQUIRE_RT(RT(cudaDeviceSynchronize)());
  CHECK(read_words(words, 4) == Words(4, 0));
}

TEST_CASE("a captured stream becomes a graph that is launched again") {
  CUstream stream = new_stream();
  unsigned int* words = device_words(32, 0);
  REQUIRE_RT(RT(cudaStreamBeginCapture)(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
  CUstreamCaptureStatus status{};
  REQUIRE_RT(RT(cudaStreamIsCapturing)(stream, &status));
  CHECK(status == CU_STREAM_CAPTURE_STATUS_ACTIVE);
  REQUIRE_RT(launch_add(words, 32, 1, stream));
  REQUIRE_RT(launch_add(words, 32, 2, stream));
  std::uint64_t id = 0;
  CUgraph capturing = nullptr;
  const CUgraphNode* last = nullptr;
  const CUgraphEdgeData* edges = nullptr;
  std::size_t last_count = 0;
  REQUIRE_RT(RT(cudaStreamGetCaptureInfo)(stream, &status, &id, &capturing, &last, &edges, &last_count));
  CHECK(last_count == 1);
  CUgraph graph = nullptr;
  REQUIRE_RT(RT(cudaStreamEndCapture)(stream, &graph));
  CUgraphNode nodes[4] = {};
  std::size_t count = 4;
  REQUIRE_RT(RT(cudaGraphGetNodes)(graph, nodes, &count));
  CHECK(count == 2);
  cudaKernelNodeParams parameters{};
  REQUIRE_RT(RT(cudaGraphKernelNodeGetParams)(nodes[0], &parameters));
  CHECK(parameters.func == test_program().host("add"));
  CHECK(parameters.blockDim.x == 64);
  CUgraphExec executable = nullptr;
  REQUIRE_RT(RT(cudaGraphInstantiate)(&executable, graph, 0));
  REQUIRE_RT(RT(cudaGraphLaunch)(executable, stream));
  REQUIRE_RT(RT(cudaGraphLaunch)(executable, stream));
  REQUIRE_RT(RT(cudaStreamSynchronize)(stream));
  CHECK(read_words(words, 32) == Words(32, 6));
  REQUIRE_RT(RT(cudaGraphExecDestroy)(executable));
  REQUIRE_RT(RT(cudaGraphDestroy)(graph));
}

TEST_CASE("a graph is built of kernels, copies and fills, and its parameters change") {
  unsigned int* words = device_words(4, 9);
  unsigned int* copied = device_words(4, 0);
  unsigned int n = 4;
  unsigned int value = 5;
  void* arguments[] = {&words, &n, &value};
  CUgraph graph = nullptr;
  REQUIRE_RT(RT(cudaGraphCreate)(&graph, 0));
  CUgraphNode fill = nullptr;
  const CUDA_MEMSET_NODE_PARAMS zeros{reinterpret_cast<CUdeviceptr>(words), 0, 1, 4, 4, 1};
  REQUIRE_RT(RT(cudaGraphAddMemsetNode)(&fill, graph, nullptr, 0, &zeros));
  CUgraphNode add = nullptr;
  const cudaKernelNodeParams kernel = add_node(arguments);
  REQUIRE_RT(RT(cudaGraphAddKernelNode)(&add, graph, &fill, 1, &kernel));
  CUgraphNode copy = nullptr;
  REQUIRE_RT(
      RT(cudaGraphAddMemcpyNode1D)(&copy, graph, &add, 1, copied, words, 16, cudaMemcpyDeviceToDevice));
  cudaMemcpy3DParms box{};
  REQUIRE_RT(RT(cudaGraphMemcpyNodeGetParams)(copy, &box));
  CHECK(box.kind == cudaMemcpyDeviceToDevice);
  CHECK(box.dstPtr.ptr == copied);
  CHECK(box.extent.width == 16);

  // The general form of a node.
  unsigned int more = 10;
  void* other_arguments[] = {&copied, &n, &more};
  cudaGraphNodeParams general{};
  general.type = CU_GRAPH_NODE_TYPE_KERNEL;
  general.kernel = add_node(other_arguments);
  CUgraphNode last = nullptr;
  REQUIRE_RT(RT(cudaGraphAddNode)(&last, graph, &copy, nullptr, 1, &general));
  CUgraphExec executable = nullptr;
  REQUIRE_RT(RT(cudaGraphInstantiateWithFlags)(&executable, graph, 0));
  REQUIRE_RT(RT(cudaGraphLaunch)(executable, nullptr));
  CHECK(read_words(copied, 4) == Words(4, 16));
  value = 7;
  REQUIRE_RT(RT(cudaGraphExecKernelNodeSetParams)(executable, add, &kernel));
  REQUIRE_RT(RT(cudaGraphLaunch)(executable, nullptr));
  CHECK(read_words(copied, 4) == Words(4, 18));
  CHECK(RT(cudaGraphAddKernelNode)(&add, graph, nullptr, 0, nullptr) == cudaErrorInvalidValue);
}

TEST_CASE("an allocation in a graph gives its address back") {
  CUgraph graph = nullptr;
  REQUIRE_RT(RT(cudaGraphCreate)(&graph, 0));
  CUDA_MEM_ALLOC_NODE_PARAMS allocation{};
  allocation.poolProps.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
  allocation.poolProps.location = {CU_MEM_LOCATION_TYPE_DEVICE, 0};
  allocation.bytesize = 64;
  cudaGraphNodeParams general{};
  general.type = CU_GRAPH_NODE_TYPE_MEM_ALLOC;
  std::memcpy(static_cast<void*>(&general.reserved1), &allocation, sizeof(allocation));
  CUgraphNode node = nullptr;
  REQUIRE_RT(RT(cudaGraphAddNode)(&node, graph, nullptr, nullptr, 0, &general));
  std::memcpy(&allocation, static_cast<const void*>(&general.reserved1), sizeof(allocation));
  CHECK(allocation.dptr != 0);
}
