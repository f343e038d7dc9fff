#include <kerncast/ops/quant/mxfp8.hpp>

#include "templates/quant/shared/block_scaled.hpp"

namespace kerncast::quant {
namespace {
constexpr BlockScaledVariant variant{.op = Mxfp8::op_name, .format = BlockFormat::mxfp8};
}  // namespace

Call bind(const Mxfp8& arguments) {
  return block_scaled_call(variant, {.x = arguments.x,
                                     .q = arguments.q,
                                     .sf = arguments.sf,
                                     .sf_layout = arguments.sf_layout,
                                     .ocp_floor = arguments.ocp_floor});
}

}  // namespace kerncast::quant

KERNCAST_OP(quant, mxfp8) {
  return quant::block_scaled_definition<quant::Mxfp8, quant::variant>(
      "Quantisation to fp8 with a power of two per block of 32",
      "sf = 2^ceil(log2(amax(block) / MAX)), ocp_floor: 2^(floor(log2(amax)) - emax); q = sat(x / sf), to "
      "nearest even; MAX = 448, emax = 8 (e4m3) or 57344, 15 (e5m2). amax is at least 1e-10 and ignores NaN, "
      "which gives 0x7f (OCP Microscaling Formats 1.0)");
}
