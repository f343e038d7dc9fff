#include <kerncast/ops/moe/topk_sigmoid.hpp>

#include "templates/moe/shared/router.hpp"
#include "templates/moe/shared/topk_gate.hpp"

namespace kerncast {
namespace {

constexpr std::string_view op_name = "moe.topk_sigmoid";

void validate(const Specialisation& spec) {
  moe::topk_gate::validate(op_name, spec);
}

Call bind(const Bindings& bindings) {
  const OpDefinition& op = moe::topk_sigmoid_op();
  return moe::topk_gate::checked(op, moe::topk_gate::make_call(op_name, moe::topk_gate::read(op, bindings)),
                                 bindings);
}

std::vector<TensorPlan> plan_inputs(const Bindings& bindings, std::int64_t rows) {
  return moe::topk_gate::plan_inputs(moe::topk_sigmoid_op(), bindings, rows);
}

std::vector<TensorPlan> plan_outputs(const Bindings& bindings) {
  return moe::router::plan_outputs(moe::topk_sigmoid_op(), bindings);
}

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  // Groups and shared experts are fused_gate's; the factor may be sum_reduce's.
  return model.sigmoid_gate && model.groups <= 1 ? moe::topk_gate::model_case(model, DType::f32, true)
                                                 : std::vector<ModelCase>();
}

}  // namespace

namespace ops {
OpDefinition moe_topk_sigmoid_definition();
OpDefinition moe_topk_sigmoid_definition() {
  return moe::topk_gate::make_definition(
      {.name = "moe.topk_sigmoid",
       .summary = "Router with sigmoid scores and top-k",
       .formula =
           "s = sigmoid(logits); the top_k largest s + bias, ties to the lower index, NaN last; w = s, "
           "renormalize: w /= sum(w) (DeepSeek-V3 technical report, without groups)",
       .include = "moe/topk_sigmoid/kernel.cuh",
       .kernel = "kerncast::moe::topk_sigmoid_kernel",
       .arguments_type = "kerncast::moe::TopkSigmoidKernelArgs",
       .has_softcap = false,
       .validate = validate,
       .bind = bind,
       .plan_outputs = plan_outputs,
       .plan_inputs = plan_inputs,
       .model_cases = model_cases});
}
}  // namespace ops

namespace moe {

const OpDefinition& topk_sigmoid_op() {
  static const OpDefinition& op = OpRegistry::instance().require(op_name);
  return op;
}

Call topk_sigmoid_call(const TopkSigmoid& arguments) {
  return topk_gate::make_call(
      op_name, {arguments.logits, arguments.bias, arguments.weights, arguments.ids, arguments.renormalize});
}

void topk_sigmoid(Runtime& runtime, const TopkSigmoid& arguments, Stream stream) {
  runtime.dispatch(topk_sigmoid_op(), topk_sigmoid_call(arguments), stream);
}

PreparedLaunch prepare_topk_sigmoid(Runtime& runtime, const TopkSigmoid& arguments) {
  return runtime.prepare(topk_sigmoid_op(), topk_sigmoid_call(arguments));
}

}  // namespace moe
}  // namespace kerncast
