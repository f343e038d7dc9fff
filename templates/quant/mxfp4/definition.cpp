#include <kerncast/ops/quant/mxfp4.hpp>

#include "templates/quant/shared/block_scaled.hpp"

namespace kerncast::quant {
namespace {
constexpr BlockScaledVariant variant{.op = Mxfp4::op_name, .format = BlockFormat::mxfp4};
}  // namespace

Call bind(const Mxfp4& arguments) {
  return block_scaled_call(variant, {.x = arguments.x,
                                     .q = arguments.q,
                                     .sf = arguments.sf,
                                     .sf_layout = arguments.sf_layout,
                                     .ocp_floor = arguments.ocp_floor});
}

}  // namespace kerncast::quant

KERNCAST_OP(quant, mxfp4) {
  return quant::block_scaled_definition<quant::Mxfp4, quant::variant>(
      "Quantisation to fp4 with a power of two per block of 32",
      "sf = 2^ceil(log2(amax(block) / 6)), ocp_floor: 2^(floor(log2(amax)) - 2); q = e2m1(x / sf), "
      "saturating, "
      "to nearest even. amax is at least 1e-10 and ignores NaN, which gives 6 (OCP Microscaling Formats "
      "1.0)");
}
