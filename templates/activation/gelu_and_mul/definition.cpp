#include <kerncast/ops/activation/gelu_and_mul.hpp>

#include "templates/activation/shared/gated.hpp"
#include "templates/host/define_op.hpp"

namespace kerncast::activation {
namespace {

constexpr GatedVariant variant{.op = GeluAndMul::op_name, .model_act = "gelu", .order = GateOrder::halves};

}  // namespace

Call bind(const GeluAndMul& arguments) {
  return gated_call(variant, {arguments.x, arguments.y, arguments.masked_m});
}

}  // namespace kerncast::activation

KERNCAST_OP(activation, gelu_and_mul) {
  OpDefinition op = activation::gated_definition<activation::GeluAndMul, activation::variant>();
  op.summary = "Gated activation: gelu(gate) * up, by the error function";
  op.formula =
      "y = gelu(gate) * up, gelu(x) = x * (1 + erf(x / sqrt(2))) / 2 (Shazeer 2020, arXiv:2002.05202), gate "
      "= x[:, :H], up = x[:, H:]; in f32, rounded once";
  return op;
}
