#include <kerncast/ops/moe/topk_softmax.hpp>

#include "templates/host/define_op.hpp"
#include "templates/moe/shared/topk_gate.hpp"
#include "templates/moe/shared/topk_gate_spec_index.hpp"

namespace kerncast::moe {
namespace {

void describe(host::NamedArguments& named, TopkSoftmax& call) {
  topk_gate::describe(named, call);
  named.scalar("softcap", call.softcap, "cap c of the logits, positive and finite; 0: none");
}

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  return model.router.scoring == RouterScoring::softmax && model.router.groups <= 1
             ? topk_gate::model_cases(model)
             : std::vector<ModelCase>();
}

}  // namespace

Call bind(const TopkSoftmax& arguments) {
  return topk_gate::make_call(TopkSoftmax::op_name, {.logits = arguments.logits,
                                                     .bias = arguments.bias,
                                                     .weights = arguments.weights,
                                                     .ids = arguments.ids,
                                                     .num_token_non_padded = arguments.num_token_non_padded,
                                                     .renormalize = arguments.renormalize,
                                                     .softcap = arguments.softcap});
}

}  // namespace kerncast::moe

KERNCAST_OP(moe, topk_softmax) {
  using namespace moe;
  OpDefinition op = topk_gate::definition<TopkSoftmax, describe>();
  op.summary = "Router with softmax scores and top-k";
  op.formula =
      "v = logits, with softcap c: c * tanh(logits / c); v += bias; p = softmax(v); the top_k largest v, "
      "ties to the lower index, NaN last; w = p, renormalize: w /= sum(w). A NaN in a row makes its "
      "weights NaN (Shazeer et al. 2017, arXiv:1701.06538)";
  host::append(op.params, host::param<topk_gate_params::softcap>(host::flag_param(false, "cap the logits")));
  op.model_cases = model_cases;
  return op;
}
