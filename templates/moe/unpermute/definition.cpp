#include <kerncast/ops/moe/unpermute.hpp>

#include "templates/moe/shared/weighted_sum.hpp"

namespace kerncast {
namespace {

constexpr std::string_view op_name = "moe.unpermute";
constexpr bool mapped = true;

void validate(const Specialisation& spec) {
  moe::weighted_sum::validate(op_name, spec);
}

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  return moe::weighted_sum::model_cases(model, "experts' outputs, grouped by expert", true, false);
}

}  // namespace

namespace ops {
OpDefinition moe_unpermute_definition();
OpDefinition moe_unpermute_definition() {
  OpDefinition op = moe::weighted_sum::make_definition(op_name, mapped);
  op.summary = "Rows grouped by expert back to their tokens, weighted and summed";
  op.formula =
      "y[t] = routed_scaling_factor * sum over k of weights[t, k] * x[map[t, k]] (+ addend[t]), k ascending, "
      "in f32, rounded once; slots whose map names no row of x give 0; without weights each is 1";
  op.validate = validate;
  moe::weighted_sum::set_functions<moe::unpermute_op, mapped>(op);
  op.model_cases = model_cases;
  return op;
}
}  // namespace ops

namespace moe {

const OpDefinition& unpermute_op() {
  static const OpDefinition& op = OpRegistry::instance().require(op_name);
  return op;
}

Call unpermute_call(const Unpermute& arguments) {
  return weighted_sum::make_call(op_name,
                                 {arguments.x, arguments.weights, arguments.map, arguments.addend,
                                  arguments.y, arguments.routed_scaling_factor},
                                 mapped);
}

void unpermute(Runtime& runtime, const Unpermute& arguments, Stream stream) {
  runtime.dispatch(unpermute_op(), unpermute_call(arguments), stream);
}

PreparedLaunch prepare_unpermute(Runtime& runtime, const Unpermute& arguments) {
  return runtime.prepare(unpermute_op(), unpermute_call(arguments));
}

}  // namespace moe
}  // namespace kerncast
