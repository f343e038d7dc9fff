#include <kerncast/ops/norm/layer_norm.hpp>

#include <fmt/format.h>

#include "templates/norm/layer_norm/kernel_args.h"
#include "templates/norm/layer_norm/spec_index.hpp"
#include "templates/norm/shared/row_norm.hpp"

namespace kerncast {
namespace {

constexpr std::string_view op_name = "norm.layer_norm";

using namespace norm::layer_norm_params;

Call bind(const Bindings& bindings) {
  const OpDefinition& op = norm::layer_norm_op();
  Call call = norm::layer_norm_call({
      .x = bindings.require_tensor(op_name, "x"),
      .weight = bindings.tensor_or_absent("weight"),
      .bias = bindings.tensor_or_absent("bias"),
      .y = bindings.require_tensor(op_name, "y"),
      .eps = norm::scalar_or(bindings, "eps", 1e-6),
  });
  norm::apply_settings(op, call, bindings);
  return call;
}

std::vector<TensorPlan> plan_inputs(const Bindings& bindings, std::int64_t rows) {
  norm::RowPlans plans(norm::layer_norm_op(), bindings, rows);
  plans.rows("x");
  plans.vector("weight", "has_weight");
  plans.vector("bias", "has_bias");
  return plans.take();
}

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  std::vector<ModelCase> cases;
  // Wan's other norms, and those of the other diffusion transformers, are modulated: another op.
  if (norm::is_wan(model)) {
    norm::add_row_case(cases, model, "norm2, before cross attention", model.hidden);
  }
  return cases;
}

OpDefinition make_definition() {
  OpDefinition op = norm::row_norm_definition(op_name);
  op.summary = "Layer normalisation of rows";
  op.formula =
      "y = (x - m) * rsqrt(v + eps) * weight + bias, m = mean(x), v = mean((x - m)^2) in a second pass; in "
      "f32, rounded once. v + eps is at least 2^-126 (Ba, Kiros and Hinton 2016, arXiv:1607.06450)";
  op.include = "norm/layer_norm/kernel.cuh";
  op.default_tunables = [](const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
    return norm::row_tunables(spec, device, rows, {.once = 145, .each = 112, .reductions = 2});
  };
  op.kernel = "kerncast::norm::layer_norm_kernel";
  op.arguments_type = "kerncast::norm::LayerNormKernelArgs";
  op.params[norm::row_params::weight_dtype].doc =
      "element type of weight and bias; x's where there is neither";
  op.params.push_back(host::flag_param("has_weight", true, "multiply by weight"));
  op.params.push_back(host::flag_param("has_bias", true, "add bias"));
  op.tensors.push_back(norm::weight_spec());
  op.tensors.push_back({"bias", Direction::in, true, "[hidden], weight_dtype"});
  op.tensors.push_back(norm::y_spec());
  op.scalars[0].doc = "added to the variance; not negative";
  op.validate = [](const Specialisation& spec) { norm::validate_rows(op_name, spec); };
  op.bind = bind;
  op.plan_outputs = [](const Bindings& bindings) {
    return std::vector{norm::plan_y(norm::layer_norm_op(), bindings)};
  };
  op.plan_inputs = plan_inputs;
  op.model_cases = model_cases;
  return op;
}

}  // namespace

namespace ops {
OpDefinition norm_layer_norm_definition();
OpDefinition norm_layer_norm_definition() {
  return make_definition();
}
}  // namespace ops

namespace norm {

const OpDefinition& layer_norm_op() {
  static const OpDefinition& op = OpRegistry::instance().require(op_name);
  return op;
}

Call layer_norm_call(const LayerNorm& arguments) {
  const TensorView& weight = arguments.weight;
  const TensorView& bias = arguments.bias;
  RowTensors rows(op_name, arguments.x);
  const std::int64_t y_stride = rows.output("y", arguments.y);
  require_eps(op_name, arguments.eps);
  const DType type = rows.affine(weight, bias);

  Call call = rows.call(type, arguments.y.dtype);
  call.spec.values[has_weight] = weight.absent() ? 0 : 1;
  call.spec.values[has_bias] = bias.absent() ? 0 : 1;
  call.set_arguments(LayerNormKernelArgs{arguments.x.data, weight.data, bias.data, arguments.y.data,
                                         rows.count(), rows.stride(), y_stride, arguments.eps});
  return call;
}

void layer_norm(Runtime& runtime, const LayerNorm& arguments, Stream stream) {
  runtime.dispatch(layer_norm_op(), layer_norm_call(arguments), stream);
}

PreparedLaunch prepare_layer_norm(Runtime& runtime, const LayerNorm& arguments) {
  return runtime.prepare(layer_norm_op(), layer_norm_call(arguments));
}

}  // namespace norm
}  // namespace kerncast
