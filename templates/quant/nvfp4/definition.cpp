#include <kerncast/ops/quant/nvfp4.hpp>

#include "templates/quant/shared/block_scaled.hpp"

namespace kerncast::quant {
namespace {
constexpr BlockScaledVariant variant{.op = Nvfp4::op_name, .format = BlockFormat::nvfp4};
}  // namespace

Call bind(const Nvfp4& arguments) {
  return block_scaled_call(variant, {.x = arguments.x,
                                     .q = arguments.q,
                                     .sf = arguments.sf,
                                     .global_scale = arguments.global_scale,
                                     .expert_offsets = arguments.expert_offsets,
                                     .sf_offsets = arguments.sf_offsets,
                                     .sf_layout = arguments.sf_layout});
}

}  // namespace kerncast::quant

KERNCAST_OP(quant, nvfp4) {
  return quant::block_scaled_definition<quant::Nvfp4, quant::variant>(
      "Quantisation to fp4 with an e4m3 scale per block of 16 under a global scale",
      "sf = e4m3(g * amax(block) / 6); q = e2m1(x * g / float(sf)), or 0 if sf is 0; saturating, to nearest "
      "even. amax ignores NaN, which gives 6 (NVFP4 of cuBLAS and TensorRT-LLM)");
}
