#include <kerncast/ops/norm/gate_residual_scale_shift.hpp>

#include "templates/norm/gate_residual_scale_shift/kernel_args.h"
#include "templates/norm/scale_shift/spec_index.hpp"
#include "templates/norm/shared/modulation.hpp"

namespace kerncast {
namespace {

constexpr std::string_view op_name = "norm.gate_residual_scale_shift";

using namespace norm::scale_shift_params;

Call bind(const Bindings& bindings) {
  const OpDefinition& op = norm::gate_residual_scale_shift_op();
  norm::GateResidualScaleShift arguments;
  arguments.norm = norm::modulation_from(op, bindings);
  arguments.residual = bindings.require_tensor(op_name, "residual");
  arguments.gate = bindings.tensor_or_absent("gate");
  arguments.r = bindings.require_tensor(op_name, "r");
  Call call = norm::gate_residual_scale_shift_call(arguments);
  host::apply_form(op, call, bindings, gate_form);
  norm::apply_modulation_settings(op, call, bindings);
  return call;
}

std::vector<TensorPlan> plan_inputs(const Bindings& bindings, std::int64_t rows) {
  norm::RowPlans plans(norm::gate_residual_scale_shift_op(), bindings, rows);
  plans.rows("x");
  plans.rows("residual", "residual_dtype");
  plans.broadcast("gate", "gate_form");
  norm::plan_modulation(plans);
  return plans.take();
}

std::vector<TensorPlan> plan_outputs(const Bindings& bindings) {
  TensorPlan y = norm::plan_y(norm::gate_residual_scale_shift_op(), bindings);
  TensorPlan r = y;
  r.name = "r";
  r.dtype = bindings.require_tensor(op_name, "residual").dtype;
  return {std::move(y), std::move(r)};
}

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  std::vector<ModelCase> cases;
  if (!model.layer_norm) {
    return cases;
  }
  const auto add = [&](const char* label, const char* gate, const char* form, bool affine) {
    const std::size_t before = cases.size();
    norm::add_modulation_cases(cases, model, label, {form});
    for (std::size_t i = before; i < cases.size(); ++i) {
      cases[i].params.emplace_back("residual_dtype", name_of(model.dtype));
      cases[i].params.emplace_back("gate_form", gate);
      if (affine) {
        cases[i].params.emplace_back("has_weight", "true");
        cases[i].params.emplace_back("has_bias", "true");
      }
    }
  };
  if (norm::is_wan(model)) {
    add("self attention's gate, norm2", "shared", "none", true);
    add("self attention's gate with a time step for each token, norm2", "token", "none", true);
    add("cross attention's residual, norm3", "none", "shared", false);
  } else {
    add("attention's gate, norm2 of one image", "shared", "shared", false);
    add("attention's gate, norm2 of a batch", "grouped", "grouped", false);
  }
  return cases;
}

}  // namespace

namespace ops {
OpDefinition norm_gate_residual_scale_shift_definition();
OpDefinition norm_gate_residual_scale_shift_definition() {
  OpDefinition op = norm::modulation_definition(op_name);
  op.summary = "A gated residual connection, then normalisation of rows, scaled and shifted";
  op.formula =
      "r = residual + gate * x; y = (n * weight + bias) * (1 + scale) + shift; n = (r - m) * rsqrt(mean((r - "
      "m)^2) + eps), m = mean(r) (layer), or r * rsqrt(mean(r^2) + eps) (rms), of r as f32 holds it, "
      "before it is rounded to residual_dtype; gate, scale and shift are spread over the rows (Peebles and "
      "Xie 2022, "
      "arXiv:2212.09748)";
  op.include = "norm/gate_residual_scale_shift/kernel.cuh";
  op.kernel = "kerncast::norm::gate_residual_scale_shift_kernel";
  op.arguments_type = "kerncast::norm::GateResidualScaleShiftKernelArgs";
  op.params.push_back(host::broadcast_param("gate_form", "gate"));
  op.params.push_back(norm::residual_dtype_param());
  op.params.back().doc = "element type of residual and r";
  // With the residual and the gate beside x, one vector of each in flight keeps memory busy.
  op.default_tunables = [](const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
    return norm::row_tunables(
        device, rows,
        norm::row_lanes(spec, device, rows, 1,
                        {.once = 140, .each = 155, .loads = 6, .tensors = 4, .reductions = 2}));
  };
  for (TensorSpec& tensor : op.tensors) {
    tensor.optional = tensor.optional || tensor.name == "scale" || tensor.name == "shift";
  }
  op.tensors.push_back({"residual", Direction::in, false, "shape of x, residual_dtype; rows may be strided"});
  op.tensors.push_back({"gate", Direction::in, true, "as scale"});
  op.tensors.push_back({"r", Direction::out, false,
                        "shape of x, residual_dtype; rows may be strided; may be residual itself"});
  op.validate = [](const Specialisation& spec) { norm::validate_rows(op_name, spec); };
  op.bind = bind;
  op.plan_outputs = plan_outputs;
  op.plan_inputs = plan_inputs;
  op.model_cases = model_cases;
  return op;
}
}  // namespace ops

namespace norm {

const OpDefinition& gate_residual_scale_shift_op() {
  static const OpDefinition& op = OpRegistry::instance().require(op_name);
  return op;
}

Call gate_residual_scale_shift_call(const GateResidualScaleShift& arguments) {
  const ScaleShift& with = arguments.norm;
  RowTensors rows(op_name, with.x);
  const std::int64_t residual_stride = rows.input("residual", arguments.residual);
  if (arguments.r.dtype != arguments.residual.dtype) [[unlikely]] {
    host::refuse_dtype(op_name, "r", arguments.r.dtype, name_of(arguments.residual.dtype));
  }
  const std::int64_t r_stride = rows.output("r", arguments.r);
  if (rows.count() > 0) {
    require_apart(op_name, "r", arguments.r, "y", with.y);
  }
  const DType type = !arguments.gate.absent() ? arguments.gate.dtype
                     : !with.scale.absent()   ? with.scale.dtype
                     : !with.shift.absent()   ? with.shift.dtype
                                              : with.x.dtype;
  const host::BroadcastOperand gate = rows.broadcast("gate", arguments.gate, type);
  ModulationCall made = check_modulation(op_name, rows, with, type);
  made.call.spec.values[gate_form] = static_cast<std::int32_t>(gate.form);
  made.call.spec.values[residual_dtype] = host::number(arguments.residual.dtype);
  made.call.set_arguments(GateResidualScaleShiftKernelArgs{
      made.arguments, arguments.residual.data, arguments.r.data, residual_stride, r_stride, gate.argument});
  return made.call;
}

void gate_residual_scale_shift(Runtime& runtime, const GateResidualScaleShift& arguments, Stream stream) {
  runtime.dispatch(gate_residual_scale_shift_op(), gate_residual_scale_shift_call(arguments), stream);
}

PreparedLaunch prepare_gate_residual_scale_shift(Runtime& runtime, const GateResidualScaleShift& arguments) {
  return runtime.prepare(gate_residual_scale_shift_op(), gate_residual_scale_shift_call(arguments));
}

}  // namespace norm
}  // namespace kerncast
