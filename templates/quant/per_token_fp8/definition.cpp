#include <kerncast/ops/quant/per_token_fp8.hpp>

#include "templates/quant/shared/dense_rows.hpp"
#include "templates/quant/shared/per_token.hpp"

namespace kerncast {
namespace quant {
namespace {
constexpr PerTokenKind kind{"per_token_fp8", "quant.per_token_fp8", DType::fp8_e4m3,
                            "Quantisation to fp8 with one scale per row",
                            "s = max(amax(row), 1e-10) / 448; q = sat(x / s), to nearest even. NaN is passed "
                            "over by amax and gives 0x7f (sgl-kernel per_token_quant_fp8)"};
}  // namespace

const OpDefinition& per_token_fp8_op() {
  static const OpDefinition& op = OpRegistry::instance().require(kind.op);
  return op;
}
Call per_token_fp8_call(const PerToken& arguments) {
  return per_token_call(kind, arguments);
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
  OpDefinition op = quant::per_token_definition<quant::kind>();
  op.model_cases = [](const ModelConfig& model) { return quant::dense_cases(model, {}); };
  return op;
}
}  // namespace ops
}  // namespace kerncast
