#include <catch2/catch.hpp>
#include <vector>

#include "tests/dispatch/rows_of_ones.hpp"

using namespace kerncast;

namespace {

struct OwnArguments {
  float* y;
  long long count;
};

constexpr std::int64_t shared_floats = 16384;  // 64 KiB: more than a kernel gets unasked

/// y = 1, then y = 2 y + 1 through shared memory: an op of a host's own, of two stages and no file of the
/// library.
OpDefinition own_op() {
  OpDefinition op;
  op.name = "own.three";
  op.include = "own/three.cuh";
  op.kernel = "own::fill_ones";
  op.arguments_type = "own::Arguments";
  op.sources = {{"own/arguments.h",
                 "#pragma once\nnamespace own { struct Arguments { float* y; long long count; }; }\n"},
                {"own/three.cuh", R"(#include "own/arguments.h"
#include "device/index.cuh"
namespace own {
template <class Config> __global__ void fill_ones(Arguments a) {
  for (long long i = threadIdx.x; i < a.count; i += blockDim.x) a.y[i] = 1.0f;
}
template <class Config> __global__ void double_and_add(Arguments a) {
  extern __shared__ float buffer[];
  const long long i = kerncast::linear_block() * Config::threads + threadIdx.x;
  float* mine = buffer + 16384 - 1 - threadIdx.x;
  *mine = i < a.count ? a.y[i] : 0.0f;
  if (i < a.count) a.y[i] = 2.0f * *mine + 1.0f;
}
template <class Config> __global__ void spoil(Arguments a) { a.y[0] = 0.0f; }
}
)"}};
  op.tunables = {{"threads", "threads of a block", {128}}};
  op.default_tunables = [](const Specialisation&, const DeviceTraits&, std::int64_t) {
    return Tunables{{128}};
  };
  op.geometry = [](const Specialisation&, const Tunables&, const DeviceTraits&, std::int64_t) noexcept {
    return LaunchGeometry{{1, 1, 1}, {32, 1, 1}, 0};
  };
  op.later_stages = {
      {"own::double_and_add",
       [](const Specialisation&, const Tunables& tunables, const DeviceTraits&, std::int64_t rows) noexcept {
         const auto threads = static_cast<std::uint32_t>(tunables[0]);
         return LaunchGeometry{{(static_cast<std::uint32_t>(rows) + threads - 1) / threads, 1, 1},
                               {threads, 1, 1},
                               shared_floats * sizeof(float)};
       }},
      {"own::spoil", [](const Specialisation&, const Tunables&, const DeviceTraits&, std::int64_t) noexcept {
         return LaunchGeometry{{0, 1, 1}, {1, 1, 1}, 0};
       }}};
  op.bind = [](const Bindings& bindings) {
    const TensorView& y = bindings.require_tensor("own.three", "y");
    Call call;
    call.rows = y.numel();
    call.set_arguments(OwnArguments{static_cast<float*>(y.data), y.numel()});
    return call;
  };
  return op;
}

}  // namespace

TEST_CASE("an op of a host's own brings its template and launches its stages in order") {
  RowsOfOnes f;
  const OpDefinition op = own_op();
  Bindings bindings;
  bindings.set_tensor("y", f.arguments.y);
  f.runtime.run(op, bindings, nullptr);
  const std::vector<float> threes(f.result().size(), 3.0F);
  CHECK(f.result() == threes);
  CHECK(implementation_of(f.runtime).cache.store().counters().published == 1);

  f.y.fill(0xCD);
  f.runtime.prepare(op, op.bind(bindings)).launch(nullptr);
  CHECK(f.result() == threes);

  Runtime second(f.options(MissPolicy::cache_only));
  f.y.fill(0xCD);
  second.run(op, bindings, nullptr);
  CHECK(f.result() == threes);
}

TEST_CASE("a change in an own template is another kernel") {
  RowsOfOnes f;
  OpDefinition op = own_op();
  Bindings bindings;
  bindings.set_tensor("y", f.arguments.y);
  f.runtime.run(op, bindings, nullptr);
  op.sources[1].second += "// changed\n";
  Runtime second(f.options(MissPolicy::cache_only));
  CHECK_THROWS_WITH(second.run(op, bindings, nullptr), Catch::Contains("own.three"));
}

TEST_CASE("stages that cannot be launched are refused when the op registers") {
  OpDefinition op = own_op();
  op.later_stages[0].geometry = nullptr;
  CHECK_THROWS_WITH(OpRegistry::instance().add(op), Catch::Contains("later stage"));
  op = own_op();
  op.later_stages.resize(OpDefinition::max_stages, op.later_stages[0]);
  CHECK_THROWS_WITH(OpRegistry::instance().add(op), Catch::Contains("stages"));
}
