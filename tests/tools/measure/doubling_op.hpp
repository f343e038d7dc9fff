#pragma once

#include <string>
#include <vector>

#include "kerncast/op_definition.hpp"

/// An op for tests of the tools, small enough to compile and launch quickly.
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

/// y = 2 x. With 96 threads it also runs the statement `with_96_threads`, and with 160 it does not compile.
inline OpDefinition doubling_op(const std::string& with_96_threads) {
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
  if (i < a.count) a.y[i] = 2.0f * a.x[i];
  if constexpr (Config::threads == 96) )" +
                             with_96_threads + "\n}\n}\n"}};
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

}  // namespace kerncast::test
