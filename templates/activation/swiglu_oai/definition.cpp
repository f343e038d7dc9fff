#include <kerncast/ops/activation/swiglu_oai.hpp>

#include "templates/activation/shared/gated.hpp"

namespace kerncast {
namespace activation {
namespace {
constexpr GatedKind kind{
    "swiglu_oai",
    "activation.swiglu_oai",
    "swiglu_oai",
    true,
    "Gated activation of GPT-OSS: clamped, gates and ups interleaved",
    "y = (clamp(up, -7, 7) + 1) * g * sigmoid(1.702 * g), g = min(gate, 7) (gpt-oss reference "
    "implementation), gate = x[:, ::2], up = x[:, 1::2]; in f32, rounded once"};
}  // namespace

const OpDefinition& swiglu_oai_op() {
  static const OpDefinition& op = OpRegistry::instance().require(kind.op);
  return op;
}
Call swiglu_oai_call(const Gated& arguments) {
  return gated_call(kind, arguments);
}
void swiglu_oai(Runtime& runtime, const Gated& arguments, Stream stream) {
  runtime.dispatch(swiglu_oai_op(), gated_call(kind, arguments), stream);
}
PreparedLaunch prepare_swiglu_oai(Runtime& runtime, const Gated& arguments) {
  return runtime.prepare(swiglu_oai_op(), gated_call(kind, arguments));
}
}  // namespace activation

namespace ops {
OpDefinition activation_swiglu_oai_definition();
OpDefinition activation_swiglu_oai_definition() {
  return activation::gated_definition<activation::kind>();
}
}  // namespace ops
}  // namespace kerncast
