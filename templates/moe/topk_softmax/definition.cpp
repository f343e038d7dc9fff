#include <kerncast/ops/moe/topk_softmax.hpp>

#include "templates/moe/shared/router.hpp"
#include "templates/moe/shared/topk_gate.hpp"

namespace kerncast {
namespace {

constexpr std::string_view op_name = "moe.topk_softmax";

void validate(const Specialisation& spec) {
  moe::topk_gate::validate(op_name, spec);
}

Call bind(const Bindings& bindings) {
  const OpDefinition& op = moe::topk_softmax_op();
  return moe::topk_gate::checked(op, moe::topk_gate::make_call(op_name, moe::topk_gate::read(op, bindings)),
                                 bindings);
}

std::vector<TensorPlan> plan_inputs(const Bindings& bindings, std::int64_t rows) {
  return moe::topk_gate::plan_inputs(moe::topk_softmax_op(), bindings, rows);
}

std::vector<TensorPlan> plan_outputs(const Bindings& bindings) {
  return moe::router::plan_outputs(moe::topk_softmax_op(), bindings);
}

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  return model.sigmoid_gate ? std::vector<ModelCase>()
                            : moe::topk_gate::model_case(model, model.dtype, false);
}

}  // namespace

namespace ops {
OpDefinition moe_topk_softmax_definition();
OpDefinition moe_topk_softmax_definition() {
  return moe::topk_gate::make_definition(
      {.name = "moe.topk_softmax",
       .summary = "Router with softmax scores and top-k",
       .formula =
           "v = logits, with softcap c: c * tanh(logits / c); v += bias; p = softmax(v); the top_k largest "
           "v, "
           "ties to the lower index, NaN last; w = p, renormalize: w /= sum(w). A NaN in a row makes its "
           "weights NaN (Shazeer et al. 2017, arXiv:1701.06538)",
       .include = "moe/topk_softmax/kernel.cuh",
       .kernel = "kerncast::moe::topk_softmax_kernel",
       .arguments_type = "kerncast::moe::TopkSoftmaxKernelArgs",
       .has_softcap = true,
       .validate = validate,
       .bind = bind,
       .plan_outputs = plan_outputs,
       .plan_inputs = plan_inputs,
       .model_cases = model_cases});
}
}  // namespace ops

namespace moe {

const OpDefinition& topk_softmax_op() {
  static const OpDefinition& op = OpRegistry::instance().require(op_name);
  return op;
}

Call topk_softmax_call(const TopkSoftmax& arguments) {
  return topk_gate::make_call(op_name, {arguments.logits, arguments.bias, arguments.weights, arguments.ids,
                                        arguments.renormalize, arguments.softcap});
}

void topk_softmax(Runtime& runtime, const TopkSoftmax& arguments, Stream stream) {
  runtime.dispatch(topk_softmax_op(), topk_softmax_call(arguments), stream);
}

PreparedLaunch prepare_topk_softmax(Runtime& runtime, const TopkSoftmax& arguments) {
  return runtime.prepare(topk_softmax_op(), topk_softmax_call(arguments));
}

}  // namespace moe
}  // namespace kerncast
