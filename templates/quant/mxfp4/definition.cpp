#include <kerncast/ops/quant/mxfp4.hpp>

#include "templates/quant/shared/block_scaled.hpp"

namespace kerncast {
namespace quant {
namespace {
constexpr BlockScaledVariant variant{
    "mxfp4", "quant.mxfp4", BlockFormat::mxfp4, "Quantisation to fp4 with a power of two per block of 32",
    "sf = 2^ceil(log2(amax(block) / 6)), ocp_floor: 2^(floor(log2(amax)) - 2); q = "
    "e2m1(x / sf), saturating, to nearest even. amax is at least 1e-10, passes over "
    "NaN, which gives 6 (OCP Microscaling Formats 1.0)"};
}  // namespace

const OpDefinition& mxfp4_op() {
  static const OpDefinition& op = OpRegistry::instance().require(variant.op);
  return op;
}
Call mxfp4_call(const Mxfp4& arguments) {
  return block_scaled_call(
      variant, {arguments.x, arguments.q, arguments.sf, {}, {}, {}, arguments.layout, arguments.ocp_floor});
}
void mxfp4(Runtime& runtime, const Mxfp4& arguments, Stream stream) {
  runtime.dispatch(mxfp4_op(), mxfp4_call(arguments), stream);
}
PreparedLaunch prepare_mxfp4(Runtime& runtime, const Mxfp4& arguments) {
  return runtime.prepare(mxfp4_op(), mxfp4_call(arguments));
}
}  // namespace quant

namespace ops {
OpDefinition quant_mxfp4_definition();
OpDefinition quant_mxfp4_definition() {
  return quant::block_scaled_definition<quant::variant>();
}
}  // namespace ops
}  // namespace kerncast
