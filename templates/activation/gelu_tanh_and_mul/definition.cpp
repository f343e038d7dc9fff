#include <kerncast/ops/activation/gelu_tanh_and_mul.hpp>

#include "templates/activation/shared/gated.hpp"

namespace kerncast {
namespace activation {
namespace {
constexpr GatedKind kind{
    "gelu_tanh_and_mul",
    "activation.gelu_tanh_and_mul",
    "gelu_tanh",
    false,
    "Gated activation: gelu(gate) * up, by the tanh approximation",
    "y = gelu(gate) * up, gelu(x) = x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) / 2 (Hendrycks and "
    "Gimpel 2016, arXiv:1606.08415), gate = x[:, :H], up = x[:, H:]; in f32, rounded once"};
}  // namespace

const OpDefinition& gelu_tanh_and_mul_op() {
  static const OpDefinition& op = OpRegistry::instance().require(kind.op);
  return op;
}
Call gelu_tanh_and_mul_call(const Gated& arguments) {
  return gated_call(kind, arguments);
}
void gelu_tanh_and_mul(Runtime& runtime, const Gated& arguments, Stream stream) {
  runtime.dispatch(gelu_tanh_and_mul_op(), gated_call(kind, arguments), stream);
}
PreparedLaunch prepare_gelu_tanh_and_mul(Runtime& runtime, const Gated& arguments) {
  return runtime.prepare(gelu_tanh_and_mul_op(), gated_call(kind, arguments));
}
}  // namespace activation

namespace ops {
OpDefinition activation_gelu_tanh_and_mul_definition();
OpDefinition activation_gelu_tanh_and_mul_definition() {
  return activation::gated_definition<activation::kind>();
}
}  // namespace ops
}  // namespace kerncast
