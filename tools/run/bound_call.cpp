#include "tools/run/bound_call.hpp"

#include <algorithm>

#include "tools/run/op_run.hpp"

namespace kerncast::tools {
namespace {

constexpr unsigned char poison = 0xCD;

TensorView view_of(const HostTensor& tensor, void* data, int device) {
  TensorView view;
  view.data = data;
  view.dtype = tensor.dtype;
  view.device = device;
  view.rank = static_cast<int>(tensor.shape.size());
  std::copy(tensor.shape.begin(), tensor.shape.end(), view.shape.begin());
  std::copy(tensor.strides.begin(), tensor.strides.end(), view.strides.begin());
  return view;
}

}  // namespace

Bindings bindings_of(const std::vector<std::pair<std::string, std::string>>& params,
                     const std::vector<std::pair<std::string, double>>& scalars) {
  Bindings bindings;
  for (const auto& [name, value] : params) {
    bindings.set_param(name, value);
  }
  for (const auto& [name, value] : scalars) {
    bindings.set_scalar(name, value);
  }
  return bindings;
}

bool is_inout(const OpDefinition& op, const std::string& name) {
  return std::any_of(op.tensors.begin(), op.tensors.end(), [&](const TensorSpec& spec) {
    return spec.name == name && spec.direction == Direction::inout;
  });
}

std::vector<StoredTensor> WrittenTensors::stored() && {
  std::vector<StoredTensor> all;
  all.reserve(tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    all.push_back({tensors[i].name, tensors[i].dtype, storage_shapes[i], std::move(tensors[i].bytes)});
  }
  return all;
}

BoundCall::BoundCall(const OpDefinition& op, Bindings settings, const std::vector<HostTensor>& inputs,
                     const driver::DriverApi& api, int ordinal)
    : op_(op), api_(api), ordinal_(ordinal), bindings_(std::move(settings)) {
  for (const HostTensor& tensor : inputs) {
    add(tensor, tensor.bytes.size()).upload(tensor.bytes.data(), tensor.bytes.size());
  }
  for (const TensorPlan& plan : op.plan_outputs(bindings_)) {
    const std::int64_t elements = storage_elements(plan);
    outputs_.push_back(host_tensor(plan));
    add(outputs_.back(), static_cast<std::size_t>(elements * size_of(plan.dtype))).fill(poison);
    storage_shapes_.push_back(plan.storage_shape.empty() ? std::vector{elements} : plan.storage_shape);
    if (plan.storage_shape.empty() && plan.strides.empty()) {
      storage_shapes_.back() = plan.shape;
    }
  }
}

const driver::DeviceBuffer& BoundCall::add(const HostTensor& tensor, std::size_t bytes) {
  // A tensor without elements needs an address too, since null means that the tensor was left out.
  buffers_.emplace_back(tensor.name, driver::DeviceBuffer(api_, std::max<std::size_t>(bytes, 16)));
  const driver::DeviceBuffer& added = buffers_.back().second;
  bindings_.set_tensor(tensor.name, view_of(tensor, added.data(), ordinal_));
  return added;
}

const driver::DeviceBuffer& BoundCall::buffer(const std::string& name) const {
  return std::find_if(buffers_.begin(), buffers_.end(),
                      [&](const auto& entry) { return entry.first == name; })
      ->second;
}

std::size_t BoundCall::bytes() const {
  std::size_t sum = 0;
  for (const auto& [name, memory] : buffers_) {
    sum += memory.size();
  }
  return sum;
}

void BoundCall::reset(const std::vector<HostTensor>& inputs) const {
  for (const HostTensor& input : inputs) {
    if (is_inout(op_, input.name)) {
      buffer(input.name).upload(input.bytes.data(), input.bytes.size());
    }
  }
  for (const HostTensor& output : outputs_) {
    buffer(output.name).fill(poison);
  }
}

WrittenTensors BoundCall::download(const std::vector<HostTensor>& inputs) const {
  WrittenTensors written{outputs_, storage_shapes_};
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    const std::int64_t elements = element_count(storage_shapes_[i]);
    written.tensors[i].bytes.resize(static_cast<std::size_t>(elements * size_of(outputs_[i].dtype)));
  }
  for (const HostTensor& input : inputs) {
    if (is_inout(op_, input.name)) {
      written.tensors.push_back(input);
      written.storage_shapes.push_back(input.shape);
    }
  }
  for (HostTensor& tensor : written.tensors) {
    buffer(tensor.name).download(tensor.bytes.data(), tensor.bytes.size());
  }
  return written;
}

}  // namespace kerncast::tools
