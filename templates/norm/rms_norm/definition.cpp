#include <kerncast/ops/norm/rms_norm.hpp>

#include "templates/host/define_op.hpp"
#include "templates/norm/rms_norm/kernel_args.h"
#include "templates/norm/shared/rms_op.hpp"

namespace kerncast::norm {
namespace {

void describe(host::NamedArguments& named, RmsNorm& call) {
  named.input("x", call.x, x_doc);
  describe_rms(named, call);
}

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  std::vector<ModelCase> cases;
  // Wan normalises q and k over all heads at once. The other diffusion transformers do so for each head,
  // which is another op.
  if (is_wan(model)) {
    add_weighted_row_case(cases, model, "attention norm_q, norm_k", model.hidden);
  } else if (!model.layer_norm) {
    add_weighted_row_case(cases, model, "input_layernorm, post_attention_layernorm", model.hidden);
    add_weighted_row_case(cases, model, "q_a_layernorm", model.q_lora_rank);
    add_weighted_row_case(cases, model, "kv_a_layernorm", model.kv_lora_rank);
  }
  for (ModelCase& item : cases) {
    item.scalars.emplace_back("weight_offset", model.norm_weight_offset);
  }
  return cases;
}

}  // namespace

Call bind(const RmsNorm& arguments) {
  NormChecks checks(RmsNorm::op_name, arguments.x);
  const std::int64_t y_stride = checks.output("y", arguments.y, AccessLimit::several_16_byte);
  host::require_apart(RmsNorm::op_name, {{"y", arguments.y, "x"}},
                      {{"x", arguments.x}, {"weight", arguments.weight}});
  Call call = rms_call(checks, arguments);
  call.set_arguments(RmsNormKernelArgs{
      .x = arguments.x.data,
      .weight = arguments.weight.data,
      .y = arguments.y.data,
      .rows = checks.count(),
      .x_stride = checks.stride(),
      .y_stride = y_stride,
      .eps = arguments.eps,
      .weight_offset = arguments.weight_offset,
  });
  return call;
}

}  // namespace kerncast::norm

KERNCAST_OP(norm, rms_norm) {
  using namespace norm;
  OpDefinition op = define_rms_norm<RmsNorm, describe>();
  op.summary = "Root-mean-square normalisation of rows";
  op.formula =
      "y = x * rsqrt(mean(x^2) + eps) * (weight + weight_offset), in f32, rounded once; hf_rounding also "
      "rounds x * rsqrt(...) to x's dtype. mean + eps is at least 2^-126 (Zhang and Sennrich 2019, "
      "arXiv:1910.07467)";
  op.plan_inputs = [](const Bindings& bindings, std::int64_t rows) {
    return InputPlans(definition_of<RmsNorm>(), bindings, rows)
        .rows("x")
        .vector("weight", "has_weight")
        .take();
  };
  op.model_cases = model_cases;
  return op;
}
