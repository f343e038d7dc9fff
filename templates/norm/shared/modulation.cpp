#include "templates/norm/shared/modulation.hpp"

#include "templates/norm/scale_shift/spec_index.hpp"

namespace kerncast::norm {

using namespace scale_shift_params;

OpDefinition modulation_definition(std::string_view name) {
  OpDefinition op = row_norm_definition(name);
  op.params[row_params::weight_dtype].doc = "element type of weight and bias; x's where there is neither";
  op.params.push_back(host::choice_param("norm", {"layer", "rms"}, "how rows are normalised"));
  op.params.push_back(host::flag_param("has_weight", false, "multiply the normalised row by weight"));
  op.params.push_back(host::flag_param("has_bias", false, "then add bias"));
  op.params.push_back(host::dtype_param("modulation_dtype", {DType::bf16, DType::f16, DType::f32},
                                        DType::bf16, "element type of what is spread over the rows"));
  op.params.push_back(host::broadcast_param("scale_form", "scale"));
  op.params.push_back(host::broadcast_param("shift_form", "shift"));
  const char* shape = "[1], [hidden], [1, hidden], [N, hidden] for N dividing the rows; modulation_dtype";
  op.tensors.push_back({"scale", Direction::in, false, shape});
  op.tensors.push_back({"shift", Direction::in, false, shape});
  op.tensors.push_back(weight_spec());
  op.tensors.push_back({"bias", Direction::in, true, "[hidden], weight_dtype"});
  op.tensors.push_back(y_spec());
  op.scalars[0].doc = "added to the variance or mean square; not negative";
  return op;
}

ModulationCall check_modulation(std::string_view op, RowTensors& rows, const ScaleShift& arguments,
                                DType modulation_type) {
  const std::int64_t y_stride = rows.output("y", arguments.y);
  require_eps(op, arguments.eps);
  const DType weight_type = rows.affine(arguments.weight, arguments.bias);
  const host::BroadcastOperand scale = rows.broadcast("scale", arguments.scale, modulation_type);
  const host::BroadcastOperand shift = rows.broadcast("shift", arguments.shift, modulation_type);

  ModulationCall made;
  made.call = rows.call(weight_type, arguments.y.dtype);
  made.call.spec.values[norm] = static_cast<std::int32_t>(arguments.norm);
  made.call.spec.values[has_weight] = arguments.weight.absent() ? 0 : 1;
  made.call.spec.values[has_bias] = arguments.bias.absent() ? 0 : 1;
  made.call.spec.values[modulation_dtype] = host::number(modulation_type);
  made.call.spec.values[scale_form] = static_cast<std::int32_t>(scale.form);
  made.call.spec.values[shift_form] = static_cast<std::int32_t>(shift.form);
  made.arguments = {
      arguments.x.data,
      arguments.y.data,
      rows.count(),
      rows.stride(),
      y_stride,
      {arguments.weight.data, arguments.bias.data, scale.argument, shift.argument, arguments.eps}};
  return made;
}

ScaleShift modulation_from(const OpDefinition& op, const Bindings& bindings) {
  return {
      .x = bindings.require_tensor(op.name, "x"),
      .scale = bindings.tensor_or_absent("scale"),
      .shift = bindings.tensor_or_absent("shift"),
      .y = bindings.require_tensor(op.name, "y"),
      .weight = bindings.tensor_or_absent("weight"),
      .bias = bindings.tensor_or_absent("bias"),
      .eps = scalar_or(bindings, "eps", 1e-6),
      .norm = static_cast<RowNorm>(host::setting(op, bindings, "norm").value_or(0)),
  };
}

void apply_modulation_settings(const OpDefinition& op, Call& call, const Bindings& bindings) {
  host::apply_form(op, call, bindings, scale_form);
  host::apply_form(op, call, bindings, shift_form);
  apply_settings(op, call, bindings);
}

void plan_modulation(RowPlans& plans) {
  plans.vector("weight", "has_weight");
  plans.vector("bias", "has_bias");
  plans.broadcast("scale", "scale_form");
  plans.broadcast("shift", "shift_form");
}

void add_modulation_cases(std::vector<ModelCase>& cases, const ModelConfig& model, const std::string& label,
                          std::initializer_list<const char*> forms) {
  for (const char* form : forms) {
    add_row_case(cases, model, label, model.hidden);
    if (!cases.empty() && cases.back().label == label) {
      // Wan keeps its modulation, and the norms of it, in f32.
      cases.back().params.emplace_back("modulation_dtype", is_wan(model) ? "f32" : name_of(model.dtype));
      cases.back().params.emplace_back("scale_form", form);
      cases.back().params.emplace_back("shift_form", form);
    }
  }
}

}  // namespace kerncast::norm
