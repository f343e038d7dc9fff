#pragma once

#include <string_view>

#include <kerncast/ops/norm/rms_norm_quant.hpp>
#include "templates/norm/shared/row_norm.hpp"

/// The host side that norm.rms_norm_quant and norm.fused_add_rms_norm_quant share: they differ by a residual.
namespace kerncast::norm {

/// Names the arguments that both ops have except the residual.
template <class Arguments>
void describe_quantised(host::NamedArguments& named, Arguments& call) {
  named.optional_input("weight", call.weight, weight_doc);
  describe_quantised_outputs(named, call.out);
  named.optional_output("y", call.y, y_doc);
  named.scalar("eps", call.eps, eps_doc);
  named.scalar("weight_offset", call.weight_offset, weight_offset_doc);
}
void describe_quantised_outputs(host::NamedArguments& named, Quantised& out);

/// Fills in everything but name, tensors, scalars, bind, plans and summary; `adds` if there is a residual.
void add_quantised_params(OpDefinition& op, bool adds);

/// Checks what several parameters decide together; for `adds` see add_quantised_params.
void validate_quantised(std::string_view op, const Specialisation& spec, bool adds);

/// Checks the arguments and fills the call; `residual` is null if nothing is added.
[[nodiscard]] Call quantised_call(std::string_view op, const RmsNormQuant& arguments,
                                  const TensorView* residual);

[[nodiscard]] std::vector<TensorPlan> plan_quantised_inputs(const OpDefinition& op, const Bindings& bindings,
                                                            std::int64_t rows, bool adds);
[[nodiscard]] std::vector<TensorPlan> plan_quantised_outputs(const OpDefinition& op,
                                                             const Bindings& bindings);
[[nodiscard]] std::vector<ModelCase> quantised_cases(const ModelConfig& model, bool adds);

/// The whole definition but for its summary.
template <TypedCall Arguments, host::Describe<Arguments> describe, bool adds>
[[nodiscard]] OpDefinition define_quantised_norm() {
  OpDefinition op = host::define<Arguments, describe>();
  add_quantised_params(op, adds);
  op.validate = [](const Specialisation& spec) { validate_quantised(Arguments::op_name, spec, adds); };
  op.plan_inputs = [](const Bindings& bindings, std::int64_t rows) {
    return plan_quantised_inputs(definition_of<Arguments>(), bindings, rows, adds);
  };
  op.plan_outputs = [](const Bindings& bindings) {
    return plan_quantised_outputs(definition_of<Arguments>(), bindings);
  };
  op.model_cases = [](const ModelConfig& model) { return quantised_cases(model, adds); };
  return op;
}

}  // namespace kerncast::norm
