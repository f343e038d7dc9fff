#include <catch2/catch.hpp>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/dispatch/rows_of_ones.hpp"

using namespace kerncast;

namespace {

struct OwnArguments {
  float* y;
  long long count;
};

constexpr std::int64_t shared_floats = 16384;  // 64 KiB: more than a kernel gets without opt-in

/// A host's own op with stages: y = 1, then y = 2 y + 1 through shared memory, and a stage that no call
/// launches.
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

/// y = value: an op named `name` whose template text is the only place that holds the value.
OpDefinition fill_op(const std::string& name, int value) {
  OpDefinition op = own_op();
  op.name = name;
  op.include = "own/fill.cuh";
  op.kernel = "own::fill";
  op.later_stages.clear();
  op.sources[1] = {"own/fill.cuh", R"(#include "own/arguments.h"
namespace own {
template <class Config> __global__ void fill(Arguments a) {
  for (long long i = threadIdx.x; i < a.count; i += blockDim.x) a.y[i] = )" +
                                       std::to_string(value) + R"(.0f;
}
}
)"};
  return op;
}

/// The value that `op` writes to every element of the fixture's y.
float filled_by(RowsOfOnes& f, const OpDefinition& op,
                const std::optional<Tunables>& tunables = std::nullopt) {
  Bindings bindings;
  bindings.set_tensor("y", f.arguments.y);
  f.y.fill(0xCD);
  if (tunables) {
    f.runtime.prepare(op, op.bind(bindings), tunables).launch(nullptr);
  } else {
    f.runtime.run(op, bindings, nullptr);
  }
  const std::vector<float> values = f.result();
  CHECK(values == std::vector<float>(values.size(), values.front()));
  return values.front();
}

}  // namespace

TEST_CASE("two definitions of one name and different template text run their own kernels in one runtime") {
  RowsOfOnes f;
  const OpDefinition one = fill_op("own.fill", 1);
  const OpDefinition two = fill_op("own.fill", 2);
  for (int repeat = 0; repeat < 2; ++repeat) {
    CHECK(filled_by(f, one) == 1.0F);
    CHECK(filled_by(f, two) == 2.0F);
  }
  CHECK(filled_by(f, one, Tunables{{128}}) == 1.0F);
  CHECK(filled_by(f, two, Tunables{{128}}) == 2.0F);
}

TEST_CASE("a definition at the address of a freed one runs its own kernel") {
  RowsOfOnes f;
  alignas(OpDefinition) std::byte storage[sizeof(OpDefinition)];
  auto* op = new (storage) OpDefinition(fill_op("own.first", 3));
  CHECK(filled_by(f, *op) == 3.0F);
  op->~OpDefinition();
  op = new (storage) OpDefinition(fill_op("own.other", 4));
  CHECK(filled_by(f, *op) == 4.0F);
  op->~OpDefinition();
}

TEST_CASE("a definition that changes after a launch runs what it says now") {
  RowsOfOnes f;
  OpDefinition op = fill_op("own.fill", 1);
  CHECK(filled_by(f, op) == 1.0F);
  op.sources[1].second.replace(op.sources[1].second.find("1.0f"), 4, "7.0f");
  CHECK(filled_by(f, op) == 7.0F);
  op = fill_op("own.fill", 1);
  CHECK(filled_by(f, op) == 1.0F);
}

TEST_CASE("a sealed definition keeps its kernel, and copies of it may change") {
  RowsOfOnes f;
  const auto one = seal(fill_op("own.fill", 1));
  const auto two = seal(fill_op("own.fill", 2));
  CHECK(one->identity.sealed());
  CHECK(filled_by(f, *one) == 1.0F);
  CHECK(filled_by(f, *two) == 2.0F);
  OpDefinition copy = *one;
  CHECK_FALSE(copy.identity.sealed());
  copy.sources[1].second = two->sources[1].second;
  CHECK(filled_by(f, copy) == 2.0F);
  const OpDefinition moved = std::move(copy);
  CHECK(filled_by(f, moved) == 2.0F);
  CHECK(implementation_of(f.runtime).hot.size() == 2);
}

TEST_CASE("a prepared launch outlives the definition that it was prepared from") {
  RowsOfOnes f;
  std::optional<OpDefinition> op = fill_op("own.fill", 5);
  Bindings bindings;
  bindings.set_tensor("y", f.arguments.y);
  const PreparedLaunch prepared = f.runtime.prepare(*op, op->bind(bindings));
  op.reset();
  prepared.launch(nullptr);
  CHECK(f.result() == std::vector<float>(f.result().size(), 5.0F));
}

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

TEST_CASE("a changed template has another key") {
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
