// A host's own op, y = max(x, 0)^2. It has what Kerncast's ops have: specialisation, cache, checked
// arguments, typed calls and calls by name.
#include <cstdio>
#include <exception>
#include <kerncast/kerncast.hpp>
#include <kerncast/op_definition.hpp>
#include <string_view>
#include <vector>

#include "support/driver.hpp"

namespace own {

// The template. Config has the parameters and the tunables as constants.
constexpr const char* squared_relu_text = R"(
namespace own {

struct SquaredReluKernelArgs {
  const float* x;
  float* y;
  long long rows;
};

template <class Config>
__global__ void __launch_bounds__(Config::threads) squared_relu_kernel(SquaredReluKernelArgs args) {
  const long long row = blockIdx.x;
  for (int i = threadIdx.x; i < Config::hidden; i += Config::threads) {
    const float positive = fmaxf(args.x[row * Config::hidden + i], 0.0f);
    args.y[row * Config::hidden + i] = positive * positive;
  }
}

}  // namespace own
)";

/// The struct in the template, as the host fills it.
struct SquaredReluKernelArgs {
  const float* x;
  float* y;
  long long rows;
};

/// The typed call: x and y are [T, hidden], f32, contiguous.
struct SquaredRelu {
  static constexpr std::string_view op_name = "own.squared_relu";
  kerncast::TensorView x;
  kerncast::TensorView y;
};

/// Checks the arguments and makes the call. Throws Error(invalid_argument).
kerncast::Call bind(const SquaredRelu& arguments) {
  const kerncast::TensorView& x = arguments.x;
  const kerncast::TensorView& y = arguments.y;
  constexpr std::int64_t most_rows = 0x7fffffff;  // blocks along x
  for (const kerncast::TensorView* view : {&x, &y}) {
    if (view->dtype != kerncast::DType::f32 || view->rank != 2 || view->shape != x.shape ||
        view->stride(1) != 1 || view->stride(0) != x.dim(1) || view->device != x.device ||
        x.dim(0) > most_rows) {
      throw kerncast::Error(
          kerncast::ErrorCode::invalid_argument,
          "own.squared_relu: x and y must be contiguous f32 matrices of one shape, and have fewer "
          "than 2^31 rows");
    }
  }
  kerncast::Call call;
  call.spec.values[0] = static_cast<std::int32_t>(x.dim(1));
  call.rows = x.dim(0);
  call.device = x.device;
  call.set_arguments(
      SquaredReluKernelArgs{static_cast<const float*>(x.data), static_cast<float*>(y.data), call.rows});
  return call;
}

kerncast::OpDefinition define_squared_relu() {
  using namespace kerncast;
  OpDefinition op;
  op.name = SquaredRelu::op_name;
  op.summary = "Square of the positive part";
  op.formula = "y = max(x, 0)^2 (squared ReLU of Primer, arXiv 2109.08668)";
  op.include = "own/squared_relu.cuh";
  op.kernel = "own::squared_relu_kernel";
  op.arguments_type = "own::SquaredReluKernelArgs";
  op.sources = {{"own/squared_relu.cuh", squared_relu_text}};
  ParamSpec hidden;
  hidden.name = "hidden";
  hidden.doc = "elements of a row";
  hidden.minimum = 1;
  hidden.maximum = 1 << 20;
  op.params = {hidden};
  op.tunables = {{"threads", "threads of a block", {128, 256, 512}}};
  op.tensors = {{"x", Direction::in, false, "[T, hidden], f32"},
                {"y", Direction::out, false, "[T, hidden], f32"}};
  op.default_tunables = [](const Specialisation& spec, const DeviceTraits&, std::int64_t) {
    return Tunables{{spec[0] > 2048 ? 512 : 256}};
  };
  op.geometry = [](const Specialisation&, const Tunables& tunables, const DeviceTraits&,
                   std::int64_t rows) noexcept {
    return LaunchGeometry{
        {static_cast<std::uint32_t>(rows), 1, 1}, {static_cast<std::uint32_t>(tunables[0]), 1, 1}, 0};
  };
  op.bind = [](const Bindings& bindings) {
    return own::bind(
        {bindings.require_tensor("own.squared_relu", "x"), bindings.require_tensor("own.squared_relu", "y")});
  };
  return op;
}

}  // namespace own

int main() try {
  kerncast::Runtime& runtime = kerncast::Runtime::instance();
  kerncast::OpRegistry::instance().add(own::define_squared_relu());
  runtime.make_current(0);
  constexpr std::int64_t rows = 4;
  constexpr std::int64_t hidden = 1000;
  std::vector<float> values(rows * hidden, -1.0F);
  values[0] = 3.0F;
  const example::DeviceFloats x(runtime, values);
  const example::DeviceFloats y(runtime, values.size());
  kerncast::launch(runtime, own::SquaredRelu{x.matrix(rows, hidden), y.matrix(rows, hidden)}, nullptr);
  std::vector<float> expected(values.size(), 0.0F);
  expected[0] = 9.0F;
  const bool right = y.values() == expected;
  std::printf("own.squared_relu: %s\n", right ? "right" : "wrong");
  return right ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
