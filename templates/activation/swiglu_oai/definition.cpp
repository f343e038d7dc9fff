#include <kerncast/ops/activation/swiglu_oai.hpp>

#include "templates/activation/shared/gated.hpp"
#include "templates/host/define_op.hpp"

namespace kerncast::activation {
namespace {

constexpr GatedVariant variant{
    .op = SwigluOai::op_name, .model_act = "swiglu_oai", .order = GateOrder::interleaved};

}  // namespace

Call bind(const SwigluOai& arguments) {
  require_limit(SwigluOai::op_name, arguments.limit, false);
  return gated_call(variant,
                    {arguments.x, arguments.y, arguments.masked_m, arguments.limit, arguments.alpha});
}

}  // namespace kerncast::activation

KERNCAST_OP(activation, swiglu_oai) {
  OpDefinition op = activation::gated_definition<activation::SwigluOai, activation::variant>();
  op.summary = "Gated activation of GPT-OSS: clamped, gates and ups interleaved";
  op.formula =
      "y = (clamp(up, -L, L) + 1) * g * sigmoid(alpha * g), g = min(gate, L), L = limit (7 and alpha = 1.702 "
      "in the reference implementation of gpt-oss), gate = x[:, ::2], up = x[:, 1::2]; in f32, rounded once";
  return op;
}
