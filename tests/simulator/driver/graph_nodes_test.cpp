#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>

#include "tests/simulator/driver/fixture.hpp"

using namespace kerncast::tests;

namespace {

struct Builder : OwnContext {
  Builder() { REQUIRE_CU(CU(cuGraphCreate)(&graph, 0)); }
  ~Builder() { CU(cuGraphDestroy)(graph); }

  CUDA_KERNEL_NODE_PARAMS kernel(const char* name, CUdeviceptr& x, unsigned int& n) {
    parameters[0] = &x;
    parameters[1] = &n;
    CUDA_KERNEL_NODE_PARAMS given{};
    given.func = function(name);
    given.gridDimX = given.gridDimY = given.gridDimZ = 1;
    given.blockDimX = 128;
    given.blockDimY = given.blockDimZ = 1;
    given.kernelParams = parameters;
    return given;
  }

  CUgraphNode add_kernel(const char* name, CUdeviceptr x, unsigned int n, std::vector<CUgraphNode> after) {
    const CUDA_KERNEL_NODE_PARAMS given = kernel(name, x, n);
    CUgraphNode node = nullptr;
    REQUIRE_CU(CU(cuGraphAddKernelNode_v2)(&node, graph, after.data(), after.size(), &given));
    return node;
  }

  CUgraphExec instantiate() const {
    CUgraphExec executable = nullptr;
    REQUIRE_CU(CU(cuGraphInstantiateWithFlags)(&executable, graph, 0));
    return executable;
  }

  static void run(CUgraphExec executable) {
    REQUIRE_CU(CU(cuGraphLaunch)(executable, nullptr));
    REQUIRE_CU(CU(cuStreamSynchronize)(nullptr));
  }

  CUgraph graph = nullptr;
  void* parameters[2] = {};
};

}  // namespace

TEST_CASE_METHOD(Builder, "nodes run after what they depend on, in whatever order they were made") {
  const CUdeviceptr x = words(1, 0);
  // Made last to first: double_it must follow add_one.
  const CUgraphNode twice = add_kernel("double_it", x, 1, {});
  const CUgraphNode once = add_kernel("add_one", x, 1, {});
  REQUIRE_CU(CU(cuGraphAddDependencies)(graph, &once, &twice, 1));
  CHECK(CU(cuGraphAddDependencies)(graph, &once, &twice, 1) == CUDA_ERROR_INVALID_VALUE);
  CUDA_MEMSET_NODE_PARAMS fill{x, 0, 20, 4, 1, 1};
  CUgraphNode first = nullptr;
  REQUIRE_CU(CU(cuGraphAddMemsetNode)(&first, graph, nullptr, 0, &fill, context));
  REQUIRE_CU(CU(cuGraphAddDependencies)(graph, &first, &once, 1));
  CUgraphNode roots[3] = {};
  std::size_t count = 3;
  REQUIRE_CU(CU(cuGraphGetRootNodes)(graph, roots, &count));
  REQUIRE(count == 1);
  CHECK(roots[0] == first);
  const CUgraphExec executable = instantiate();
  run(executable);
  CHECK(read(x, 1).front() == 42);

  REQUIRE_CU(CU(cuGraphAddDependencies)(graph, &twice, &first, 1));
  CUgraphExec cyclic = nullptr;
  CHECK(CU(cuGraphInstantiateWithFlags)(&cyclic, graph, 0) == CUDA_ERROR_INVALID_VALUE);
  REQUIRE_CU(CU(cuGraphRemoveDependencies)(graph, &twice, &first, 1));
  REQUIRE_CU(CU(cuGraphInstantiateWithFlags)(&cyclic, graph, 0));
  CHECK(CU(cuGraphExecDestroy)(cyclic) == CUDA_SUCCESS);
  CHECK(CU(cuGraphExecDestroy)(executable) == CUDA_SUCCESS);
}

TEST_CASE_METHOD(Builder, "a kernel node's parameters are its own, and can be read and changed") {
  const CUdeviceptr x = words(2, 0);
  const CUgraphNode node = add_kernel("add_one", x, 2, {});
  CUDA_KERNEL_NODE_PARAMS given{};
  REQUIRE_CU(CU(cuGraphKernelNodeGetParams_v2)(node, &given));
  CHECK(given.blockDimX == 128);
  CHECK(*static_cast<CUdeviceptr*>(given.kernelParams[0]) == x);
  CHECK(*static_cast<unsigned int*>(given.kernelParams[1]) == 2);
  const CUgraphExec executable = instantiate();

  // The executable keeps the nodes that it was made from until it is changed.
  CUdeviceptr same = x;
  unsigned int one = 1;
  const CUDA_KERNEL_NODE_PARAMS changed = kernel("double_it", same, one);
  REQUIRE_CU(CU(cuGraphKernelNodeSetParams_v2)(node, &changed));
  run(executable);
  CHECK(read(x, 2) == std::vector<unsigned int>{1, 1});
  REQUIRE_CU(CU(cuGraphExecKernelNodeSetParams_v2)(executable, node, &changed));
  run(executable);
  CHECK(read(x, 2) == std::vector<unsigned int>{2, 1});
  REQUIRE_CU(CU(cuGraphNodeSetEnabled)(executable, node, 0));
  run(executable);
  CHECK(read(x, 2) == std::vector<unsigned int>{2, 1});
}

TEST_CASE_METHOD(Builder, "a kernel node has every attribute of a launch, by default without effect") {
  const CUgraphNode node = add_kernel("add_one", words(1, 0), 1, {});
  for (const CUlaunchAttributeID id :
       {CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW, CU_LAUNCH_ATTRIBUTE_COOPERATIVE,
        CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION, CU_LAUNCH_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE,
        CU_LAUNCH_ATTRIBUTE_PRIORITY, CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP,
        CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN, CU_LAUNCH_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT}) {
    CAPTURE(static_cast<int>(id));
    CUlaunchAttributeValue value;
    std::memset(&value, 0xff, sizeof(value));
    CHECK(CU(cuGraphKernelNodeGetAttribute)(node, id, &value) == CUDA_SUCCESS);
    CHECK(value.cooperative == 0);
    CHECK(CU(cuGraphKernelNodeSetAttribute)(node, id, &value) == CUDA_SUCCESS);
  }
  CUlaunchAttributeValue value{};
  CHECK(CU(cuGraphKernelNodeGetAttribute)(node, static_cast<CUlaunchAttributeID>(99), &value) ==
        CUDA_ERROR_NOT_SUPPORTED);
  value.clusterDim = {2, 1, 1};
  CHECK(CU(cuGraphKernelNodeSetAttribute)(node, CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION, &value) ==
        CUDA_ERROR_INVALID_CLUSTER_SIZE);
  // A value that is set is read back, also from a node that it was copied to.
  value = {};
  value.priority = 25;
  REQUIRE_CU(
      CU(cuGraphKernelNodeSetAttribute)(node, CU_LAUNCH_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT, &value));
  const CUgraphNode other = add_kernel("add_one", words(1, 0), 1, {});
  REQUIRE_CU(CU(cuGraphKernelNodeCopyAttributes)(other, node));
  value = {};
  REQUIRE_CU(
      CU(cuGraphKernelNodeGetAttribute)(other, CU_LAUNCH_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT, &value));
  CHECK(value.priority == 25);
}

TEST_CASE_METHOD(Builder, "copies, fills, host calls and child graphs are nodes") {
  const CUdeviceptr x = words(4, 3);
  const CUdeviceptr y = words(4, 0);
  CUDA_MEMCPY3D copy{};
  copy.srcMemoryType = copy.dstMemoryType = CU_MEMORYTYPE_DEVICE;
  copy.srcDevice = x;
  copy.dstDevice = y;
  copy.WidthInBytes = 16;
  copy.Height = copy.Depth = 1;
  CUgraphNode copied = nullptr;
  REQUIRE_CU(CU(cuGraphAddMemcpyNode)(&copied, graph, nullptr, 0, &copy, context));
  static std::atomic<int> calls{0};
  calls = 0;
  const CUDA_HOST_NODE_PARAMS host{[](void* by) { calls += *static_cast<int*>(by); }, nullptr};
  int by = 5;
  CUDA_HOST_NODE_PARAMS with_data = host;
  with_data.userData = &by;
  CUgraphNode called = nullptr;
  REQUIRE_CU(CU(cuGraphAddHostNode)(&called, graph, &copied, 1, &with_data));

  CUgraph outer = nullptr;
  REQUIRE_CU(CU(cuGraphCreate)(&outer, 0));
  CUgraphNode child = nullptr;
  REQUIRE_CU(CU(cuGraphAddChildGraphNode)(&child, outer, nullptr, 0, graph));
  CUgraph inner = nullptr;
  REQUIRE_CU(CU(cuGraphChildGraphNodeGetGraph)(child, &inner));
  CHECK(inner != graph);
  CHECK(CU(cuGraphDestroy)(inner) == CUDA_ERROR_INVALID_VALUE);
  CUgraphNode twin = nullptr;
  REQUIRE_CU(CU(cuGraphNodeFindInClone)(&twin, called, inner));
  CUgraphExec executable = nullptr;
  REQUIRE_CU(CU(cuGraphInstantiateWithFlags)(&executable, outer, 0));
  run(executable);
  CHECK(read(y, 4) == std::vector<unsigned int>(4, 3));
  CHECK(calls == 5);
  by = 1;
  REQUIRE_CU(CU(cuGraphDestroy)(outer));
  run(executable);
  CHECK(calls == 6);
}

TEST_CASE_METHOD(Builder, "an executable takes over a graph of the same shape and no other") {
  const CUdeviceptr x = words(1, 10);
  const CUgraphNode first = add_kernel("add_one", x, 1, {});
  const CUgraphNode second = add_kernel("double_it", x, 1, {first});
  const CUgraphExec executable = instantiate();
  CUgraph copy = nullptr;
  REQUIRE_CU(CU(cuGraphClone)(&copy, graph));
  CUgraphNode twin = nullptr;
  REQUIRE_CU(CU(cuGraphNodeFindInClone)(&twin, second, copy));
  CUdeviceptr same = x;
  unsigned int n = 1;
  const CUDA_KERNEL_NODE_PARAMS other = kernel("add_one", same, n);
  REQUIRE_CU(CU(cuGraphKernelNodeSetParams_v2)(twin, &other));
  CUgraphExecUpdateResultInfo info{};
  REQUIRE_CU(CU(cuGraphExecUpdate_v2)(executable, copy, &info));
  CHECK(info.result == CU_GRAPH_EXEC_UPDATE_SUCCESS);
  run(executable);
  CHECK(read(x, 1).front() == 12);

  REQUIRE_CU(CU(cuGraphDestroyNode)(twin));
  CHECK(CU(cuGraphExecUpdate_v2)(executable, copy, &info) == CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
  CHECK(info.result == CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED);
  CUgraphNode empty = nullptr;
  CUgraphNode clone_first = nullptr;
  REQUIRE_CU(CU(cuGraphNodeFindInClone)(&clone_first, first, copy));
  REQUIRE_CU(CU(cuGraphAddEmptyNode)(&empty, copy, &clone_first, 1));
  CHECK(CU(cuGraphExecUpdate_v2)(executable, copy, &info) == CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
  CHECK(info.result == CU_GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED);
  CHECK(info.errorNode == empty);
  run(executable);
  CHECK(read(x, 1).front() == 14);
  REQUIRE_CU(CU(cuGraphDestroy)(copy));
}

TEST_CASE_METHOD(Builder, "destroyed handles are refused") {
  const CUdeviceptr x = words(1, 0);
  const CUgraphNode node = add_kernel("add_one", x, 1, {});
  REQUIRE_CU(CU(cuGraphDestroyNode)(node));
  CUgraphNodeType type{};
  CHECK(CU(cuGraphNodeGetType)(node, &type) == CUDA_ERROR_INVALID_VALUE);
  CUgraph other = nullptr;
  REQUIRE_CU(CU(cuGraphCreate)(&other, 0));
  CUgraphNode foreign = nullptr;
  REQUIRE_CU(CU(cuGraphAddEmptyNode)(&foreign, other, nullptr, 0));
  CUgraphNode refused = nullptr;
  CHECK(CU(cuGraphAddEmptyNode)(&refused, graph, &foreign, 1) == CUDA_ERROR_INVALID_VALUE);
  REQUIRE_CU(CU(cuGraphDestroy)(other));
  CHECK(CU(cuGraphDestroy)(other) == CUDA_ERROR_INVALID_HANDLE);
  CHECK(CU(cuGraphNodeGetType)(foreign, &type) == CUDA_ERROR_INVALID_VALUE);
}

TEST_CASE_METHOD(Builder, "memory a capture allocates belongs to the graph's launches") {
  const CUstream one = stream();
  const CUdeviceptr out = words(4, 0);
  CUdeviceptr inside = 0;
  REQUIRE_CU(CU(cuStreamBeginCapture_v2)(one, CU_STREAM_CAPTURE_MODE_GLOBAL));
  REQUIRE_CU(CU(cuMemAllocAsync)(&inside, 16, one));
  REQUIRE_CU(CU(cuMemsetD32Async)(inside, 9, 4, one));
  REQUIRE_CU(launch("add_one", one, inside, 4));
  REQUIRE_CU(CU(cuMemcpyDtoDAsync_v2)(out, inside, 16, one));
  REQUIRE_CU(CU(cuMemFreeAsync)(inside, one));
  CUgraph captured = nullptr;
  REQUIRE_CU(CU(cuStreamEndCapture)(one, &captured));
  CUgraphExec executable = nullptr;
  REQUIRE_CU(CU(cuGraphInstantiateWithFlags)(&executable, captured, 0));
  CHECK(CU(cuMemFreeAsync)(inside, one) == CUDA_ERROR_INVALID_VALUE);
  run(executable);
  run(executable);
  CHECK(read(out, 4) == std::vector<unsigned int>(4, 10));

  // Without its free, a second launch would allocate what is allocated.
  REQUIRE_CU(CU(cuStreamBeginCapture_v2)(one, CU_STREAM_CAPTURE_MODE_GLOBAL));
  CUdeviceptr kept = 0;
  REQUIRE_CU(CU(cuMemAllocAsync)(&kept, 16, one));
  REQUIRE_CU(CU(cuMemsetD32Async)(kept, 4, 4, one));
  CUgraph keeping = nullptr;
  REQUIRE_CU(CU(cuStreamEndCapture)(one, &keeping));
  CUgraphExec keeper = nullptr;
  REQUIRE_CU(CU(cuGraphInstantiateWithFlags)(&keeper, keeping, 0));
  run(keeper);
  CHECK(CU(cuGraphLaunch)(keeper, one) == CUDA_ERROR_INVALID_VALUE);
  REQUIRE_CU(CU(cuGraphExecDestroy)(keeper));
  REQUIRE_CU(CU(cuGraphDestroy)(keeping));
  CHECK(read(kept, 4) == std::vector<unsigned int>(4, 4));
  REQUIRE_CU(CU(cuMemFree_v2)(kept));
  CHECK(CU(cuMemFree_v2)(kept) == CUDA_ERROR_INVALID_VALUE);
}

TEST_CASE_METHOD(Builder, "graphs keep user objects until the last of them is gone") {
  static std::atomic<int> destroyed{0};
  destroyed = 0;
  CUuserObject object = nullptr;
  REQUIRE_CU(CU(cuUserObjectCreate)(
      &object, &destroyed, [](void* by) { ++*static_cast<std::atomic<int>*>(by); }, 1, 1));
  REQUIRE_CU(CU(cuGraphRetainUserObject)(graph, object, 1, 1));
  const CUgraphExec executable = instantiate();
  REQUIRE_CU(CU(cuGraphReleaseUserObject)(graph, object, 1));
  CHECK(destroyed == 0);
  REQUIRE_CU(CU(cuGraphExecDestroy)(executable));
  while (destroyed == 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  CHECK(destroyed == 1);
}

TEST_CASE_METHOD(Builder, "a launch that is captured becomes a child graph") {
  const CUdeviceptr x = words(1, 0);
  add_kernel("add_one", x, 1, {});
  const CUgraphExec executable = instantiate();
  const CUstream one = stream();
  REQUIRE_CU(CU(cuStreamBeginCapture_v2)(one, CU_STREAM_CAPTURE_MODE_GLOBAL));
  REQUIRE_CU(CU(cuGraphLaunch)(executable, one));
  REQUIRE_CU(launch("double_it", one, x, 1));
  CUgraph captured = nullptr;
  REQUIRE_CU(CU(cuStreamEndCapture)(one, &captured));
  REQUIRE_CU(CU(cuGraphExecDestroy)(executable));
  CUgraphExec both = nullptr;
  REQUIRE_CU(CU(cuGraphInstantiateWithFlags)(&both, captured, 0));
  run(both);
  run(both);
  CHECK(read(x, 1).front() == 6);
}
