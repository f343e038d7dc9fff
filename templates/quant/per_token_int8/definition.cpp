#include <kerncast/ops/quant/per_token_int8.hpp>

#include "templates/quant/shared/dense_rows.hpp"
#include "templates/quant/shared/per_token.hpp"

namespace kerncast {
namespace quant {
namespace {
constexpr PerTokenKind kind{
    "per_token_int8", "quant.per_token_int8", DType::i8, "Quantisation to int8 with one scale per row",
    "s = max(amax(row), 1e-10) / 127; q = sat(x / s), to nearest even. NaN is passed "
    "over by amax and gives 0 (sgl-kernel per_token_quant_int8, but rounding to nearest even)"};
}  // namespace

const OpDefinition& per_token_int8_op() {
  static const OpDefinition& op = OpRegistry::instance().require(kind.op);
  return op;
}
Call per_token_int8_call(const PerToken& arguments) {
  return per_token_call(kind, arguments);
}
void per_token_int8(Runtime& runtime, const PerToken& arguments, Stream stream) {
  runtime.dispatch(per_token_int8_op(), per_token_int8_call(arguments), stream);
}
PreparedLaunch prepare_per_token_int8(Runtime& runtime, const PerToken& arguments) {
  return runtime.prepare(per_token_int8_op(), per_token_int8_call(arguments));
}
}  // namespace quant

namespace ops {
OpDefinition quant_per_token_int8_definition();
OpDefinition quant_per_token_int8_definition() {
  OpDefinition op = quant::per_token_definition<quant::kind>();
  op.model_cases = [](const ModelConfig& model) { return quant::dense_cases(model, {}); };
  return op;
}
}  // namespace ops
}  // namespace kerncast
