#include <kerncast/ops/moe/topk_sigmoid.hpp>

#include "templates/host/define_op.hpp"
#include "templates/moe/shared/topk_gate.hpp"

namespace kerncast::moe {
namespace {

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  // Gates with groups or shared experts are fused_gate's. sum_reduce can apply a scaling factor.
  return model.router.scoring == RouterScoring::sigmoid && model.router.groups <= 1
             ? topk_gate::model_cases(model)
             : std::vector<ModelCase>();
}

}  // namespace

Call bind(const TopkSigmoid& arguments) {
  return topk_gate::make_call(TopkSigmoid::op_name, {.logits = arguments.logits,
                                                     .bias = arguments.bias,
                                                     .weights = arguments.weights,
                                                     .ids = arguments.ids,
                                                     .num_token_non_padded = arguments.num_token_non_padded,
                                                     .renormalize = arguments.renormalize});
}

}  // namespace kerncast::moe

KERNCAST_OP(moe, topk_sigmoid) {
  using namespace moe;
  OpDefinition op = topk_gate::definition<TopkSigmoid, topk_gate::describe<TopkSigmoid>>();
  op.summary = "Router with sigmoid scores and top-k";
  op.formula =
      "s = sigmoid(logits); the top_k largest s + bias, ties to the lower index, NaN last; w = s, "
      "renormalize: w /= sum(w) (DeepSeek-V3 technical report, without groups)";
  op.model_cases = model_cases;
  return op;
}
