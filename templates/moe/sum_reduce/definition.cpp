#include <kerncast/ops/moe/sum_reduce.hpp>

#include "templates/moe/shared/weighted_sum.hpp"

namespace kerncast {
namespace {

constexpr std::string_view op_name = "moe.sum_reduce";
constexpr bool mapped = false;

void validate(const Specialisation& spec) {
  moe::weighted_sum::validate(op_name, spec);
}

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  std::vector<ModelCase> cases =
      moe::weighted_sum::model_cases(model, "experts' outputs, already weighted", false, false);
  if (model.shared_experts > 0) {
    for (ModelCase& made :
         moe::weighted_sum::model_cases(model, "experts' outputs, with the shared expert's", true, true)) {
      cases.push_back(std::move(made));
    }
  }
  return cases;
}

}  // namespace

namespace ops {
OpDefinition moe_sum_reduce_definition();
OpDefinition moe_sum_reduce_definition() {
  OpDefinition op = moe::weighted_sum::make_definition(op_name, mapped);
  op.summary = "Sum over a token's slots, weighted";
  op.formula =
      "y = routed_scaling_factor * sum over k of weights[k] * x[k] (+ addend), k ascending, in f32, rounded "
      "once; without weights each is 1";
  op.validate = validate;
  moe::weighted_sum::set_functions<moe::sum_reduce_op, mapped>(op);
  op.model_cases = model_cases;
  return op;
}
}  // namespace ops

namespace moe {

const OpDefinition& sum_reduce_op() {
  static const OpDefinition& op = OpRegistry::instance().require(op_name);
  return op;
}

Call sum_reduce_call(const SumReduce& arguments) {
  return weighted_sum::make_call(
      op_name,
      {arguments.x, arguments.weights, {}, arguments.addend, arguments.y, arguments.routed_scaling_factor},
      mapped);
}

void sum_reduce(Runtime& runtime, const SumReduce& arguments, Stream stream) {
  runtime.dispatch(sum_reduce_op(), sum_reduce_call(arguments), stream);
}

PreparedLaunch prepare_sum_reduce(Runtime& runtime, const SumReduce& arguments) {
  return runtime.prepare(sum_reduce_op(), sum_reduce_call(arguments));
}

}  // namespace moe
}  // namespace kerncast
