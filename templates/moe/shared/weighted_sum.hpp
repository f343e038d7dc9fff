#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kerncast/op.hpp"
#include "kerncast/tensor.hpp"

/// What the definitions of sum_reduce and unpermute share.
namespace kerncast::moe::weighted_sum {

struct Arguments {
  TensorView x;        ///< [..., K, hidden], or [P, hidden] where there is a map
  TensorView weights;  ///< [..., K], f32, or absent
  TensorView map;      ///< [..., K], i32
  TensorView addend;   ///< shape and type of y, or absent
  TensorView y;        ///< [..., hidden]
  float factor = 1.0F;
};

/// The definition but for name, text, template, functions that take bindings, and model cases.
[[nodiscard]] OpDefinition make_definition(std::string_view name, bool mapped);

/// Constraints across parameters. Throws Error(invalid_argument).
void validate(std::string_view op, const Specialisation& spec);

/// Checks the arguments. Throws Error(invalid_argument).
[[nodiscard]] Call make_call(std::string_view op, const Arguments& arguments, bool mapped);

/// The arguments by name.
[[nodiscard]] Arguments read(const OpDefinition& op, const Bindings& bindings, bool mapped);

/// make_call, under the settings of `bindings`.
[[nodiscard]] Call bind(const OpDefinition& op, const Bindings& bindings, bool mapped);

[[nodiscard]] std::vector<TensorPlan> plan_inputs(const OpDefinition& op, const Bindings& bindings,
                                                  std::int64_t rows, bool mapped);
[[nodiscard]] std::vector<TensorPlan> plan_outputs(const OpDefinition& op, const Bindings& bindings,
                                                   bool mapped);

/// Gives `op` the functions above; `registered` is the op once it is registered.
template <const OpDefinition& (*registered)(), bool mapped>
void set_functions(OpDefinition& op) {
  op.bind = [](const Bindings& bindings) { return bind(registered(), bindings, mapped); };
  op.plan_inputs = [](const Bindings& bindings, std::int64_t rows) {
    return plan_inputs(registered(), bindings, rows, mapped);
  };
  op.plan_outputs = [](const Bindings& bindings) { return plan_outputs(registered(), bindings, mapped); };
}

/// The sum over the experts' outputs of `model`; none where it has no experts.
[[nodiscard]] std::vector<ModelCase> model_cases(const ModelConfig& model, std::string label, bool weights,
                                                 bool addend);

}  // namespace kerncast::moe::weighted_sum
