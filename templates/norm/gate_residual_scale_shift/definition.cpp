#include <kerncast/ops/norm/gate_residual_scale_shift.hpp>

#include "templates/host/define_op.hpp"
#include "templates/norm/gate_residual_scale_shift/kernel_args.h"
#include "templates/norm/scale_shift/spec_index.hpp"
#include "templates/norm/shared/modulation/modulation.hpp"

namespace kerncast::norm {
namespace {

using namespace scale_shift_params;

void describe(host::NamedArguments& named, GateResidualScaleShift& call) {
  describe_modulation(named, call.norm);
  named.input("residual", call.residual, "shape of x, residual_dtype; rows may be strided");
  named.optional_input("gate", call.gate, "as scale");
  named.output("r", call.r, "shape of x, residual_dtype; rows may be strided; may be residual itself");
}

void generalise(const OpDefinition& op, Call& call, const Bindings& bindings) {
  host::apply_form(op, call, bindings, gate_form);
  generalise_modulation(op, call, bindings);
}

std::vector<TensorPlan> plan_inputs(const Bindings& bindings, std::int64_t rows) {
  InputPlans plans(definition_of<GateResidualScaleShift>(), bindings, rows);
  plans.rows("x").rows("residual", "residual_dtype").broadcast("gate", "gate_form");
  plan_modulation(plans);
  return plans.take();
}

std::vector<TensorPlan> plan_outputs(const Bindings& bindings) {
  TensorPlan y = plan_y(definition_of<GateResidualScaleShift>(), bindings);
  TensorPlan r = y;
  r.name = "r";
  r.dtype = bindings.require_tensor(GateResidualScaleShift::op_name, "residual").dtype;
  return {std::move(y), std::move(r)};
}

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  std::vector<ModelCase> cases;
  for (const ModelModulation& modulation : model.modulations) {
    if (modulation.gate.empty()) {
      continue;
    }
    const std::size_t before = cases.size();
    add_modulation_case(cases, model, modulation);
    for (std::size_t i = before; i < cases.size(); ++i) {
      cases[i].params.emplace_back("residual_dtype", name_of(model.dtype));
      cases[i].params.emplace_back("gate_form", modulation.gate);
    }
  }
  return cases;
}

}  // namespace

Call bind(const GateResidualScaleShift& arguments) {
  constexpr std::string_view op_name = GateResidualScaleShift::op_name;
  const ScaleShift& with = arguments.norm;
  NormChecks checks(op_name, with.x);
  const std::int64_t residual_stride = checks.input("residual", arguments.residual);
  if (arguments.r.dtype != arguments.residual.dtype) [[unlikely]] {
    host::refuse_dtype(op_name, "r", arguments.r.dtype, name_of(arguments.residual.dtype));
  }
  const std::int64_t r_stride = checks.output("r", arguments.r);
  host::require_apart(op_name, {{"r", arguments.r, "residual"}, {"y", with.y, "x"}},
                      {{"x", with.x},
                       {"residual", arguments.residual},
                       {"gate", arguments.gate},
                       {"weight", with.weight},
                       {"bias", with.bias},
                       {"scale", with.scale},
                       {"shift", with.shift}});
  const DType type = !arguments.gate.absent() ? arguments.gate.dtype : modulation_type(with);
  const host::BroadcastOperand gate = checks.broadcast("gate", arguments.gate, type);
  ModulationCall made = check_modulation(op_name, checks, with, type);
  made.call.spec.values[gate_form] = static_cast<std::int32_t>(gate.form);
  made.call.spec.values[residual_dtype] = host::to_param(arguments.residual.dtype);
  made.call.set_arguments(GateResidualScaleShiftKernelArgs{
      .norm = made.arguments,
      .residual = arguments.residual.data,
      .r = arguments.r.data,
      .residual_stride = residual_stride,
      .r_stride = r_stride,
      .gate = gate.argument,
  });
  return made.call;
}

}  // namespace kerncast::norm

KERNCAST_OP(norm, gate_residual_scale_shift) {
  using namespace norm;
  OpDefinition op = define_row_norm<GateResidualScaleShift, describe, generalise>();
  op.summary = "A gated residual connection, then normalisation of rows, scaled and shifted";
  op.formula =
      "r = residual + gate * x; y = (n * weight + bias) * (1 + scale) + shift; n = (r - m) * rsqrt(mean((r - "
      "m)^2) + eps), m = mean(r) (layer), or r * rsqrt(mean(r^2) + eps) (rms), of r as f32 holds it, before "
      "it is rounded to residual_dtype, or with aten_rounding after that and with every operator rounded as "
      "eager torch does; gate, scale and shift are spread over the rows (Peebles and Xie 2022, "
      "arXiv:2212.09748)";
  add_modulation_params(op);
  op.validate = [](const Specialisation& spec) {
    validate_rows(GateResidualScaleShift::op_name, spec, {row_params::y_dtype, residual_dtype});
    require_rounding(GateResidualScaleShift::op_name, spec);
  };
  host::append(op.params, host::param<gate_form>(host::broadcast_param("gate")),
               host::param<residual_dtype>(float_dtype_param("element type of residual and r")));
  // With the residual and the gate beside x, one vector of each in flight keeps memory busy.
  op.default_tunables = [](const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
    const RowCost cost{.once = 140,
                       .each = 155,
                       .loads = 6,
                       .tensors = 4,
                       .reductions = 2,
                       .widest = widest_of<row_params::x_dtype, row_params::y_dtype, residual_dtype>(spec)};
    return row_tunables(device, rows, row_lanes(spec, device, rows, 1, cost));
  };
  op.tunables_defect = row_tunables_defect<row_params::x_dtype, row_params::y_dtype, residual_dtype>;
  op.plan_inputs = plan_inputs;
  op.plan_outputs = plan_outputs;
  op.model_cases = model_cases;
  return op;
}
