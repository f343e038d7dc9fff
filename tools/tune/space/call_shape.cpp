#include "tools/tune/space/call_shape.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstddef>
#include <numeric>

#include "tools/run/bound_call.hpp"
#include "tools/run/op_run.hpp"

namespace kerncast::tools {
namespace {

Bindings settings_of(const Workload& workload) {
  Bindings bindings;
  for (const auto& [name, value] : workload.params) {
    bindings.set_param(name, value);
  }
  for (const auto& [name, value] : workload.scalars) {
    bindings.set_scalar(name, value);
  }
  return bindings;
}

/// A view of memory at `next` that nothing may touch; moves `next` past it.
TensorView untouchable(const TensorPlan& plan, std::uintptr_t& next) {
  const HostTensor tensor = host_tensor(plan);
  TensorView view;
  view.data = reinterpret_cast<void*>(next);
  view.dtype = tensor.dtype;
  view.rank = static_cast<int>(tensor.shape.size());
  std::copy(tensor.shape.begin(), tensor.shape.end(), view.shape.begin());
  std::copy(tensor.strides.begin(), tensor.strides.end(), view.strides.begin());
  next += static_cast<std::uintptr_t>(storage_elements(plan) * size_of(plan.dtype) + 511) / 256 * 256;
  return view;
}

/// The tensors of a call, over memory that does not exist.
struct ImaginedCall {
  ImaginedCall(const Workload& workload, std::int64_t rows) : bindings(settings_of(workload)) {
    std::uintptr_t next = 4096;
    inputs = workload.op->plan_inputs(bindings, rows);
    for (const TensorPlan& plan : inputs) {
      bindings.set_tensor(plan.name, untouchable(plan, next));
    }
    outputs = workload.op->plan_outputs(bindings);
    for (const TensorPlan& plan : outputs) {
      bindings.set_tensor(plan.name, untouchable(plan, next));
    }
  }

  Bindings bindings;
  std::vector<TensorPlan> inputs;
  std::vector<TensorPlan> outputs;
};

}  // namespace

Call call_of(const Workload& workload, std::int64_t rows) {
  return workload.op->bind(ImaginedCall(workload, rows).bindings);
}

CallBytes bytes_of_call(const Workload& workload, std::int64_t rows) {
  const ImaginedCall call(workload, rows);
  const auto size = [](const TensorPlan& plan) {
    return static_cast<std::uint64_t>(element_count(plan.shape) * size_of(plan.dtype));
  };
  CallBytes bytes;
  for (const TensorPlan& plan : call.inputs) {
    bytes.read += size(plan);
    bytes.written += is_inout(*workload.op, plan.name) ? size(plan) : 0;
  }
  for (const TensorPlan& plan : call.outputs) {
    bytes.written += size(plan);
  }
  return bytes;
}

namespace {

/// The sector period of one tensor; the plans are those of `rows` rows, one more, and twice as many.
std::int64_t sector_period(const TensorPlan& plan, const TensorPlan& next, const TensorPlan& twice,
                           std::int64_t rows) {
  constexpr std::int64_t sector = 32;
  if (plan.shape == twice.shape) {
    return 1;
  }
  std::vector<std::int64_t> one_more = plan.shape;
  if (!twice.strides.empty() || one_more.empty() || one_more.front() % rows != 0) {
    return sector;
  }
  one_more.front() += one_more.front() / rows;
  const std::int64_t row_bytes = element_count(plan.shape) / rows * size_of(plan.dtype);
  return one_more == next.shape ? sector / std::gcd(sector, row_bytes) : sector;
}

}  // namespace

std::int64_t sector_period(const Workload& workload, std::int64_t rows) {
  const ImaginedCall call(workload, rows);
  const ImaginedCall next(workload, rows + 1);
  const ImaginedCall twice(workload, 2 * rows);
  std::int64_t period = 1;
  for (std::size_t i = 0; i < call.inputs.size(); ++i) {
    period = std::max(period, sector_period(call.inputs[i], next.inputs[i], twice.inputs[i], rows));
  }
  for (std::size_t i = 0; i < call.outputs.size(); ++i) {
    period = std::max(period, sector_period(call.outputs[i], next.outputs[i], twice.outputs[i], rows));
  }
  return period;
}

std::vector<std::string> input_names(const Workload& workload, std::int64_t rows) {
  std::vector<std::string> names;
  for (const TensorPlan& plan : ImaginedCall(workload, rows).inputs) {
    names.push_back(plan.name);
  }
  return names;
}

std::string text_of(const Workload& workload) {
  return fmt::format("{} {} {}", workload.op->name, fmt::join(workload.params, " "),
                     fmt::join(workload.scalars, " "));
}

}  // namespace kerncast::tools
