#include <kerncast/ops/quant/mxfp8.hpp>

#include "templates/quant/shared/block_scaled.hpp"

namespace kerncast {
namespace quant {
namespace {
constexpr BlockScaledVariant variant{
    "mxfp8", "quant.mxfp8", BlockFormat::mxfp8, "Quantisation to fp8 with a power of two per block of 32",
    "sf = 2^ceil(log2(amax(block) / MAX)), ocp_floor: 2^(floor(log2(amax)) - emax); q "
    "= sat(x / sf), to nearest even; MAX = 448, emax = 8 (e4m3) or 57344, 15 (e5m2). "
    "amax is at least 1e-10, passes over NaN, which gives 0x7f (OCP Microscaling "
    "Formats 1.0)"};
}  // namespace

const OpDefinition& mxfp8_op() {
  static const OpDefinition& op = OpRegistry::instance().require(variant.op);
  return op;
}
Call mxfp8_call(const Mxfp8& arguments) {
  return block_scaled_call(
      variant, {arguments.x, arguments.q, arguments.sf, {}, {}, {}, arguments.layout, arguments.ocp_floor});
}
void mxfp8(Runtime& runtime, const Mxfp8& arguments, Stream stream) {
  runtime.dispatch(mxfp8_op(), mxfp8_call(arguments), stream);
}
PreparedLaunch prepare_mxfp8(Runtime& runtime, const Mxfp8& arguments) {
  return runtime.prepare(mxfp8_op(), mxfp8_call(arguments));
}
}  // namespace quant

namespace ops {
OpDefinition quant_mxfp8_definition();
OpDefinition quant_mxfp8_definition() {
  return quant::block_scaled_definition<quant::variant>();
}
}  // namespace ops
}  // namespace kerncast
