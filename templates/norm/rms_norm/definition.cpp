#include <kerncast/ops/norm/rms_norm.hpp>

#include "templates/norm/rms_norm/kernel_args.h"
#include "templates/norm/rms_norm/spec_index.hpp"
#include "templates/norm/shared/row_norm.hpp"

namespace kerncast {
namespace {

constexpr std::string_view op_name = "norm.rms_norm";

using namespace norm::rms_norm_params;

Call bind(const Bindings& bindings) {
  const OpDefinition& op = norm::rms_norm_op();
  Call call = norm::rms_norm_call({
      .x = bindings.require_tensor(op_name, "x"),
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
  norm::RowPlans plans(norm::rms_norm_op(), bindings, rows);
  plans.rows("x");
  plans.vector("weight", "has_weight");
  return plans.take();
}

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  std::vector<ModelCase> cases;
  // Wan normalises q and k over all heads at once; the other diffusion transformers per head, another op.
  if (norm::is_wan(model)) {
    norm::add_row_case(cases, model, "attention norm_q, norm_k", model.hidden);
  } else if (!model.layer_norm) {
    norm::add_row_case(cases, model, "input_layernorm, post_attention_layernorm", model.hidden);
    norm::add_row_case(cases, model, "q_a_layernorm", model.q_lora_rank);
    norm::add_row_case(cases, model, "kv_a_layernorm", model.kv_lora_rank);
  }
  for (ModelCase& item : cases) {
    item.scalars.emplace_back("weight_offset", model.norm_weight_offset);
  }
  return cases;
}

OpDefinition make_definition() {
  OpDefinition op = norm::rms_definition(op_name);
  op.summary = "Root-mean-square normalisation of rows";
  op.formula =
      "y = x * rsqrt(mean(x^2) + eps) * (weight + weight_offset), in f32, rounded once; hf_rounding also "
      "rounds x * rsqrt(...) to x's dtype. mean + eps is at least 2^-126 (Zhang and Sennrich 2019, "
      "arXiv:1910.07467)";
  op.include = "norm/rms_norm/kernel.cuh";
  op.kernel = "kerncast::norm::rms_norm_kernel";
  op.arguments_type = "kerncast::norm::RmsNormKernelArgs";
  op.validate = [](const Specialisation& spec) { norm::validate_rows(op_name, spec); };
  op.bind = bind;
  op.plan_outputs = [](const Bindings& bindings) {
    return std::vector{norm::plan_y(norm::rms_norm_op(), bindings)};
  };
  op.plan_inputs = plan_inputs;
  op.model_cases = model_cases;
  return op;
}

}  // namespace

namespace ops {
OpDefinition norm_rms_norm_definition();
OpDefinition norm_rms_norm_definition() {
  return make_definition();
}
}  // namespace ops

namespace norm {

const OpDefinition& rms_norm_op() {
  static const OpDefinition& op = OpRegistry::instance().require(op_name);
  return op;
}

Call rms_norm_call(const RmsNorm& arguments) {
  const TensorView& weight = arguments.weight;
  RowTensors rows(op_name, arguments.x);
  const std::int64_t y_stride = rows.output("y", arguments.y, Beside::wide);
  require_eps(op_name, arguments.eps);
  rows.vector("weight", weight);
  require_offset(op_name, weight, arguments.weight_offset);

  Call call = rows.call(weight.absent() ? arguments.x.dtype : weight.dtype, arguments.y.dtype);
  call.spec.values[has_weight] = weight.absent() ? 0 : 1;
  call.spec.values[hf_rounding] = arguments.hf_rounding ? 1 : 0;
  call.set_arguments(RmsNormKernelArgs{arguments.x.data, weight.data, arguments.y.data, rows.count(),
                                       rows.stride(), y_stride, arguments.eps, arguments.weight_offset});
  return call;
}

void rms_norm(Runtime& runtime, const RmsNorm& arguments, Stream stream) {
  runtime.dispatch(rms_norm_op(), rms_norm_call(arguments), stream);
}

PreparedLaunch prepare_rms_norm(Runtime& runtime, const RmsNorm& arguments) {
  return runtime.prepare(rms_norm_op(), rms_norm_call(arguments));
}

}  // namespace norm
}  // namespace kerncast
