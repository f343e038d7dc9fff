#include <kerncast/ops/quant/nvfp4.hpp>

#include "templates/quant/shared/block_scaled.hpp"

namespace kerncast {
namespace quant {
namespace {
constexpr BlockScaledVariant variant{
    "nvfp4", "quant.nvfp4", BlockFormat::nvfp4,
    "Quantisation to fp4 with an e4m3 scale per block of 16 under a global scale",
    "sf = e4m3(g * amax(block) / 6); q = e2m1(x * g / float(sf)), 0 where sf is 0; "
    "saturating, to nearest even. NaN is passed over by amax and gives 6 (NVFP4 of "
    "cuBLAS and TensorRT-LLM)"};
}  // namespace

const OpDefinition& nvfp4_op() {
  static const OpDefinition& op = OpRegistry::instance().require(variant.op);
  return op;
}
Call nvfp4_call(const Nvfp4& arguments) {
  return block_scaled_call(
      variant, {arguments.x, arguments.q, arguments.sf, arguments.global_scale, arguments.expert_offsets,
                arguments.sf_offsets, arguments.layout, false});
}
void nvfp4(Runtime& runtime, const Nvfp4& arguments, Stream stream) {
  runtime.dispatch(nvfp4_op(), nvfp4_call(arguments), stream);
}
PreparedLaunch prepare_nvfp4(Runtime& runtime, const Nvfp4& arguments) {
  return runtime.prepare(nvfp4_op(), nvfp4_call(arguments));
}
}  // namespace quant

namespace ops {
OpDefinition quant_nvfp4_definition();
OpDefinition quant_nvfp4_definition() {
  return quant::block_scaled_definition<quant::variant>();
}
}  // namespace ops
}  // namespace kerncast
