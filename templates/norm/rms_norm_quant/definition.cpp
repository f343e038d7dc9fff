#include <kerncast/ops/norm/rms_norm_quant.hpp>

#include "templates/host/define_op.hpp"
#include "templates/norm/shared/quantised/rms_norm_quant_definition.hpp"

namespace kerncast::norm {
namespace {

void describe(host::NamedArguments& named, RmsNormQuant& call) {
  named.input("x", call.x, x_doc);
  describe_quantised(named, call);
}

}  // namespace

Call bind(const RmsNormQuant& arguments) {
  return quantised_call(RmsNormQuant::op_name, arguments, nullptr);
}

}  // namespace kerncast::norm

KERNCAST_OP(norm, rms_norm_quant) {
  OpDefinition op = norm::define_quantised_norm<norm::RmsNormQuant, norm::describe, false>();
  op.summary = "Root-mean-square normalisation of rows, quantised to fp8, int8 or fp4";
  return op;
}
