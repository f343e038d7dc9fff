#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <string>
#include <thread>

#include "tests/simulator/driver/fixture.hpp"

using namespace kerncast::tests;

namespace {

CUstreamCaptureStatus status_of(CUstream stream) {
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
  REQUIRE_CU(CU(cuStreamIsCapturing)(stream, &status));
  return status;
}

/// Begins a capture, does what may spoil it, and says what ending it returns.
template <class Spoil>
CUresult end_after(CUstream stream, CUstreamCaptureMode mode, Spoil&& spoil) {
  REQUIRE_CU(CU(cuStreamBeginCapture_v2)(stream, mode));
  spoil();
  CUgraph graph = nullptr;
  const CUresult ended = CU(cuStreamEndCapture)(stream, &graph);
  CHECK(status_of(stream) == CU_STREAM_CAPTURE_STATUS_NONE);
  CHECK((graph != nullptr) == (ended == CUDA_SUCCESS));
  if (graph != nullptr) {
    CHECK(CU(cuGraphDestroy)(graph) == CUDA_SUCCESS);
  }
  return ended;
}

}  // namespace

TEST_CASE_METHOD(OwnContext, "the legacy stream cannot be captured, and a capture cannot begin twice") {
  CHECK(CU(cuStreamBeginCapture_v2)(nullptr, CU_STREAM_CAPTURE_MODE_GLOBAL) ==
        CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  const CUstream one = stream();
  CUgraph graph = nullptr;
  CHECK(CU(cuStreamEndCapture)(one, &graph) == CUDA_ERROR_ILLEGAL_STATE);
  CHECK(end_after(one, CU_STREAM_CAPTURE_MODE_RELAXED, [&] {
          CHECK(CU(cuStreamBeginCapture_v2)(one, CU_STREAM_CAPTURE_MODE_RELAXED) == CUDA_ERROR_ILLEGAL_STATE);
        }) == CUDA_SUCCESS);
  CHECK(CU(cuStreamBeginCapture_v2)(one, static_cast<CUstreamCaptureMode>(3)) == CUDA_ERROR_INVALID_VALUE);
}

TEST_CASE_METHOD(OwnContext, "waiting for what is captured spoils the capture, in every mode") {
  const CUstream one = stream();
  for (const CUstreamCaptureMode mode :
       {CU_STREAM_CAPTURE_MODE_GLOBAL, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL, CU_STREAM_CAPTURE_MODE_RELAXED}) {
    CAPTURE(static_cast<int>(mode));
    CHECK(end_after(one, mode, [&] {
            CHECK(CU(cuStreamSynchronize)(one) == CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
            CHECK(status_of(one) == CU_STREAM_CAPTURE_STATUS_INVALIDATED);
          }) == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    CHECK(end_after(one, mode, [&] {
            CHECK(CU(cuStreamQuery)(one) == CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
          }) == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    CHECK(end_after(one, mode, [&] {
            CHECK(CU(cuCtxSynchronize)() == CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
          }) == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  }
}

TEST_CASE_METHOD(OwnContext, "work on an invalid capture is refused until it is ended") {
  const CUstream one = stream();
  const CUdeviceptr x = words(1, 0);
  CHECK(end_after(one, CU_STREAM_CAPTURE_MODE_RELAXED, [&] {
          CHECK(CU(cuStreamSynchronize)(one) == CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
          CHECK(launch("add_one", one, x, 1) == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
          CHECK(CU(cuMemsetD32Async)(x, 5, 1, one) == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
        }) == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  REQUIRE_CU(launch("add_one", one, x, 1));
  REQUIRE_CU(CU(cuStreamSynchronize)(one));
  CHECK(read(x, 1) == std::vector<unsigned int>{1});
}

TEST_CASE_METHOD(OwnContext, "calls that may wait are refused by the modes of the capture and the thread") {
  const CUstream one = stream();
  CUdeviceptr made = 0;
  const auto allocate = [&] { return CU(cuMemAlloc_v2)(&made, 16); };
  for (const CUstreamCaptureMode mode :
       {CU_STREAM_CAPTURE_MODE_GLOBAL, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL}) {
    CAPTURE(static_cast<int>(mode));
    CHECK(end_after(one, mode, [&] { CHECK(allocate() == CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED); }) ==
          CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  }
  CHECK(end_after(one, CU_STREAM_CAPTURE_MODE_RELAXED, [&] { CHECK(allocate() == CUDA_SUCCESS); }) ==
        CUDA_SUCCESS);

  // Another thread is held back by global captures only, and not even by those once it is relaxed or local.
  const auto elsewhere = [&](CUstreamCaptureMode thread_mode) {
    CUresult result = CUDA_ERROR_UNKNOWN;
    std::thread([&] {
      CHECK(CU(cuCtxSetCurrent)(context) == CUDA_SUCCESS);
      CUstreamCaptureMode exchanged = thread_mode;
      CHECK(CU(cuThreadExchangeStreamCaptureMode)(&exchanged) == CUDA_SUCCESS);
      CHECK(exchanged == CU_STREAM_CAPTURE_MODE_GLOBAL);  // what a thread begins with
      result = allocate();
    }).join();
    return result;
  };
  CHECK(end_after(one, CU_STREAM_CAPTURE_MODE_GLOBAL, [&] {
          CHECK(elsewhere(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL) == CUDA_SUCCESS);
          CHECK(elsewhere(CU_STREAM_CAPTURE_MODE_RELAXED) == CUDA_SUCCESS);
        }) == CUDA_SUCCESS);
  CHECK(end_after(one, CU_STREAM_CAPTURE_MODE_GLOBAL, [&] {
          CHECK(elsewhere(CU_STREAM_CAPTURE_MODE_GLOBAL) == CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
        }) == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  CHECK(end_after(one, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL,
                  [&] { CHECK(elsewhere(CU_STREAM_CAPTURE_MODE_GLOBAL) == CUDA_SUCCESS); }) == CUDA_SUCCESS);
}

TEST_CASE_METHOD(OwnContext, "a capture ends in its thread, unless it is relaxed") {
  const CUstream one = stream();
  const auto end_elsewhere = [&](CUgraph& graph) {
    CUresult result = CUDA_ERROR_UNKNOWN;
    std::thread([&] {
      CHECK(CU(cuCtxSetCurrent)(context) == CUDA_SUCCESS);
      result = CU(cuStreamEndCapture)(one, &graph);
    }).join();
    return result;
  };
  CUgraph graph = nullptr;
  REQUIRE_CU(CU(cuStreamBeginCapture_v2)(one, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
  CHECK(end_elsewhere(graph) == CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD);
  REQUIRE_CU(CU(cuStreamEndCapture)(one, &graph));
  REQUIRE_CU(CU(cuGraphDestroy)(graph));
  REQUIRE_CU(CU(cuStreamBeginCapture_v2)(one, CU_STREAM_CAPTURE_MODE_RELAXED));
  CHECK(end_elsewhere(graph) == CUDA_SUCCESS);
  REQUIRE_CU(CU(cuGraphDestroy)(graph));
}

TEST_CASE_METHOD(OwnContext, "the legacy stream cannot meet a captured blocking stream") {
  CUstream blocking = nullptr;
  REQUIRE_CU(CU(cuStreamCreate)(&blocking, CU_STREAM_DEFAULT));
  const CUdeviceptr x = words(1, 0);
  CHECK(end_after(blocking, CU_STREAM_CAPTURE_MODE_RELAXED, [&] {
          CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
          CHECK(CU(cuStreamIsCapturing)(nullptr, &status) == CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
          CHECK(status_of(blocking) == CU_STREAM_CAPTURE_STATUS_ACTIVE);
          CHECK(launch("add_one", nullptr, x, 1) == CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
        }) == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  const CUstream apart = stream();
  CHECK(end_after(apart, CU_STREAM_CAPTURE_MODE_RELAXED,
                  [&] { CHECK(launch("add_one", nullptr, x, 1) == CUDA_SUCCESS); }) == CUDA_SUCCESS);
  CHECK(read(x, 1) == std::vector<unsigned int>{1});
}

TEST_CASE_METHOD(OwnContext, "streams fork from and join a capture through events") {
  const CUstream one = stream();
  const CUstream two = stream();
  const CUevent fork = event();
  const CUevent join = event();
  const CUdeviceptr x = words(1, 0);
  const CUdeviceptr y = words(1, 0);
  const auto fork_and_work = [&] {
    REQUIRE_CU(launch("add_one", one, x, 1));
    REQUIRE_CU(CU(cuEventRecord)(fork, one));
    REQUIRE_CU(CU(cuStreamWaitEvent)(two, fork, 0));
    CHECK(status_of(two) == CU_STREAM_CAPTURE_STATUS_ACTIVE);
    REQUIRE_CU(launch("add_one", two, y, 1));
  };
  SECTION("joined") {
    REQUIRE_CU(CU(cuStreamBeginCapture_v2)(one, CU_STREAM_CAPTURE_MODE_RELAXED));
    fork_and_work();
    REQUIRE_CU(CU(cuEventRecord)(join, two));
    REQUIRE_CU(CU(cuStreamWaitEvent)(one, join, 0));
    REQUIRE_CU(launch("double_it", one, y, 1));
    CUgraph graph = nullptr;
    REQUIRE_CU(CU(cuStreamEndCapture)(one, &graph));
    std::size_t nodes = 0;
    std::size_t edges = 0;
    REQUIRE_CU(CU(cuGraphGetNodes)(graph, nullptr, &nodes));
    REQUIRE_CU(CU(cuGraphGetEdges)(graph, nullptr, nullptr, &edges));
    CHECK(nodes == 3);
    CHECK(edges == 3);
    CUgraphExec executable = nullptr;
    REQUIRE_CU(CU(cuGraphInstantiateWithFlags)(&executable, graph, 0));
    REQUIRE_CU(CU(cuGraphLaunch)(executable, one));
    REQUIRE_CU(CU(cuStreamSynchronize)(one));
    CHECK(read(x, 1).front() == 1);
    CHECK(read(y, 1).front() == 2);
    // The capture is over, so its events are no use to anyone.
    CHECK(CU(cuStreamWaitEvent)(two, join, 0) == CUDA_ERROR_CAPTURED_EVENT);
    CHECK(CU(cuEventQuery)(join) == CUDA_ERROR_CAPTURED_EVENT);
    CHECK(CU(cuEventSynchronize)(join) == CUDA_ERROR_CAPTURED_EVENT);
    REQUIRE_CU(CU(cuEventRecord)(join, two));
    REQUIRE_CU(CU(cuEventSynchronize)(join));
    REQUIRE_CU(CU(cuGraphExecDestroy)(executable));
    REQUIRE_CU(CU(cuGraphDestroy)(graph));
  }
  SECTION("joined and destroyed") {
    CHECK(end_after(one, CU_STREAM_CAPTURE_MODE_RELAXED, [&] {
            fork_and_work();
            REQUIRE_CU(CU(cuEventRecord)(join, two));
            REQUIRE_CU(CU(cuStreamWaitEvent)(one, join, 0));
            REQUIRE_CU(CU(cuStreamDestroy_v2)(two));
          }) == CUDA_SUCCESS);
    return;
  }
  SECTION("left unjoined") {
    CHECK(end_after(one, CU_STREAM_CAPTURE_MODE_RELAXED, fork_and_work) ==
          CUDA_ERROR_STREAM_CAPTURE_UNJOINED);
    CHECK(status_of(two) == CU_STREAM_CAPTURE_STATUS_NONE);
  }
  SECTION("ended in the wrong stream") {
    CHECK(end_after(one, CU_STREAM_CAPTURE_MODE_RELAXED, [&] {
            fork_and_work();
            CUgraph graph = nullptr;
            CHECK(CU(cuStreamEndCapture)(two, &graph) == CUDA_ERROR_STREAM_CAPTURE_UNMATCHED);
          }) == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  }
}

TEST_CASE_METHOD(OwnContext, "captures stay apart from each other and from work outside") {
  const CUstream one = stream();
  const CUstream two = stream();
  const CUevent outside = event();
  const CUevent inside = event();
  REQUIRE_CU(CU(cuEventRecord)(outside, two));
  CHECK(end_after(one, CU_STREAM_CAPTURE_MODE_RELAXED, [&] {
          CHECK(CU(cuStreamWaitEvent)(one, outside, 0) == CUDA_ERROR_STREAM_CAPTURE_ISOLATION);
        }) == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  CHECK(end_after(one, CU_STREAM_CAPTURE_MODE_RELAXED, [&] {
          CHECK(end_after(two, CU_STREAM_CAPTURE_MODE_RELAXED, [&] {
                  REQUIRE_CU(CU(cuEventRecord)(inside, one));
                  CHECK(CU(cuStreamWaitEvent)(two, inside, 0) == CUDA_ERROR_STREAM_CAPTURE_MERGE);
                }) == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
        }) == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
}

TEST_CASE_METHOD(OwnContext, "events outside of the capture become nodes when that is asked for") {
  const CUstream one = stream();
  const CUevent recorded = event();
  const CUdeviceptr x = words(1, 0);
  REQUIRE_CU(CU(cuStreamBeginCapture_v2)(one, CU_STREAM_CAPTURE_MODE_GLOBAL));
  REQUIRE_CU(launch("add_one", one, x, 1));
  REQUIRE_CU(CU(cuEventRecordWithFlags)(recorded, one, 1));
  CUgraph graph = nullptr;
  REQUIRE_CU(CU(cuStreamEndCapture)(one, &graph));
  CUgraphNode nodes[2] = {};
  std::size_t count = 2;
  REQUIRE_CU(CU(cuGraphGetNodes)(graph, nodes, &count));
  REQUIRE(count == 2);
  CUgraphNodeType type = CU_GRAPH_NODE_TYPE_EMPTY;
  REQUIRE_CU(CU(cuGraphNodeGetType)(nodes[1], &type));
  CHECK(type == CU_GRAPH_NODE_TYPE_EVENT_RECORD);
  CUgraphExec executable = nullptr;
  REQUIRE_CU(CU(cuGraphInstantiateWithFlags)(&executable, graph, 0));
  REQUIRE_CU(CU(cuGraphLaunch)(executable, one));
  REQUIRE_CU(CU(cuEventSynchronize)(recorded));
  CHECK(read(x, 1).front() == 1);
}

TEST_CASE_METHOD(OwnContext, "a capture may go on in a graph that exists, and its dependencies may change") {
  const CUstream one = stream();
  const CUdeviceptr x = words(1, 1);
  CUgraph graph = nullptr;
  REQUIRE_CU(CU(cuGraphCreate)(&graph, 0));
  CUgraphNode root = nullptr;
  REQUIRE_CU(CU(cuGraphAddEmptyNode)(&root, graph, nullptr, 0));
  REQUIRE_CU(CU(cuStreamBeginCaptureToGraph)(one, graph, &root, nullptr, 1, CU_STREAM_CAPTURE_MODE_RELAXED));
  CHECK(CU(cuGraphDestroy)(graph) == CUDA_ERROR_ILLEGAL_STATE);
  CHECK(CU(cuGraphDestroyNode)(root) == CUDA_ERROR_ILLEGAL_STATE);
  CHECK(CU(cuStreamBeginCaptureToGraph)(stream(), graph, &root, nullptr, 1, CU_STREAM_CAPTURE_MODE_RELAXED) ==
        CUDA_ERROR_ILLEGAL_STATE);
  REQUIRE_CU(launch("add_one", one, x, 1));
  CUstreamCaptureStatus status{};
  const CUgraphNode* last = nullptr;
  CUgraph captured = nullptr;
  std::size_t count = 0;
  std::uint64_t id = 0;
  REQUIRE_CU(CU(cuStreamGetCaptureInfo_v2)(one, &status, &id, &captured, &last, &count));
  CHECK(captured == graph);
  REQUIRE(count == 1);
  CUgraphNode set = root;
  REQUIRE_CU(CU(cuStreamUpdateCaptureDependencies_v2)(one, &set, nullptr, 1, 1));
  REQUIRE_CU(launch("double_it", one, x, 1));
  CUgraph ended = nullptr;
  REQUIRE_CU(CU(cuStreamEndCapture)(one, &ended));
  CHECK(ended == graph);
  std::size_t dependents = 0;
  REQUIRE_CU(CU(cuGraphNodeGetDependentNodes)(root, nullptr, &dependents));
  CHECK(dependents == 2);
}

TEST_CASE_METHOD(OwnContext, "a graph may be read and added to while a capture goes on in it") {
  const CUstream one = stream();
  const CUdeviceptr x = words(1, 1);
  REQUIRE_CU(CU(cuStreamBeginCapture_v2)(one, CU_STREAM_CAPTURE_MODE_RELAXED));
  REQUIRE_CU(launch("add_one", one, x, 1));
  CUstreamCaptureStatus status{};
  const CUgraphNode* last = nullptr;
  CUgraph graph = nullptr;
  std::size_t count = 0;
  std::uint64_t id = 0;
  REQUIRE_CU(CU(cuStreamGetCaptureInfo_v2)(one, &status, &id, &graph, &last, &count));
  REQUIRE(count == 1);
  const CUgraphNode first = last[0];

  // A child graph and a fill are put between what is captured before and after.
  CUgraph child = nullptr;
  REQUIRE_CU(CU(cuGraphCreate)(&child, 0));
  CUDA_MEMSET_NODE_PARAMS fill{x, 0, 20, 4, 1, 1};
  CUgraphNode inner = nullptr;
  REQUIRE_CU(CU(cuGraphAddMemsetNode)(&inner, child, nullptr, 0, &fill, context));
  CUgraphNode embedded = nullptr;
  REQUIRE_CU(CU(cuGraphAddChildGraphNode)(&embedded, graph, &first, 1, child));
  CUgraphNode empty = nullptr;
  REQUIRE_CU(CU(cuGraphAddEmptyNode)(&empty, graph, nullptr, 0));
  REQUIRE_CU(CU(cuGraphAddDependencies)(graph, &embedded, &empty, 1));
  REQUIRE_CU(CU(cuStreamUpdateCaptureDependencies_v2)(one, &empty, nullptr, 1, 1));

  REQUIRE_CU(CU(cuGraphGetNodes)(graph, nullptr, &count));
  CHECK(count == 3);
  CUgraph copy = nullptr;
  REQUIRE_CU(CU(cuGraphClone)(&copy, graph));
  REQUIRE_CU(CU(cuGraphDestroy)(copy));
  const std::string path = "capture_rules_test_" + std::to_string(getpid()) + ".dot";
  CHECK(CU(cuGraphDebugDotPrint)(graph, path.c_str(), 0) == CUDA_SUCCESS);
  CHECK(std::remove(path.c_str()) == 0);

  REQUIRE_CU(launch("double_it", one, x, 1));
  CUgraph ended = nullptr;
  REQUIRE_CU(CU(cuStreamEndCapture)(one, &ended));
  CHECK(ended == graph);
  CUgraphExec executable = nullptr;
  REQUIRE_CU(CU(cuGraphInstantiateWithFlags)(&executable, graph, 0));
  REQUIRE_CU(CU(cuGraphLaunch)(executable, one));
  REQUIRE_CU(CU(cuStreamSynchronize)(one));
  CHECK(read(x, 1).front() == 40);
  CHECK(CU(cuGraphDestroy)(graph) == CUDA_SUCCESS);
}
