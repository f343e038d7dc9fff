#include "tools/run/stored_layout.hpp"

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "kerncast/error.hpp"
#include "tools/io/safetensors.hpp"

namespace kerncast::tools {
namespace {

template <class Tensors>
auto* named(Tensors& tensors, std::string_view name) {
  const auto found =
      std::find_if(tensors.begin(), tensors.end(), [&](const auto& tensor) { return tensor.name == name; });
  return found == tensors.end() ? nullptr : &*found;
}

/// The first input of the op that is there; its rows are those of the call.
const HostTensor* leading_input(const OpDefinition& op, const std::vector<HostTensor>& inputs) {
  for (const TensorSpec& spec : op.tensors) {
    const HostTensor* input = named(inputs, spec.name);
    if (spec.direction != Direction::out && input != nullptr && !input->shape.empty()) {
      return input;
    }
  }
  return nullptr;
}

/// The settings of a synthetic call whose rows have `width` elements and whose dtypes are those of `inputs`.
Bindings bindings_for(const OpDefinition& op, const std::vector<std::pair<std::string, std::string>>& params,
                      const std::vector<HostTensor>& inputs, std::int64_t width) {
  Bindings bindings;
  for (const auto& [name, value] : params) {
    bindings.set_param(name, value);
  }
  const auto set_if_free = [&](const std::string& name, const std::string& value) {
    if (find_param(op, name) >= 0 && bindings.param(name) == nullptr) {
      bindings.set_param(name, value);
    }
  };
  set_if_free("hidden", std::to_string(width));
  for (const HostTensor& input : inputs) {
    set_if_free(input.name + "_dtype", std::string(name_of(input.dtype)));
  }
  return bindings;
}

/// The inputs that the op plans for rows like those of `lead`, or nothing if its width does not fit.
std::vector<TensorPlan> plans_for(const OpDefinition& op, const Bindings& bindings, const HostTensor& lead) {
  try {
    const std::int64_t rows = element_count(lead.shape) / std::max<std::int64_t>(lead.shape.back(), 1);
    std::vector<TensorPlan> plans = op.plan_inputs(bindings, rows);
    const TensorPlan* planned = named(plans, lead.name);
    const bool fits = planned != nullptr && element_count(planned->shape) == element_count(lead.shape);
    return fits ? plans : std::vector<TensorPlan>();
  } catch (const Error&) {
    return {};
  }
}

}  // namespace

void apply_planned_layout(const OpDefinition& op,
                          const std::vector<std::pair<std::string, std::string>>& params,
                          std::vector<HostTensor>& inputs) {
  const HostTensor* lead = leading_input(op, inputs);
  if (lead == nullptr || op.plan_inputs == nullptr) {
    return;
  }
  // A row of two-element bytes is twice as wide as its tensor.
  for (const std::int64_t width : {lead->shape.back(), 2 * lead->shape.back()}) {
    const std::vector<TensorPlan> plans = plans_for(op, bindings_for(op, params, inputs, width), *lead);
    for (const TensorPlan& plan : plans) {
      HostTensor* input = named(inputs, plan.name);
      if (input != nullptr && !plan.strides.empty() && !plan.storage_shape.empty() &&
          input->shape == plan.storage_shape) {
        input->shape = plan.shape;
        input->strides = plan.strides;
      }
    }
    if (!plans.empty()) {
      return;
    }
  }
}

}  // namespace kerncast::tools
