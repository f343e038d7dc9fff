#include <kerncast/ops/moe/unpermute.hpp>

#include "templates/host/define_op.hpp"
#include "templates/moe/shared/weighted_sum.hpp"

namespace kerncast::moe {
namespace {

void describe(host::NamedArguments& named, Unpermute& call) {
  named.input("x", call.x, "[P, hidden], x_dtype; rows may be strided");
  named.input("map", call.map, "[..., top_k], i32: the row of x of each slot; below 0 or from P on: skipped");
  weighted_sum::describe_rest(named, call);
}

}  // namespace

Call bind(const Unpermute& arguments) {
  return weighted_sum::make_call(Unpermute::op_name, {.x = arguments.x,
                                                      .weights = arguments.weights,
                                                      .map = &arguments.map,
                                                      .addend = arguments.addend,
                                                      .y = arguments.y,
                                                      .factor = arguments.routed_scaling_factor});
}

}  // namespace kerncast::moe

KERNCAST_OP(moe, unpermute) {
  using namespace moe;
  OpDefinition op = weighted_sum::definition<Unpermute, describe, true>();
  op.summary = "Rows grouped by expert back to their tokens, weighted and summed";
  op.formula =
      "y[t] = routed_scaling_factor * sum over k of weights[t, k] * x[map[t, k]] (+ addend[t]), k ascending, "
      "in f32, rounded once; slots whose map names no row of x give 0; without weights each is 1";
  op.model_cases = [](const ModelConfig& model) {
    return weighted_sum::model_cases(model, "experts' outputs, grouped by expert", true, false);
  };
  return op;
}
