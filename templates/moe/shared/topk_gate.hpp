#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "kerncast/op_definition.hpp"
#include "kerncast/tensor.hpp"
#include "templates/host/typed_op.hpp"
#include "templates/moe/shared/router.hpp"

/// The host side of topk_softmax and topk_sigmoid.
namespace kerncast::moe::topk_gate {

/// The arguments of a call of either op.
struct Arguments {
  const TensorView& logits;
  const TensorView& bias;
  const TensorView& weights;
  const TensorView& ids;
  const TensorView& num_token_non_padded;
  bool renormalize = true;
  float softcap = 0.0F;  ///< 0: none
};

/// Checks the arguments and makes the call. Throws Error(invalid_argument).
[[nodiscard]] Call make_call(std::string_view op, const Arguments& arguments);

/// Sets the parameters that both ops have, the tunables, the geometry and the name of the argument type.
void add_params(OpDefinition& op);

/// Refuses a top_k above the number of experts.
void validate(std::string_view op, const Specialisation& spec);

[[nodiscard]] std::vector<TensorPlan> plan_inputs(const OpDefinition& op, const Bindings& bindings,
                                                  std::int64_t rows);

/// The gate of `model`; empty if it has no experts.
[[nodiscard]] std::vector<ModelCase> model_cases(const ModelConfig& model);

/// Names the members that both argument structs have.
template <class Gate>
void describe(host::NamedArguments& named, Gate& call) {
  named.input("logits", call.logits, "[..., experts], logits_dtype; rows may be strided");
  named.optional_input("bias", call.bias, "[experts], bias_dtype");
  named.optional_input("num_token_non_padded", call.num_token_non_padded, router::non_padded_doc);
  named.output("weights", call.weights, "[..., top_k], f32; rows may be strided");
  named.output("ids", call.ids, "[..., top_k], i32; rows may be strided");
  named.setting("renormalize", call.renormalize);
}

/// The definition of the op that `Gate` calls, without summary, formula and model cases.
template <class Gate, host::Describe<Gate> describe_call>
[[nodiscard]] OpDefinition definition() {
  OpDefinition op = host::define<Gate, describe_call>();
  add_params(op);
  op.validate = [](const Specialisation& spec) { validate(Gate::op_name, spec); };
  op.plan_inputs = [](const Bindings& bindings, std::int64_t rows) {
    return plan_inputs(definition_of<Gate>(), bindings, rows);
  };
  op.plan_outputs = [](const Bindings& bindings) {
    return router::plan_outputs(definition_of<Gate>(), bindings);
  };
  return op;
}

}  // namespace kerncast::moe::topk_gate
