#include <kerncast/ops/activation/gelu_and_mul.hpp>

#include "templates/activation/shared/gated.hpp"

namespace kerncast {
namespace activation {
namespace {
constexpr GatedKind kind{"gelu_and_mul",
                         "activation.gelu_and_mul",
                         "gelu",
                         false,
                         "Gated activation: gelu(gate) * up, by the error function",
                         "y = gelu(gate) * up, gelu(x) = x * (1 + erf(x / sqrt(2))) / 2 (Shazeer 2020, "
                         "arXiv:2002.05202), gate = x[:, :H], up = x[:, H:]; in f32, rounded once"};
}  // namespace

const OpDefinition& gelu_and_mul_op() {
  static const OpDefinition& op = OpRegistry::instance().require(kind.op);
  return op;
}
Call gelu_and_mul_call(const Gated& arguments) {
  return gated_call(kind, arguments);
}
void gelu_and_mul(Runtime& runtime, const Gated& arguments, Stream stream) {
  runtime.dispatch(gelu_and_mul_op(), gated_call(kind, arguments), stream);
}
PreparedLaunch prepare_gelu_and_mul(Runtime& runtime, const Gated& arguments) {
  return runtime.prepare(gelu_and_mul_op(), gated_call(kind, arguments));
}
}  // namespace activation

namespace ops {
OpDefinition activation_gelu_and_mul_definition();
OpDefinition activation_gelu_and_mul_definition() {
  return activation::gated_definition<activation::kind>();
}
}  // namespace ops
}  // namespace kerncast
