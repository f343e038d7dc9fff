#include <kerncast/ops/activation/silu_and_mul.hpp>

#include "templates/activation/shared/gated.hpp"

namespace kerncast {
namespace activation {
namespace {
constexpr GatedKind kind{"silu_and_mul",
                         "activation.silu_and_mul",
                         "silu",
                         false,
                         "Gated activation: silu(gate) * up",
                         "y = silu(gate) * up, silu(x) = x * sigmoid(x) (Shazeer 2020, arXiv:2002.05202), "
                         "gate = x[:, :H], up = x[:, H:]; in f32, rounded once"};
}  // namespace

const OpDefinition& silu_and_mul_op() {
  static const OpDefinition& op = OpRegistry::instance().require(kind.op);
  return op;
}
Call silu_and_mul_call(const Gated& arguments) {
  return gated_call(kind, arguments);
}
void silu_and_mul(Runtime& runtime, const Gated& arguments, Stream stream) {
  runtime.dispatch(silu_and_mul_op(), gated_call(kind, arguments), stream);
}
PreparedLaunch prepare_silu_and_mul(Runtime& runtime, const Gated& arguments) {
  return runtime.prepare(silu_and_mul_op(), gated_call(kind, arguments));
}
}  // namespace activation

namespace ops {
OpDefinition activation_silu_and_mul_definition();
OpDefinition activation_silu_and_mul_definition() {
  return activation::gated_definition<activation::kind>();
}
}  // namespace ops
}  // namespace kerncast
