#include "templates/norm/shared/modulation/modulation.hpp"

#include <fmt/format.h>

#include "templates/norm/scale_shift/spec_index.hpp"

namespace kerncast::norm {

using namespace scale_shift_params;

static constexpr std::array aten_roundings = {"none", "rounded_norm", "f32_norm", "split_norm"};

void describe_modulation(host::NamedArguments& named, ScaleShift& call) {
  const char* shape = "[1], [hidden], [1, hidden], [N, hidden] for N dividing the rows; modulation_dtype";
  named.input("x", call.x, x_doc);
  named.optional_input("scale", call.scale, shape);
  named.optional_input("shift", call.shift, shape);
  named.optional_input("weight", call.weight, weight_doc);
  named.optional_input("bias", call.bias, bias_doc);
  named.output("y", call.y, y_doc);
  named.scalar("eps", call.eps, "added to the variance or mean square; not negative");
  named.setting("norm", call.norm);
  named.setting("aten_rounding", call.aten_rounding);
}

void add_modulation_params(OpDefinition& op) {
  host::append(
      op.params,
      host::param<weight_dtype>(
          float_dtype_param("element type of weight and bias; x's dtype if there is neither")),
      host::param<norm>(host::choice_param({"layer", "rms"}, "how rows are normalised")),
      host::param<has_weight>(host::flag_param(false, "multiply the normalised row by weight")),
      host::param<has_bias>(host::flag_param(false, "then add bias")),
      host::param<modulation_dtype>(float_dtype_param("element type of what is spread over the rows")),
      host::param<scale_form>(host::broadcast_param("scale")),
      host::param<shift_form>(host::broadcast_param("shift")),
      host::param<aten_rounding>(host::choice_param(aten_roundings,
                                                    "roundings of eager torch after every operator; the "
                                                    "norm, with weight and bias, gives the dtype of the "
                                                    "row (rounded_norm) or f32 (f32_norm), or RMS norm, "
                                                    "weight and bias are three operators (split_norm)")));
}

void require_rounding(std::string_view op, const Specialisation& spec) {
  const auto rounding = static_cast<AtenRounding>(spec[aten_rounding]);
  if (rounding == AtenRounding::none) {
    return;
  }
  const auto place = static_cast<std::size_t>(rounding);
  if (place >= aten_roundings.size()) [[unlikely]] {
    host::refuse(op, fmt::format("aten_rounding is {}, which is no AtenRounding", place));
  }
  const char* name = aten_roundings[place];
  if (host::dtype_from_param(spec[row_params::y_dtype]) == DType::f32) [[unlikely]] {
    host::refuse(op, fmt::format("aten_rounding = {} is the rounding of eager code in 16-bit types, but y is "
                                 "f32; give y in bf16 or f16, or leave aten_rounding at none",
                                 name));
  }
  if (rounding == AtenRounding::split_norm && static_cast<RowNorm>(spec[norm]) != RowNorm::rms) [[unlikely]] {
    host::refuse(op, fmt::format("aten_rounding = {} is of an RMS norm, but norm is layer, which is one "
                                 "operator in torch; use rounded_norm",
                                 name));
  }
}

DType modulation_type(const ScaleShift& arguments) {
  return !arguments.scale.absent()   ? arguments.scale.dtype
         : !arguments.shift.absent() ? arguments.shift.dtype
                                     : arguments.x.dtype;
}

ModulationCall check_modulation(std::string_view op, NormChecks& checks, const ScaleShift& arguments,
                                DType type) {
  const std::int64_t y_stride = checks.output("y", arguments.y);
  require_eps(op, arguments.eps);
  const DType weight_type = checks.affine(arguments.weight, arguments.bias);
  const host::BroadcastOperand scale = checks.broadcast("scale", arguments.scale, type);
  const host::BroadcastOperand shift = checks.broadcast("shift", arguments.shift, type);

  ModulationCall made;
  made.call = checks.call(arguments.y.dtype);
  Specialisation& spec = made.call.spec;
  spec.values[weight_dtype] = host::to_param(weight_type);
  spec.values[norm] = static_cast<std::int32_t>(arguments.norm);
  spec.values[has_weight] = arguments.weight.absent() ? 0 : 1;
  spec.values[has_bias] = arguments.bias.absent() ? 0 : 1;
  spec.values[modulation_dtype] = host::to_param(type);
  spec.values[scale_form] = static_cast<std::int32_t>(scale.form);
  spec.values[shift_form] = static_cast<std::int32_t>(shift.form);
  spec.values[aten_rounding] = static_cast<std::int32_t>(arguments.aten_rounding);
  require_rounding(op, spec);
  made.arguments = {
      .x = arguments.x.data,
      .y = arguments.y.data,
      .rows = checks.count(),
      .x_stride = checks.stride(),
      .y_stride = y_stride,
      .modulation = {.weight = arguments.weight.data,
                     .bias = arguments.bias.data,
                     .scale = scale.argument,
                     .shift = shift.argument,
                     .eps = arguments.eps},
  };
  return made;
}

void generalise_modulation(const OpDefinition& op, Call& call, const Bindings& bindings) {
  host::apply_form(op, call, bindings, scale_form);
  host::apply_form(op, call, bindings, shift_form);
}

void plan_modulation(InputPlans& plans) {
  plans.vector("weight", "has_weight");
  plans.vector("bias", "has_bias");
  plans.broadcast("scale", "scale_form");
  plans.broadcast("shift", "shift_form");
}

void add_modulation_case(std::vector<ModelCase>& cases, const ModelConfig& model,
                         const ModelModulation& modulation) {
  const std::size_t before = cases.size();
  add_weighted_row_case(cases, model, modulation.place, modulation.width);
  if (cases.size() == before) {
    return;
  }
  auto& params = cases.back().params;
  if (modulation.kind == NormKind::rms) {
    params.emplace_back("norm", "rms");
  }
  if (modulation.weight) {
    params.emplace_back("has_weight", "true");
  }
  if (modulation.bias) {
    params.emplace_back("has_bias", "true");
  }
  params.emplace_back("modulation_dtype", name_of(modulation.modulation_dtype));
  params.emplace_back("scale_form", modulation.scaled ? modulation.form : "none");
  params.emplace_back("shift_form", modulation.shifted ? modulation.form : "none");
}

}  // namespace kerncast::norm
