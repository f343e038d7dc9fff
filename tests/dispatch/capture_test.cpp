#include <catch2/catch.hpp>
#include <thread>
#include <vector>

#include "runtime/driver/driver_error.hpp"
#include "tests/dispatch/rows_of_ones.hpp"

using namespace kerncast;

namespace {

/// A stream that is being captured, and the graph that the capture records.
class Capture {
 public:
  Capture(const driver::DriverApi& api, driver::CUstreamCaptureMode mode,
          unsigned int flags = driver::CU_STREAM_NON_BLOCKING)
      : api_(api), stream_(api, flags) {
    driver::check(api_, api_.cuStreamBeginCapture(stream_.get(), mode), "beginning a capture");
  }

  [[nodiscard]] Stream stream() const { return stream_.get(); }

  /// Ends the capture, which must still be valid, and runs the recorded graph once.
  void replay() {
    driver::CUgraph graph = nullptr;
    driver::CUgraphExec executable = nullptr;
    driver::check(api_, api_.cuStreamEndCapture(stream_.get(), &graph), "ending the capture");
    driver::check(api_, api_.cuGraphInstantiateWithFlags(&executable, graph, 0), "instantiating");
    driver::check(api_, api_.cuGraphLaunch(executable, stream_.get()), "replaying");
    stream_.synchronize();
    CHECK(api_.cuGraphExecDestroy(executable) == driver::CUDA_SUCCESS);
    CHECK(api_.cuGraphDestroy(graph) == driver::CUDA_SUCCESS);
  }

 private:
  const driver::DriverApi& api_;
  driver::StreamHandle stream_;
};

const std::vector<float> ones(RowsOfOnes::rows* RowsOfOnes::hidden, 1.0F);

driver::CUstreamCaptureMode any_mode() {
  return GENERATE(driver::CU_STREAM_CAPTURE_MODE_GLOBAL, driver::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL,
                  driver::CU_STREAM_CAPTURE_MODE_RELAXED);
}

}  // namespace

TEST_CASE("a miss during capture is an error that says how to warm the cache, and the capture stays valid") {
  RowsOfOnes f;
  Capture capture(f.context.api(), any_mode());
  f.arguments.eps = 0;
  try {
    launch(f.runtime, f.arguments, capture.stream());
    FAIL("compiled during capture");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::capture_miss);
    const std::string arch = f.runtime.arch(0);
    CHECK_THAT(error.what(), Catch::Contains("norm.rms_norm [") && Catch::Contains("hidden=256") &&
                                 Catch::Contains("kerncast warm norm.rms_norm --set ") &&
                                 Catch::Contains(" --arch " + arch + " --sms ") &&
                                 Catch::EndsWith(" --rows 3"));
  }
  CHECK(implementation_of(f.runtime).hot.size() == 0);
  CHECK(implementation_of(f.runtime).cache.store().statistics().entries == 0);
  capture.replay();
}

TEST_CASE("a first call during capture loads from the cache in every mode") {
  RowsOfOnes f;
  launch(f.runtime, f.arguments, nullptr);
  f.context.synchronize();
  f.y.fill(0xCD);
  const auto mode = any_mode();
  // This runtime has not used the device before.
  Runtime fresh(f.options(MissPolicy::compile));
  Capture capture(f.context.api(), mode);
  launch(fresh, f.arguments, capture.stream());
  CHECK(implementation_of(fresh).cache.store().counters().hits == 1);
  launch(fresh, f.arguments, capture.stream());
  capture.replay();
  CHECK(f.result() == ones);
}

TEST_CASE("what was loaded ahead is launched during capture without a file, a module or a compile") {
  RowsOfOnes f;
  RuntimeOptions recording = f.options(MissPolicy::compile);
  recording.record = f.folder.file("record.jsonl");
  Runtime earlier(recording);
  launch(earlier, f.arguments, nullptr);
  f.context.synchronize();
  f.y.fill(0xCD);
  const auto mode = any_mode();
  std::vector<KernelEventKind> heard;
  RuntimeOptions listening = f.options(MissPolicy::compile);
  listening.listener = [&heard](const KernelEvent& event) { heard.push_back(event.kind); };
  listening.listen_to_launches = true;
  Runtime fresh(listening);
  REQUIRE(fresh.load_all(recording.record).failures.empty());
  fresh.seal();
  heard.clear();
  Capture capture(f.context.api(), mode);
  launch(fresh, f.arguments, capture.stream());
  CHECK(heard == std::vector{KernelEventKind::launch});
  capture.replay();
  CHECK(f.result() == ones);
}

TEST_CASE("a kernel can be made ready beside a capture") {
  RowsOfOnes f;
  // While a blocking stream captures, even a query about the legacy stream fails.
  const unsigned int flags = GENERATE(driver::CU_STREAM_DEFAULT, driver::CU_STREAM_NON_BLOCKING);
  Capture capture(f.context.api(), any_mode(), flags);
  SECTION("on the capturing thread") {
    const PreparedLaunch prepared = prepare(f.runtime, f.arguments);
    prepared.launch(capture.stream());
  }
  SECTION("on another thread") {
    std::thread([&] {
      const KernelReport report = f.runtime.ensure(definition_of<norm::RmsNorm>(), bind(f.arguments));
      CHECK(report.origin == Origin::compiled);
    }).join();
    launch(f.runtime, f.arguments, capture.stream());
  }
  f.runtime.make_current(0);
  capture.replay();
  CHECK(f.result() == ones);
}
