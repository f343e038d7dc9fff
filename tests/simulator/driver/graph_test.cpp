#include <catch2/catch.hpp>
#include <thread>
#include <vector>

#include "tests/simulator/driver/fixture.hpp"

using namespace kerncast::tests;

using Words = std::vector<unsigned int>;

namespace {

struct GraphFixture : PrimaryFixture {
  // Loaded here: a capture forbids it later.
  GraphFixture() { static_cast<void>(function("bounded")); }

  CUresult begin(const StreamHandle& stream, CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL) const {
    return api.cuStreamBeginCapture(stream.get(), mode);
  }
  CUresult end(const StreamHandle& stream) {
    graph = nullptr;
    return api.cuStreamEndCapture(stream.get(), &graph);
  }
  [[nodiscard]] CUstreamCaptureStatus status(const StreamHandle& stream) const {
    CUstreamCaptureStatus found = CU_STREAM_CAPTURE_STATUS_NONE;
    check(api, api.cuStreamIsCapturing(stream.get(), &found), "asking for the capture's status");
    return found;
  }
  [[nodiscard]] CUgraphExec instantiate() const {
    CUgraphExec executable = nullptr;
    check(api, api.cuGraphInstantiateWithFlags(&executable, graph, 0), "instantiating");
    return executable;
  }
  [[nodiscard]] std::size_t node_count() const {
    std::size_t count = 0;
    check(api,
          symbol<CUresult(CUgraph, CUgraphNode*, std::size_t*)>("cuGraphGetNodes")(graph, nullptr, &count),
          "nodes");
    return count;
  }

  CUgraph graph = nullptr;
};

}  // namespace

TEST_CASE_METHOD(GraphFixture, "a capture records work instead of doing it, and replays it") {
  const StreamHandle stream(api);
  const DeviceBuffer a(api, 64);
  const DeviceBuffer b(api, 64);
  Words source(16, 100);
  Words seen(16);
  a.fill(0);
  REQUIRE(begin(stream) == CUDA_SUCCESS);
  CHECK(status(stream) == CU_STREAM_CAPTURE_STATUS_ACTIVE);
  REQUIRE(api.cuMemcpyHtoDAsync(a.address(), source.data(), 64, stream.get()) == CUDA_SUCCESS);
  REQUIRE(add(a.address(), 16, 1, stream.get()) == CUDA_SUCCESS);
  REQUIRE(api.cuMemsetD32Async(b.address(), 5, 16, stream.get()) == CUDA_SUCCESS);
  REQUIRE(api.cuMemcpyDtoDAsync(b.address(), a.address(), 32, stream.get()) == CUDA_SUCCESS);
  REQUIRE(api.cuMemcpyDtoHAsync(seen.data(), b.address(), 64, stream.get()) == CUDA_SUCCESS);
  REQUIRE(end(stream) == CUDA_SUCCESS);
  CHECK(status(stream) == CU_STREAM_CAPTURE_STATUS_NONE);
  CHECK(node_count() == 5);
  CHECK(read_words(a) == Words(16, 0));
  CHECK(seen == Words(16));

  const CUgraphExec executable = instantiate();
  CHECK(api.cuGraphDestroy(graph) == CUDA_SUCCESS);
  REQUIRE(api.cuGraphLaunch(executable, stream.get()) == CUDA_SUCCESS);
  stream.synchronize();
  Words expected(16, 5);
  std::fill_n(expected.begin(), 8, 101);
  CHECK(seen == expected);
  // A graph reads its host memory when it runs.
  source.assign(16, 200);
  REQUIRE(api.cuGraphLaunch(executable, stream.get()) == CUDA_SUCCESS);
  REQUIRE(api.cuGraphLaunch(executable, nullptr) == CUDA_SUCCESS);
  context.synchronize();
  std::fill_n(expected.begin(), 8, 201);
  CHECK(seen == expected);
  CHECK(api.cuGraphExecDestroy(executable) == CUDA_SUCCESS);
  CHECK(api.cuGraphLaunch(executable, stream.get()) == CUDA_ERROR_INVALID_HANDLE);
  CHECK(api.cuGraphDestroy(graph) == CUDA_ERROR_INVALID_HANDLE);
}

TEST_CASE_METHOD(GraphFixture, "events fork a capture into other streams and join them again") {
  const StreamHandle origin(api);
  const StreamHandle side(api);
  const Event forked(api);
  const Event joined(api);
  const DeviceBuffer a(api, 64);
  const DeviceBuffer b(api, 64);
  REQUIRE(begin(origin) == CUDA_SUCCESS);
  REQUIRE(api.cuMemsetD32Async(a.address(), 1, 16, origin.get()) == CUDA_SUCCESS);
  forked.record(origin.get());
  CHECK(status(side) == CU_STREAM_CAPTURE_STATUS_NONE);
  REQUIRE(api.cuStreamWaitEvent(side.get(), forked.get(), 0) == CUDA_SUCCESS);
  CHECK(status(side) == CU_STREAM_CAPTURE_STATUS_ACTIVE);
  REQUIRE(api.cuMemcpyDtoDAsync(b.address(), a.address(), 64, side.get()) == CUDA_SUCCESS);
  REQUIRE(add(b.address(), 16, 10, side.get()) == CUDA_SUCCESS);

  CUgraph unused = nullptr;
  SECTION("joined") {
    joined.record(side.get());
    REQUIRE(api.cuStreamWaitEvent(origin.get(), joined.get(), 0) == CUDA_SUCCESS);
    REQUIRE(add(b.address(), 16, 100, origin.get()) == CUDA_SUCCESS);
    CUstreamCaptureStatus found = CU_STREAM_CAPTURE_STATUS_NONE;
    std::uint64_t id = 0;
    const CUgraphNode* dependencies = nullptr;
    std::size_t count = 0;
    CHECK(api.cuStreamGetCaptureInfo(origin.get(), &found, &id, &unused, &dependencies, &count) ==
          CUDA_SUCCESS);
    CHECK((found == CU_STREAM_CAPTURE_STATUS_ACTIVE && id != 0 && unused != nullptr && count == 1));
    REQUIRE(end(origin) == CUDA_SUCCESS);
    CHECK(graph == unused);
    CHECK(status(side) == CU_STREAM_CAPTURE_STATUS_NONE);
    const CUgraphExec executable = instantiate();
    REQUIRE(api.cuGraphLaunch(executable, origin.get()) == CUDA_SUCCESS);
    origin.synchronize();
    CHECK(read_words(b) == Words(16, 111));
    CHECK(api.cuEventQuery(forked.get()) == CUDA_ERROR_CAPTURED_EVENT);
  }
  SECTION("not joined") {
    CHECK(end(origin) == CUDA_ERROR_STREAM_CAPTURE_UNJOINED);
    CHECK(graph == nullptr);
    CHECK(status(side) == CU_STREAM_CAPTURE_STATUS_NONE);
  }
  SECTION("ended in the wrong stream") {
    CHECK(api.cuStreamEndCapture(side.get(), &unused) == CUDA_ERROR_STREAM_CAPTURE_UNMATCHED);
    CHECK(end(origin) == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  }
  SECTION("destroyed") {
    CUstream third = nullptr;
    REQUIRE(api.cuStreamCreate(&third, CU_STREAM_NON_BLOCKING) == CUDA_SUCCESS);
    REQUIRE(api.cuStreamWaitEvent(third, forked.get(), 0) == CUDA_SUCCESS);
    REQUIRE(api.cuStreamDestroy(third) == CUDA_SUCCESS);
    // A forked stream may go: what it recorded stays in the capture.
    CHECK(status(origin) == CU_STREAM_CAPTURE_STATUS_ACTIVE);
  }
}

TEST_CASE_METHOD(GraphFixture, "calls that a capture forbids fail and make it invalid") {
  const StreamHandle stream(api);
  const DeviceBuffer buffer(api, 64);
  Words host(16);
  CUdeviceptr pointer = 0;
  CUlibrary library = nullptr;
  CUmodule loaded = nullptr;
  const Event event(api);
  const CUfunction ready = function("bounded");
  REQUIRE(ready != nullptr);
  REQUIRE(begin(stream) == CUDA_SUCCESS);
  const int forbidden = GENERATE(range(0, 9));
  CAPTURE(forbidden);
  CUresult result = CUDA_SUCCESS;
  CUresult wanted = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  switch (forbidden) {
    case 0:
      result = api.cuMemAlloc(&pointer, 16);
      break;
    case 1:
      result = api.cuStreamSynchronize(stream.get());
      break;
    case 2:
      result = api.cuStreamQuery(stream.get());
      break;
    case 3:
      result = api.cuCtxSynchronize();
      break;
    case 4:
      result = api.cuLibraryLoadData(&library, kernels, nullptr, nullptr, 0, nullptr, nullptr, 0);
      break;
    case 5:
      result = api.cuModuleLoadDataEx(&loaded, kernels, 0, nullptr, nullptr);
      break;
    case 6:
      result = api.cuMemcpyDtoH(host.data(), buffer.address(), 64);
      break;
    case 7:
      event.record(stream.get());
      result = api.cuEventSynchronize(event.get());
      wanted = CUDA_ERROR_CAPTURED_EVENT;
      break;
    default:
      result = api.cuMemFree(buffer.address());
      break;
  }
  CHECK(result == wanted);
  CHECK(status(stream) == CU_STREAM_CAPTURE_STATUS_INVALIDATED);
  CHECK(run("bounded", stream.get()) == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  CHECK(end(stream) == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  CHECK(graph == nullptr);
  // The stream is usable again.
  CHECK(run("bounded", stream.get()) == CUDA_SUCCESS);
  stream.synchronize();
}

TEST_CASE_METHOD(GraphFixture, "modes say whose unsafe calls a capture forbids") {
  const StreamHandle stream(api);
  const auto mode = GENERATE(CU_STREAM_CAPTURE_MODE_GLOBAL, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL,
                             CU_STREAM_CAPTURE_MODE_RELAXED);
  CAPTURE(mode);
  const auto allocate = [&] {
    const CurrentContext current(api, context.handle());
    CUdeviceptr pointer = 0;
    return api.cuMemAlloc(&pointer, 16);
  };
  const auto allocate_elsewhere = [&](CUstreamCaptureMode thread_mode) {
    CUresult result = CUDA_SUCCESS;
    std::thread([&] {
      CUstreamCaptureMode exchanged = thread_mode;
      api.cuThreadExchangeStreamCaptureMode(&exchanged);
      result = allocate();
    }).join();
    return result;
  };
  const auto after = [&](auto&& call) {
    REQUIRE(begin(stream, mode) == CUDA_SUCCESS);
    const CUresult result = call();
    const CUresult ended = end(stream);
    CHECK((result == CUDA_SUCCESS) == (ended == CUDA_SUCCESS));
    return result;
  };
  const bool relaxed = mode == CU_STREAM_CAPTURE_MODE_RELAXED;
  const bool global = mode == CU_STREAM_CAPTURE_MODE_GLOBAL;
  constexpr CUresult refused = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  CHECK(after(allocate) == (relaxed ? CUDA_SUCCESS : refused));
  CHECK(after([&] { return allocate_elsewhere(CU_STREAM_CAPTURE_MODE_GLOBAL); }) ==
        (global ? refused : CUDA_SUCCESS));
  CHECK(after([&] { return allocate_elsewhere(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL); }) == CUDA_SUCCESS);
  CHECK(after([&] {
          CUstreamCaptureMode exchanged = CU_STREAM_CAPTURE_MODE_RELAXED;
          REQUIRE(api.cuThreadExchangeStreamCaptureMode(&exchanged) == CUDA_SUCCESS);
          CHECK(exchanged == CU_STREAM_CAPTURE_MODE_GLOBAL);
          const CUresult result = allocate();
          REQUIRE(api.cuThreadExchangeStreamCaptureMode(&exchanged) == CUDA_SUCCESS);
          CHECK(exchanged == CU_STREAM_CAPTURE_MODE_RELAXED);
          return result;
        }) == CUDA_SUCCESS);
}

TEST_CASE_METHOD(GraphFixture, "captures and the legacy default stream keep apart") {
  const StreamHandle blocking(api, CU_STREAM_DEFAULT);
  const StreamHandle free_running(api);
  const DeviceBuffer buffer(api, 64);
  CUstreamCaptureStatus found = CU_STREAM_CAPTURE_STATUS_NONE;
  CHECK(api.cuStreamBeginCapture(nullptr, CU_STREAM_CAPTURE_MODE_GLOBAL) ==
        CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  REQUIRE(begin(blocking) == CUDA_SUCCESS);
  CHECK(api.cuStreamIsCapturing(nullptr, &found) == CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
  CHECK(status(blocking) == CU_STREAM_CAPTURE_STATUS_ACTIVE);
  CHECK(api.cuMemsetD32Async(buffer.address(), 1, 16, nullptr) == CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
  CHECK(end(blocking) == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);

  REQUIRE(begin(free_running) == CUDA_SUCCESS);
  CHECK(api.cuMemsetD32Async(buffer.address(), 1, 16, nullptr) == CUDA_SUCCESS);
  CHECK(api.cuStreamSynchronize(nullptr) == CUDA_SUCCESS);
  CHECK(end(free_running) == CUDA_SUCCESS);
  CHECK(read_words(buffer) == Words(16, 1));
}

TEST_CASE_METHOD(GraphFixture, "a capture begins and ends once, where and by whom it may") {
  const StreamHandle stream(api);
  CHECK(end(stream) == CUDA_ERROR_ILLEGAL_STATE);
  REQUIRE(begin(stream) == CUDA_SUCCESS);
  CHECK(begin(stream) == CUDA_ERROR_ILLEGAL_STATE);
  std::thread([&] { CHECK(end(stream) == CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD); }).join();
  CHECK(end(stream) == CUDA_SUCCESS);
  REQUIRE(begin(stream, CU_STREAM_CAPTURE_MODE_RELAXED) == CUDA_SUCCESS);
  std::thread([&] { CHECK(end(stream) == CUDA_SUCCESS); }).join();
  CHECK(node_count() == 0);
  CHECK(api.cuStreamBeginCapture(stream.get(), static_cast<CUstreamCaptureMode>(9)) ==
        CUDA_ERROR_INVALID_VALUE);
}

TEST_CASE_METHOD(GraphFixture, "captures take in neither uncaptured work nor one another") {
  const StreamHandle first(api);
  const StreamHandle second(api);
  const Event event(api);
  event.record(second.get());
  REQUIRE(begin(first) == CUDA_SUCCESS);
  CHECK(api.cuStreamWaitEvent(first.get(), event.get(), 0) == CUDA_ERROR_STREAM_CAPTURE_ISOLATION);
  CHECK(end(first) == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);

  REQUIRE(begin(first) == CUDA_SUCCESS);
  REQUIRE(begin(second) == CUDA_SUCCESS);
  event.record(second.get());
  CHECK(api.cuStreamWaitEvent(first.get(), event.get(), 0) == CUDA_ERROR_STREAM_CAPTURE_MERGE);
  CHECK(end(first) == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  CHECK(end(second) == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
}

TEST_CASE_METHOD(GraphFixture, "a graph launched into a capture becomes a node of it") {
  const StreamHandle stream(api);
  const DeviceBuffer buffer(api, 64);
  buffer.fill(0);
  REQUIRE(begin(stream) == CUDA_SUCCESS);
  REQUIRE(add(buffer.address(), 16, 1, stream.get()) == CUDA_SUCCESS);
  REQUIRE(add(buffer.address(), 16, 2, stream.get()) == CUDA_SUCCESS);
  REQUIRE(end(stream) == CUDA_SUCCESS);
  const CUgraphExec inner = instantiate();
  REQUIRE(begin(stream) == CUDA_SUCCESS);
  REQUIRE(api.cuGraphLaunch(inner, stream.get()) == CUDA_SUCCESS);
  REQUIRE(add(buffer.address(), 16, 10, stream.get()) == CUDA_SUCCESS);
  REQUIRE(end(stream) == CUDA_SUCCESS);
  CHECK(node_count() == 2);
  const CUgraphExec outer = instantiate();
  CHECK(api.cuGraphExecDestroy(inner) == CUDA_SUCCESS);
  for (int i = 0; i < 3; ++i) {
    REQUIRE(api.cuGraphLaunch(outer, stream.get()) == CUDA_SUCCESS);
  }
  stream.synchronize();
  CHECK(read_words(buffer) == Words(16, 39));
}

TEST_CASE_METHOD(GraphFixture, "a graph stops at its first fault") {
  const StreamHandle stream(api);
  REQUIRE(begin(stream) == CUDA_SUCCESS);
  REQUIRE(store(64, 1, stream.get()) == CUDA_SUCCESS);
  REQUIRE(run("trap", stream.get()) == CUDA_SUCCESS);
  REQUIRE(end(stream) == CUDA_SUCCESS);
  const CUgraphExec executable = instantiate();
  REQUIRE(api.cuGraphLaunch(executable, stream.get()) == CUDA_SUCCESS);
  CHECK(api.cuStreamSynchronize(stream.get()) == CUDA_ERROR_ILLEGAL_ADDRESS);
}
