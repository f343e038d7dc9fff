#include "tools/run/op_run.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <limits>

#include "runtime/dispatch/runtime_impl.hpp"
#include "runtime/driver/device.hpp"
#include "tools/run/bound_call.hpp"
#include "tools/run/synthetic.hpp"

namespace kerncast::tools {
namespace {

std::shared_ptr<const driver::Driver> shared_driver(Runtime& runtime, int ordinal) {
  const driver::Driver& driver = implementation_of(runtime).driver();
  // No shared ownership: the runtime keeps its driver and outlives every RunDevice.
  std::shared_ptr<const driver::Driver> shared(std::shared_ptr<void>(), &driver);
  static_cast<void>(driver::query_device(shared->api, ordinal));
  return shared;
}

std::vector<std::int64_t> contiguous_strides(const std::vector<std::int64_t>& shape) {
  std::vector<std::int64_t> strides(shape.size(), 1);
  for (std::size_t i = shape.size(); i-- > 1;) {
    strides[i - 1] = strides[i] * shape[i];
  }
  return strides;
}

double median_dispatch_ns(Runtime& runtime, const RunDevice& device, const OpDefinition& op, const Call& call,
                          int launches) {
  // The time of the kernels does not count here, but on the virtual GPU it can be long.
  constexpr auto long_enough = std::chrono::milliseconds(3);
  const auto begin = std::chrono::steady_clock::now();
  std::vector<double> times;
  for (int i = 0; i < launches && (i < 3 || std::chrono::steady_clock::now() - begin < long_enough); ++i) {
    const auto start = std::chrono::steady_clock::now();
    runtime.dispatch(op, call, nullptr);
    times.push_back(
        std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count());
    device.synchronize();  // a full queue would make dispatch wait
  }
  if (times.empty()) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  return *middle;
}

/// The input of the reference: all tensors, and every scalar, with its default if it was not given.
ReferenceInput reference_input(const OpRunRequest& request, const Call& call,
                               const std::vector<HostTensor>& outputs) {
  ReferenceInput input;
  input.spec = call.spec;
  input.tensors = request.inputs;
  for (const HostTensor& output : outputs) {
    input.tensors.push_back(output);
    if (is_inout(*request.op, output.name)) {
      input.tensors.back().name += "_out";  // the name alone is the tensor before the call
    }
  }
  for (const ScalarSpec& scalar : request.op->scalars) {
    const auto given = std::find_if(request.scalars.begin(), request.scalars.end(),
                                    [&](const auto& entry) { return entry.first == scalar.name; });
    input.scalars.emplace_back(scalar.name,
                               given == request.scalars.end() ? scalar.default_value : given->second);
  }
  return input;
}

}  // namespace

RunDevice::RunDevice(Runtime& runtime, int ordinal)
    : context_(shared_driver(runtime, ordinal), ordinal),
      name_(driver::query_device(context_.api(), ordinal).name),
      arch_(runtime.arch(ordinal)),
      virtual_(implementation_of(runtime).driver().is_virtual) {}

std::int64_t storage_elements(const TensorPlan& plan) {
  std::int64_t extent = element_count(plan.shape);
  if (extent > 0 && !plan.strides.empty()) {
    extent = 1;
    for (std::size_t i = 0; i < plan.shape.size(); ++i) {
      extent += (plan.shape[i] - 1) * plan.strides.at(i);
    }
  }
  const std::int64_t elements = plan.storage_shape.empty() ? extent : element_count(plan.storage_shape);
  if (extent < 0 || elements < extent) {
    throw Error(ErrorCode::internal,
                fmt::format("the plan of tensor {} of shape [{}] does not fit its storage [{}]", plan.name,
                            fmt::join(plan.shape, ", "), fmt::join(plan.storage_shape, ", ")));
  }
  return elements;
}

HostTensor host_tensor(const TensorPlan& plan) {
  if (plan.shape.size() > static_cast<std::size_t>(TensorView::max_rank)) {
    throw Error(ErrorCode::internal, fmt::format("the plan of tensor {} has too many dimensions", plan.name));
  }
  return {plan.name,
          plan.dtype,
          plan.shape,
          plan.strides.empty() ? contiguous_strides(plan.shape) : plan.strides,
          {}};
}

std::vector<HostTensor> synthetic_inputs(const OpDefinition& op,
                                         const std::vector<std::pair<std::string, std::string>>& params,
                                         const std::vector<std::pair<std::string, double>>& scalars,
                                         std::int64_t rows) {
  std::string run = fmt::format("{} {}", op.name, rows);
  for (const auto& [name, value] : params) {
    run += fmt::format(" {}={}", name, value);
  }
  std::vector<HostTensor> tensors;
  for (const TensorPlan& plan : op.plan_inputs(bindings_of(params, scalars), rows)) {
    HostTensor tensor = host_tensor(plan);
    tensor.bytes = synthetic_data(plan.name, plan.dtype, storage_elements(plan), seed_of(run, plan.name),
                                  plan.integers_below);
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

OpRunResult run_op(Runtime& runtime, RunDevice& device, const OpRunRequest& request) {
  const OpDefinition& op = *request.op;
  const BoundCall bound(op, bindings_of(request.params, request.scalars), request.inputs, device.api(),
                        device.ordinal());
  const Call call = op.bind(bound.bindings());
  OpRunResult result;
  result.rows = call.rows;
  const bool launches = call.rows > 0;
  if (launches) {
    result.report = request.launch ? request.launch(call) : runtime.ensure(op, call);
  } else {
    result.report.op = op.name;
    result.report.spec = format_specialisation(op, call.spec);
    result.report.arch = device.arch();
  }
  if (!request.launch) {
    runtime.run(op, bound.bindings(), nullptr);
  }
  device.synchronize();

  WrittenTensors written = bound.download(request.inputs);
  if (const ReferenceFunction reference = find_reference(op.name); request.check && reference != nullptr) {
    ReferenceInput input = reference_input(request, call, written.tensors);
    result.checked = true;
    if (request.check_aside) {
      result.pending = std::async(std::launch::async, reference, std::move(input));
    } else {
      result.verdict = reference(input);
    }
  }
  result.outputs = std::move(written).stored();
  result.dispatch_ns = median_dispatch_ns(runtime, device, op, call, launches ? request.timed_dispatches : 0);
  return result;
}

}  // namespace kerncast::tools
