#include "kerncast/runtime.hpp"

#include <catch2/catch.hpp>
#include <vector>

#include "runtime/dispatch/runtime_parts.hpp"
#include "runtime/driver/context.hpp"
#include "templates/norm/rms_norm.hpp"
#include "tests/cache/sample.hpp"

using namespace kerncast;

namespace {

/// A runtime with a cache of its own, and rows of ones whose norm is one.
struct Fixture {
  explicit Fixture(MissPolicy policy = MissPolicy::compile)
      : runtime(options(policy)),
        context(driver::load_driver(), 0),
        x(context.api(), bytes),
        y(context.api(), bytes) {
    std::vector<float> ones(rows * hidden, 1.0F);
    x.upload(ones.data(), bytes);
    y.fill(0xCD);
    arguments.x = TensorView::contiguous(x.data(), DType::f32, {rows, hidden});
    arguments.y = TensorView::contiguous(y.data(), DType::f32, {rows, hidden});
    arguments.eps = 0;
  }
  [[nodiscard]] RuntimeOptions options(MissPolicy policy) const {
    RuntimeOptions out;
    out.cache_directory = folder.path();
    out.miss_policy = policy;
    return out;
  }
  [[nodiscard]] std::vector<float> result() const {
    std::vector<float> values(rows * hidden);
    y.download(values.data(), bytes);
    return values;
  }

  static constexpr std::int64_t rows = 3;
  static constexpr std::int64_t hidden = 256;
  static constexpr std::size_t bytes = rows * hidden * 4;
  TemporaryFolder folder;
  Runtime runtime;
  driver::PrimaryContext context;
  driver::DeviceBuffer x;
  driver::DeviceBuffer y;
  norm::RmsNorm arguments;
};

const std::vector<float> ones(Fixture::rows* Fixture::hidden, 1.0F);

}  // namespace

TEST_CASE("a call compiles once, is cached, and launches") {
  Fixture f;
  norm::rms_norm(f.runtime, f.arguments, nullptr);
  CHECK(f.result() == ones);
  CHECK(f.runtime.parts().hot.size() == 1);
  CHECK(f.runtime.parts().store.counters().published == 1);
  f.y.fill(0xCD);
  norm::rms_norm(f.runtime, f.arguments, nullptr);
  CHECK(f.result() == ones);
  CHECK(f.runtime.parts().store.counters().published == 1);

  Runtime second(f.options(MissPolicy::cache_only));
  f.y.fill(0xCD);
  norm::rms_norm(second, f.arguments, nullptr);
  CHECK(f.result() == ones);
  CHECK(second.parts().store.counters().hits == 1);
}

TEST_CASE("a prepared launch repeats the call") {
  Fixture f;
  const PreparedLaunch prepared = norm::prepare_rms_norm(f.runtime, f.arguments);
  f.y.fill(0xCD);
  prepared.launch(nullptr);
  CHECK(f.result() == ones);
}

TEST_CASE("no rows launch nothing and load nothing") {
  Fixture f;
  f.arguments.x = TensorView::contiguous(f.x.data(), DType::f32, {0, Fixture::hidden});
  f.arguments.y = TensorView::contiguous(f.y.data(), DType::f32, {0, Fixture::hidden});
  norm::rms_norm(f.runtime, f.arguments, nullptr);
  CHECK(f.runtime.parts().hot.size() == 0);
}

TEST_CASE("strict serving fails on a miss and names the command that would have covered it") {
  Fixture f(MissPolicy::cache_only);
  CHECK_THROWS_WITH(norm::rms_norm(f.runtime, f.arguments, nullptr), Catch::Contains("norm.rms_norm") &&
                                                                         Catch::Contains("hidden=256") &&
                                                                         Catch::Contains("kerncast"));
}

TEST_CASE("a miss during capture loads from the cache and never compiles") {
  Fixture f;
  const driver::DriverApi& api = f.context.api();
  driver::CUstream stream = nullptr;
  REQUIRE(api.cuStreamCreate(&stream, 1) == driver::CUDA_SUCCESS);
  REQUIRE(api.cuStreamBeginCapture(stream, driver::CU_STREAM_CAPTURE_MODE_GLOBAL) == driver::CUDA_SUCCESS);
  try {
    norm::rms_norm(f.runtime, f.arguments, stream);
    FAIL("compiled during capture");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::capture_miss);
  }
  driver::CUgraph graph = nullptr;
  REQUIRE(api.cuStreamEndCapture(stream, &graph) == driver::CUDA_SUCCESS);
  REQUIRE(api.cuGraphDestroy(graph) == driver::CUDA_SUCCESS);

  norm::rms_norm(f.runtime, f.arguments, nullptr);
  f.context.synchronize();
  Runtime fresh(f.options(MissPolicy::compile));
  static_cast<void>(fresh.arch(0));
  f.y.fill(0xCD);
  REQUIRE(api.cuStreamBeginCapture(stream, driver::CU_STREAM_CAPTURE_MODE_GLOBAL) == driver::CUDA_SUCCESS);
  norm::rms_norm(fresh, f.arguments, stream);
  REQUIRE(api.cuStreamEndCapture(stream, &graph) == driver::CUDA_SUCCESS);
  driver::CUgraphExec executable = nullptr;
  REQUIRE(api.cuGraphInstantiateWithFlags(&executable, graph, 0) == driver::CUDA_SUCCESS);
  REQUIRE(api.cuGraphLaunch(executable, stream) == driver::CUDA_SUCCESS);
  REQUIRE(api.cuStreamSynchronize(stream) == driver::CUDA_SUCCESS);
  CHECK(f.result() == ones);
  CHECK(api.cuGraphExecDestroy(executable) == driver::CUDA_SUCCESS);
  CHECK(api.cuGraphDestroy(graph) == driver::CUDA_SUCCESS);
  CHECK(api.cuStreamDestroy(stream) == driver::CUDA_SUCCESS);
}

TEST_CASE("a host pointer in a named call is refused by the tensor's name") {
  Fixture f;
  std::vector<float> host(Fixture::rows * Fixture::hidden);
  Bindings bindings;
  bindings.set_tensor("x", TensorView::contiguous(host.data(), DType::f32, {Fixture::rows, Fixture::hidden}));
  bindings.set_tensor("y", f.arguments.y);
  CHECK_THROWS_WITH(f.runtime.run(norm::rms_norm_op(), bindings, nullptr),
                    Catch::Contains("'x'") && Catch::Contains("host memory"));
}
