#include <kerncast/ops/norm/fused_add_rms_norm_quant.hpp>

#include "templates/host/define_op.hpp"
#include "templates/norm/rms_norm_quant/spec_index.hpp"
#include "templates/norm/shared/quantised/rms_norm_quant_definition.hpp"

namespace kerncast::norm {
namespace {

void describe(host::NamedArguments& named, FusedAddRmsNormQuant& call) {
  named.input("x", call.x, x_doc);
  named.in_place("residual", call.residual, residual_doc);
  describe_quantised(named, call);
  named.setting("round_residual", call.round_residual);
}

}  // namespace

Call bind(const FusedAddRmsNormQuant& arguments) {
  Call call = quantised_call(FusedAddRmsNormQuant::op_name,
                             {.x = arguments.x,
                              .weight = arguments.weight,
                              .y = arguments.y,
                              .out = arguments.out,
                              .eps = arguments.eps,
                              .weight_offset = arguments.weight_offset},
                             &arguments.residual);
  call.spec.values[rms_norm_quant_params::round_residual] = arguments.round_residual ? 1 : 0;
  return call;
}

}  // namespace kerncast::norm

KERNCAST_OP(norm, fused_add_rms_norm_quant) {
  OpDefinition op = norm::define_quantised_norm<norm::FusedAddRmsNormQuant, norm::describe, true>();
  op.summary =
      "Addition to the residual stream, root-mean-square normalisation, quantised to fp8, int8 or fp4";
  return op;
}
