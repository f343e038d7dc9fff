#include "kerncast/runtime.hpp"

#include <atomic>
#include <catch2/catch.hpp>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/dispatch/rows_of_ones.hpp"

using namespace kerncast;

using Fixture = RowsOfOnes;

namespace {

const std::vector<float> ones(Fixture::rows* Fixture::hidden, 1.0F);

}  // namespace

TEST_CASE("a call compiles once, is cached, and launches") {
  Fixture f;
  launch(f.runtime, f.arguments, nullptr);
  CHECK(f.result() == ones);
  CHECK(implementation_of(f.runtime).hot.size() == 1);
  CHECK(implementation_of(f.runtime).cache.store().counters().published == 1);
  f.y.fill(0xCD);
  launch(f.runtime, f.arguments, nullptr);
  CHECK(f.result() == ones);
  CHECK(implementation_of(f.runtime).cache.store().counters().published == 1);

  Runtime second(f.options(MissPolicy::cache_only));
  f.y.fill(0xCD);
  launch(second, f.arguments, nullptr);
  CHECK(f.result() == ones);
  CHECK(implementation_of(second).cache.store().counters().hits == 1);
}

TEST_CASE("a prepared launch repeats the call") {
  Fixture f;
  const PreparedLaunch prepared = prepare(f.runtime, f.arguments);
  f.y.fill(0xCD);
  prepared.launch(nullptr);
  CHECK(f.result() == ones);
}

TEST_CASE("no rows launch nothing and load nothing") {
  Fixture f;
  f.arguments.x = TensorView::contiguous(f.x.data(), DType::f32, {0, Fixture::hidden});
  f.arguments.y = TensorView::contiguous(f.y.data(), DType::f32, {0, Fixture::hidden});
  launch(f.runtime, f.arguments, nullptr);
  CHECK(implementation_of(f.runtime).hot.size() == 0);
}

TEST_CASE("strict serving fails on a miss and names the command that would have covered it") {
  Fixture f(MissPolicy::cache_only);
  CHECK_THROWS_WITH(launch(f.runtime, f.arguments, nullptr), Catch::Contains("norm.rms_norm") &&
                                                                 Catch::Contains("hidden=256") &&
                                                                 Catch::Contains("kerncast"));
}

TEST_CASE("many threads on one cold call compile once and all launch") {
  Fixture f;
  std::vector<std::thread> threads;
  std::atomic<int> launched{0};
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      const driver::CurrentContext current(f.context.api(), f.context.handle());
      launch(f.runtime, f.arguments, nullptr);
      ++launched;
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  CHECK(launched == 8);
  CHECK(f.result() == ones);
  CHECK(implementation_of(f.runtime).cache.store().counters().published == 1);
  CHECK(implementation_of(f.runtime).hot.size() == 1);
}

TEST_CASE("a host pointer in a named call is refused by the tensor's name") {
  Fixture f;
  std::vector<float> host(Fixture::rows * Fixture::hidden);
  Bindings bindings;
  bindings.set_tensor("x", TensorView::contiguous(host.data(), DType::f32, {Fixture::rows, Fixture::hidden}));
  bindings.set_tensor("y", f.arguments.y);
  CHECK_THROWS_WITH(f.runtime.run(definition_of<norm::RmsNorm>(), bindings, nullptr),
                    Catch::Contains("'x'") && Catch::Contains("host memory"));
}

TEST_CASE("a named call refuses a name that the op does not have, with the nearest") {
  Fixture f;
  const OpDefinition& op = definition_of<norm::RmsNorm>();
  Bindings bindings;
  bindings.set_tensor("x", f.arguments.x);
  bindings.set_tensor("y", f.arguments.y);
  SECTION("scalar") {
    bindings.set_scalar("epss", 1e-3);
    CHECK_THROWS_WITH(f.runtime.run(op, bindings, nullptr),
                      Catch::Contains("no scalar 'epss' (did you mean eps?)"));
  }
  SECTION("tensor") {
    bindings.set_tensor("wieght", f.arguments.x);
    CHECK_THROWS_WITH(f.runtime.run(op, bindings, nullptr),
                      Catch::Contains("no tensor 'wieght' (did you mean weight?)"));
  }
  SECTION("setting") {
    bindings.set_param("hf_roundin", "true");
    CHECK_THROWS_WITH(f.runtime.run(op, bindings, nullptr),
                      Catch::Contains("no parameter 'hf_roundin' (did you mean hf_rounding?)"));
  }
  CHECK(implementation_of(f.runtime).hot.size() == 0);
}

TEST_CASE("a launch that nobody prepared is an error, and one of no rows does nothing") {
  const PreparedLaunch forgotten{};
  CHECK_THROWS_WITH(forgotten.launch(nullptr), Catch::Contains("never prepared"));
  Fixture f;
  f.arguments.x = TensorView::contiguous(f.x.data(), DType::f32, {0, Fixture::hidden});
  f.arguments.y = TensorView::contiguous(f.y.data(), DType::f32, {0, Fixture::hidden});
  const PreparedLaunch empty = prepare(f.runtime, f.arguments);
  CHECK_NOTHROW(empty.launch(nullptr));
}

TEST_CASE("a warning sink that throws fails no launch") {
  Fixture f;
  RuntimeOptions options = f.options(MissPolicy::compile);
  options.cache_directory = "/dev/null/cache";
  int warned = 0;
  options.warn = [&](std::string_view) {
    ++warned;
    throw std::runtime_error("the host's log is closed");
  };
  Runtime runtime(options);
  CHECK_NOTHROW(launch(runtime, f.arguments, nullptr));
  CHECK(warned > 0);
  CHECK(f.result() == ones);
}
