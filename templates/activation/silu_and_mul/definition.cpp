#include <kerncast/ops/activation/silu_and_mul.hpp>

#include "templates/activation/shared/gated.hpp"
#include "templates/host/define_op.hpp"

namespace kerncast::activation {
namespace {

constexpr GatedVariant variant{.op = SiluAndMul::op_name, .model_act = "silu", .order = GateOrder::halves};

}  // namespace

Call bind(const SiluAndMul& arguments) {
  return gated_call(variant, {arguments.x, arguments.y, arguments.masked_m});
}

}  // namespace kerncast::activation

KERNCAST_OP(activation, silu_and_mul) {
  OpDefinition op = activation::gated_definition<activation::SiluAndMul, activation::variant>();
  op.summary = "Gated activation: silu(gate) * up";
  op.formula =
      "y = silu(gate) * up, silu(x) = x * sigmoid(x) (Shazeer 2020, arXiv:2002.05202), gate = x[:, :H], up = "
      "x[:, H:]; in f32, rounded once";
  return op;
}
