#include <kerncast/ops/norm/rms_norm.hpp>

#include "templates/host/define_op.hpp"
#include "templates/host/typed_op.hpp"
#include "templates/norm/rms_norm/kernel_args.h"
#include "templates/norm/rms_norm/spec_index.hpp"
#include "templates/norm/shared/row_norm.hpp"

namespace kerncast::norm {
namespace {

using namespace rms_norm_params;

void describe(host::NamedArguments& named, RmsNorm& call) {
  named.input("x", call.x, x_doc);
  named.optional_input("weight", call.weight, weight_doc);
  named.output("y", call.y, y_doc);
  named.scalar("eps", call.eps, eps_doc);
  named.scalar("weight_offset", call.weight_offset, weight_offset_doc);
  named.setting("hf_rounding", call.hf_rounding);
}

std::vector<TensorPlan> plan_inputs(const Bindings& bindings, std::int64_t rows) {
  RowPlans plans(definition_of<RmsNorm>(), bindings, rows);
  plans.rows("x");
  plans.vector("weight", "has_weight");
  return plans.take();
}

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  std::vector<ModelCase> cases;
  // Wan normalises q and k over all heads at once; the other diffusion transformers do so for each head, by
  // another op.
  if (is_wan(model)) {
    add_row_case(cases, model, "attention norm_q, norm_k", model.hidden);
  } else if (!model.layer_norm) {
    add_row_case(cases, model, "input_layernorm, post_attention_layernorm", model.hidden);
    add_row_case(cases, model, "q_a_layernorm", model.q_lora_rank);
    add_row_case(cases, model, "kv_a_layernorm", model.kv_lora_rank);
  }
  for (ModelCase& item : cases) {
    item.scalars.emplace_back("weight_offset", model.norm_weight_offset);
  }
  return cases;
}

}  // namespace

Call bind(const RmsNorm& arguments) {
  const TensorView& weight = arguments.weight;
  RowTensors rows(RmsNorm::op_name, arguments.x);
  const std::int64_t y_stride = rows.output("y", arguments.y, Beside::wide);
  require_eps(RmsNorm::op_name, arguments.eps);
  rows.vector("weight", weight);
  require_offset(RmsNorm::op_name, weight, arguments.weight_offset);

  Call call = rows.call(weight.absent() ? arguments.x.dtype : weight.dtype, arguments.y.dtype);
  call.spec.values[has_weight] = weight.absent() ? 0 : 1;
  call.spec.values[hf_rounding] = arguments.hf_rounding ? 1 : 0;
  call.set_arguments(RmsNormKernelArgs{
      .x = arguments.x.data,
      .weight = weight.data,
      .y = arguments.y.data,
      .rows = rows.count(),
      .x_stride = rows.stride(),
      .y_stride = y_stride,
      .eps = arguments.eps,
      .weight_offset = arguments.weight_offset,
  });
  return call;
}

}  // namespace kerncast::norm

KERNCAST_OP(norm, rms_norm) {
  using namespace norm;
  OpDefinition op = host::define<RmsNorm, describe>();
  op.summary = "Root-mean-square normalisation of rows";
  op.formula =
      "y = x * rsqrt(mean(x^2) + eps) * (weight + weight_offset), in f32, rounded once; hf_rounding also "
      "rounds x * rsqrt(...) to x's dtype. mean + eps is at least 2^-126 (Zhang and Sennrich 2019, "
      "arXiv:1910.07467)";
  add_row_params(op);
  host::append(op.params, host::param<has_weight>(has_weight_param()),
               host::param<hf_rounding>(hf_rounding_param()));
  op.validate = [](const Specialisation& spec) { validate_rows(RmsNorm::op_name, spec); };
  op.plan_inputs = plan_inputs;
  op.plan_outputs = [](const Bindings& bindings) {
    return std::vector{plan_y(definition_of<RmsNorm>(), bindings)};
  };
  op.model_cases = model_cases;
  return op;
}
