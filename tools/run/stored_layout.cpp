#include "tools/run/stored_layout.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

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

/// The plan for the rows of one expert of `lead`, which is [experts, rows, width], if `input` is such storage
/// for each expert.
const TensorPlan* expert_plan(const std::vector<TensorPlan>& plans, const HostTensor& lead,
                              const HostTensor& input) {
  const TensorPlan* plan = named(plans, input.name);
  const bool stored = plan != nullptr && plan->storage_shape.size() == 2 && !plan->strides.empty();
  const std::vector<std::int64_t> whole =
      stored ? std::vector{lead.shape[0], plan->storage_shape[0], plan->storage_shape[1]}
             : std::vector<std::int64_t>();
  return stored && input.shape == whole ? plan : nullptr;
}

/// Gives `input`, which holds column-major storage for each expert, the storage of `plan`, where the rows of
/// all experts stand in one column.
void join_experts(HostTensor& input, const TensorPlan& plan, std::int64_t rows) {
  const std::int64_t experts = input.shape[0];
  const std::int64_t columns = input.shape[1];
  const std::int64_t stride = plan.storage_shape[1];
  const auto size = static_cast<std::size_t>(size_of(input.dtype));
  const auto at = [&](std::int64_t element) { return static_cast<std::size_t>(element) * size; };
  std::vector<std::byte> joined(at(columns * stride));
  for (std::int64_t expert = 0; expert < experts; ++expert) {
    for (std::int64_t column = 0; column < columns; ++column) {
      std::memcpy(joined.data() + at(column * stride + expert * rows),
                  input.bytes.data() + at((expert * columns + column) * input.shape[2]), at(rows));
    }
  }
  input.bytes = std::move(joined);
  input.shape = plan.storage_shape;
}

/// Joins the inputs that hold storage for each expert, as an op with a mask writes it.
void join_expert_storage(const OpDefinition& op, const Bindings& bindings,
                         const std::vector<TensorPlan>& plans, const HostTensor& lead,
                         std::vector<HostTensor>& inputs) {
  if (lead.shape.size() != 3 || lead.shape[0] < 1) {
    return;
  }
  const std::int64_t rows = lead.shape[1];
  const std::vector<TensorPlan> each = op.plan_inputs(bindings, rows);
  for (HostTensor& input : inputs) {
    const TensorPlan* whole = named(plans, input.name);
    const bool in_columns = whole != nullptr && whole->storage_shape.size() == 2 && input.shape.size() == 3;
    if (in_columns && expert_plan(each, lead, input) != nullptr) {
      join_experts(input, *whole, rows);
    }
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
    const Bindings bindings = bindings_for(op, params, inputs, width);
    const std::vector<TensorPlan> plans = plans_for(op, bindings, *lead);
    if (!plans.empty()) {
      join_expert_storage(op, bindings, plans, *lead, inputs);
    }
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
