#include <kerncast/ops/norm/fused_add_rms_norm.hpp>

#include "templates/norm/fused_add_rms_norm/kernel_args.h"
#include "templates/norm/fused_add_rms_norm/spec_index.hpp"
#include "templates/norm/shared/row_norm.hpp"

namespace kerncast {
namespace {

constexpr std::string_view op_name = "norm.fused_add_rms_norm";

using namespace norm::fused_add_rms_norm_params;

Call bind(const Bindings& bindings) {
  const OpDefinition& op = norm::fused_add_rms_norm_op();
  Call call = norm::fused_add_rms_norm_call({
      .x = bindings.require_tensor(op_name, "x"),
      .residual = bindings.require_tensor(op_name, "residual"),
      .weight = bindings.tensor_or_absent("weight"),
      .y = bindings.require_tensor(op_name, "y"),
      .eps = norm::scalar_or(bindings, "eps", 1e-6),
      .weight_offset = norm::scalar_or(bindings, "weight_offset", 0.0),
      .hf_rounding = host::setting(op, bindings, "hf_rounding").value_or(0) != 0,
  });
  norm::apply_settings(op, call, bindings);
  return call;
}

std::vector<TensorPlan> plan_inputs(const Bindings& bindings, std::int64_t rows) {
  norm::RowPlans plans(norm::fused_add_rms_norm_op(), bindings, rows);
  plans.rows("x");
  plans.rows("residual", "residual_dtype");
  plans.vector("weight", "has_weight");
  return plans.take();
}

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  std::vector<ModelCase> cases;
  if (!model.layer_norm) {
    norm::add_row_case(cases, model, "input_layernorm, post_attention_layernorm, final norm", model.hidden);
  }
  for (ModelCase& item : cases) {
    item.params.emplace_back("residual_dtype", std::string(name_of(model.dtype)));
    item.scalars.emplace_back("weight_offset", model.norm_weight_offset);
  }
  return cases;
}

OpDefinition make_definition() {
  OpDefinition op =
      norm::rms_definition(op_name, norm::SecondTensor{norm::residual_spec(), norm::residual_dtype_param()});
  op.summary = "Addition to the residual stream and root-mean-square normalisation of the sum";
  op.formula =
      "r = x + residual, stored over residual in its type; y = r * rsqrt(mean(r^2) + eps) * (weight + "
      "weight_offset) with r before that rounding, in f32, rounded once; hf_rounding also rounds r * "
      "rsqrt(...) to x's dtype. mean + eps is at least 2^-126 (Zhang and Sennrich 2019, arXiv:1910.07467)";
  op.include = "norm/fused_add_rms_norm/kernel.cuh";
  op.default_tunables = [](const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
    return norm::row_tunables(spec, device, rows, {.once = 70, .each = 92, .tensors = 4});
  };
  op.kernel = "kerncast::norm::fused_add_rms_norm_kernel";
  op.arguments_type = "kerncast::norm::FusedAddRmsNormKernelArgs";
  op.validate = [](const Specialisation& spec) { norm::validate_rows(op_name, spec); };
  op.bind = bind;
  op.plan_outputs = [](const Bindings& bindings) {
    return std::vector{norm::plan_y(norm::fused_add_rms_norm_op(), bindings)};
  };
  op.plan_inputs = plan_inputs;
  op.model_cases = model_cases;
  return op;
}

}  // namespace

namespace ops {
OpDefinition norm_fused_add_rms_norm_definition();
OpDefinition norm_fused_add_rms_norm_definition() {
  return make_definition();
}
}  // namespace ops

namespace norm {

const OpDefinition& fused_add_rms_norm_op() {
  static const OpDefinition& op = OpRegistry::instance().require(op_name);
  return op;
}

Call fused_add_rms_norm_call(const FusedAddRmsNorm& arguments) {
  const TensorView& x = arguments.x;
  const TensorView& weight = arguments.weight;
  RowTensors rows(op_name, x);
  const std::int64_t residual_stride = rows.output("residual", arguments.residual);
  const std::int64_t y_stride = rows.output("y", arguments.y);
  require_apart(op_name, "residual", arguments.residual, "y", arguments.y);
  require_apart(op_name, "residual", arguments.residual, "x", x);
  require_eps(op_name, arguments.eps);
  rows.vector("weight", weight);
  require_offset(op_name, weight, arguments.weight_offset);

  Call call = rows.call(weight.absent() ? x.dtype : weight.dtype, arguments.y.dtype);
  call.spec.values[has_weight] = weight.absent() ? 0 : 1;
  call.spec.values[hf_rounding] = arguments.hf_rounding ? 1 : 0;
  call.spec.values[residual_dtype] = host::number(arguments.residual.dtype);
  call.set_arguments(FusedAddRmsNormKernelArgs{x.data, arguments.residual.data, weight.data, arguments.y.data,
                                               rows.count(), rows.stride(), residual_stride, y_stride,
                                               arguments.eps, arguments.weight_offset});
  return call;
}

void fused_add_rms_norm(Runtime& runtime, const FusedAddRmsNorm& arguments, Stream stream) {
  runtime.dispatch(fused_add_rms_norm_op(), fused_add_rms_norm_call(arguments), stream);
}

PreparedLaunch prepare_fused_add_rms_norm(Runtime& runtime, const FusedAddRmsNorm& arguments) {
  return runtime.prepare(fused_add_rms_norm_op(), fused_add_rms_norm_call(arguments));
}

}  // namespace norm
}  // namespace kerncast
