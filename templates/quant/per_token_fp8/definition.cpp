#include <kerncast/ops/quant/per_token_fp8.hpp>

#include "templates/quant/shared/row_operands.hpp"
#include "templates/quant/shared/row_scaled.hpp"

namespace kerncast {
namespace quant {
namespace {
constexpr RowScaledVariant variant{
    "per_token_fp8", "quant.per_token_fp8", DType::fp8_e4m3, "Quantisation to fp8 with one scale per row",
    "s = max(amax(row), 1e-10) / 448; q = sat(x / s), to nearest even. NaN is passed "
    "over by amax and gives 0x7f (sgl-kernel per_token_quant_fp8)"};
}  // namespace

const OpDefinition& per_token_fp8_op() {
  static const OpDefinition& op = OpRegistry::instance().require(variant.op);
  return op;
}
Call per_token_fp8_call(const PerToken& arguments) {
  return row_scaled_call(variant, arguments);
}
void per_token_fp8(Runtime& runtime, const PerToken& arguments, Stream stream) {
  runtime.dispatch(per_token_fp8_op(), per_token_fp8_call(arguments), stream);
}
PreparedLaunch prepare_per_token_fp8(Runtime& runtime, const PerToken& arguments) {
  return runtime.prepare(per_token_fp8_op(), per_token_fp8_call(arguments));
}
}  // namespace quant

namespace ops {
OpDefinition quant_per_token_fp8_definition();
OpDefinition quant_per_token_fp8_definition() {
  OpDefinition op = quant::row_scaled_definition<quant::variant>();
  op.model_cases = [](const ModelConfig& model) { return quant::linear_input_cases(model, {}); };
  return op;
}
}  // namespace ops
}  // namespace kerncast
