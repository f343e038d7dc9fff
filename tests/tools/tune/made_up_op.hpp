#pragma once

#include <string>
#include <utility>
#include <vector>

#include "kerncast/op_definition.hpp"
#include "tools/tune/space/point.hpp"
#include "tools/tune/space/space.hpp"

/// An op for tuners, small enough to compile and launch quickly.
namespace kerncast::test {

struct DoubleArguments {
  const float* x;
  float* y;
  long long count;
};

inline TensorPlan floats(const char* name, std::int64_t count) {
  TensorPlan plan;
  plan.name = name;
  plan.shape = {count};
  return plan;
}

/// y = 2 x. With 96 threads it writes 3 x, and with 160 it does not compile.
inline OpDefinition doubling_op() {
  OpDefinition op;
  op.name = "own.double";
  op.include = "own/double.cuh";
  op.kernel = "own::twice";
  op.arguments_type = "own::Arguments";
  op.sources = {
      {"own/arguments.h",
       "#pragma once\nnamespace own { struct Arguments { const float* x; float* y; long long count; }; }\n"},
      {"own/double.cuh", R"(#include "own/arguments.h"
#include "device/index.cuh"
namespace own {
template <class Config> __global__ void twice(Arguments a) {
  static_assert(Config::threads != 160, "160 threads are refused");
  const long long i = kerncast::linear_block() * Config::threads + threadIdx.x;
  if (i < a.count) a.y[i] = (Config::threads == 96 ? 3.0f : 2.0f) * a.x[i];
}
}
)"}};
  op.tensors = {{"x", Direction::in, false, "[T], f32"}, {"y", Direction::out, false, "[T], f32"}};
  op.tunables = {{"threads", "threads of a block", {64, 96, 128, 160}}};
  op.default_tunables = [](const Specialisation&, const DeviceTraits&, std::int64_t) {
    return Tunables{{128}};
  };
  op.geometry = [](const Specialisation&, const Tunables& tunables, const DeviceTraits&,
                   std::int64_t rows) noexcept {
    const auto threads = static_cast<std::uint32_t>(tunables[0]);
    return LaunchGeometry{
        {(static_cast<std::uint32_t>(rows) + threads - 1) / threads, 1, 1}, {threads, 1, 1}, 0};
  };
  op.bind = [](const Bindings& bindings) {
    const TensorView& x = bindings.require_tensor("own.double", "x");
    const TensorView& y = bindings.require_tensor("own.double", "y");
    Call call;
    call.rows = x.numel();
    call.device = x.device;
    call.set_arguments(
        DoubleArguments{static_cast<const float*>(x.data), static_cast<float*>(y.data), x.numel()});
    return call;
  };
  op.plan_inputs = [](const Bindings&, std::int64_t rows) { return std::vector{floats("x", rows)}; };
  op.plan_outputs = [](const Bindings& bindings) {
    return std::vector{floats("y", bindings.require_tensor("own.double", "x").numel())};
  };
  return op;
}

/// The point of `rows` rows of `op` on an H100. `op` must outlive it.
inline tools::Point point_on_h100(const OpDefinition& op, std::int64_t rows) {
  return tools::point_of({&op, "", {}, {}}, "sm_90a", DeviceTraits{90, 132, 232448}, rows);
}

/// The candidate of so many threads.
inline tools::Candidate with_threads(const tools::Point& point, int threads) {
  const tools::Space space = tools::space_of(point);
  return space.valid.at(space.find("threads=" + std::to_string(threads)));
}

}  // namespace kerncast::test
