#include <kerncast/ops/moe/sum_reduce.hpp>

#include <algorithm>
#include <iterator>

#include "templates/host/define_op.hpp"
#include "templates/moe/shared/weighted_sum.hpp"

namespace kerncast::moe {
namespace {

void describe(host::NamedArguments& named, SumReduce& call) {
  named.input("x", call.x, "[..., top_k, hidden], x_dtype; tokens and slots may be strided");
  weighted_sum::describe_rest(named, call);
  named.optional_input("ids", call.ids, "[..., top_k], i32: slots that name no expert here are skipped");
  named.optional_input("expert_map", call.expert_map,
                       "[experts of all ranks], i32: this rank's expert, or -1; with ids");
  named.setting("experts", call.experts);
}

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  std::vector<ModelCase> cases =
      weighted_sum::model_cases(model, "experts' outputs, already weighted", false, false);
  if (model.adds_shared) {
    std::vector<ModelCase> more =
        weighted_sum::model_cases(model, "experts' outputs, with the shared expert's", true, true);
    std::move(more.begin(), more.end(), std::back_inserter(cases));
  }
  return cases;
}

}  // namespace

Call bind(const SumReduce& arguments) {
  return weighted_sum::make_call(SumReduce::op_name, {.x = arguments.x,
                                                      .weights = arguments.weights,
                                                      .map = nullptr,
                                                      .addend = arguments.addend,
                                                      .y = arguments.y,
                                                      .factor = arguments.routed_scaling_factor,
                                                      .ids = &arguments.ids,
                                                      .expert_map = &arguments.expert_map,
                                                      .experts = arguments.experts});
}

}  // namespace kerncast::moe

KERNCAST_OP(moe, sum_reduce) {
  using namespace moe;
  OpDefinition op = weighted_sum::definition<SumReduce, describe, false>();
  op.summary = "Sum over a token's slots, weighted";
  op.formula =
      "y = routed_scaling_factor * sum over k of weights[k] * x[k] (+ addend), k ascending, in f32, rounded "
      "once; without weights each is 1. With ids, slots whose id, after expert_map, is below 0 or from "
      "experts "
      "on give 0";
  weighted_sum::add_id_params(op);
  op.model_cases = model_cases;
  return op;
}
