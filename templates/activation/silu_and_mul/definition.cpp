#include <kerncast/ops/activation/silu_and_mul.hpp>

#include "templates/activation/shared/gated.hpp"
#include "templates/host/define_op.hpp"

namespace kerncast::activation {
namespace {

constexpr GatedVariant variant{
    .op = SiluAndMul::op_name, .model_act = "silu", .order = GateOrder::halves, .limits_on_demand = true};

}  // namespace

Call bind(const SiluAndMul& arguments) {
  require_limit(SiluAndMul::op_name, arguments.limit, true);
  return gated_call(variant, {arguments.x, arguments.y, arguments.masked_m, arguments.limit});
}

}  // namespace kerncast::activation

KERNCAST_OP(activation, silu_and_mul) {
  OpDefinition op = activation::gated_definition<activation::SiluAndMul, activation::variant>();
  op.summary = "Gated activation: silu(gate) * up";
  op.formula =
      "y = silu(gate) * up, silu(x) = x * sigmoid(x) (Shazeer 2020, arXiv:2002.05202), gate = x[:, :H], up = "
      "x[:, H:]; with a limit L: gate = min(gate, L), up = clamp(up, -L, L) first (swiglu_limit of "
      "DeepSeek-V4); in f32, rounded once";
  return op;
}
