#include <kerncast/ops/activation/gelu_tanh_and_mul.hpp>

#include "templates/activation/shared/gated.hpp"
#include "templates/host/define_op.hpp"

namespace kerncast::activation {
namespace {

constexpr GatedVariant variant{
    .op = GeluTanhAndMul::op_name, .model_act = "gelu_tanh", .order = GateOrder::halves};

}  // namespace

Call bind(const GeluTanhAndMul& arguments) {
  return gated_call(variant, {arguments.x, arguments.y, arguments.masked_m});
}

}  // namespace kerncast::activation

KERNCAST_OP(activation, gelu_tanh_and_mul) {
  OpDefinition op = activation::gated_definition<activation::GeluTanhAndMul, activation::variant>();
  op.summary = "Gated activation: gelu(gate) * up, by the tanh approximation";
  op.formula =
      "y = gelu(gate) * up, gelu(x) = x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) / 2 (Hendrycks and "
      "Gimpel 2016, arXiv:1606.08415), gate = x[:, :H], up = x[:, H:]; in f32, rounded once";
  return op;
}
