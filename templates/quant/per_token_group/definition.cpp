#include <kerncast/ops/quant/per_token_group.hpp>

#include "templates/host/define_op.hpp"
#include "templates/host/typed_op.hpp"
#include "templates/quant/shared/group_scaled.hpp"

namespace kerncast::quant {
namespace {

constexpr GroupScaledVariant variant{.op = PerTokenGroup::op_name, .gated = false};

void describe(host::NamedArguments& named, PerTokenGroup& call) {
  named.input("x", call.x, "[..., hidden], x_dtype; rows may be strided");
  named.output("q", call.q, "[..., hidden], q_dtype; rows may be strided");
  named.output("s", call.s, host::group_scales_doc);
  named.setting("group", call.group);
  named.setting("scale_layout", call.scale_layout);
  named.setting("scale_format", call.scale_format);
}

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  std::vector<ModelCase> cases;
  if (!host::is_float(model.dtype)) {
    return cases;
  }
  const auto add_all = [&](const char* layout, const char* format) {
    for (const ModelLinear& linear : model.linears) {
      add_group_case(cases, model, linear.place.c_str(), linear.width, layout, format);
    }
  };
  add_all("row_major", "f32");
  if (model.deep_gemm) {
    // DeepGEMM's two forms: f32 scales on Hopper, packed exponents on Blackwell.
    add_all("column_major_tma_aligned", "f32");
    add_all("column_major_tma_aligned", "packed_ue8m0");
  }
  return cases;
}

}  // namespace

Call bind(const PerTokenGroup& arguments) {
  return group_scaled_call(variant, {.x = arguments.x,
                                     .q = arguments.q,
                                     .s = arguments.s,
                                     .quant = {.group = arguments.group,
                                               .layout = arguments.scale_layout,
                                               .format = arguments.scale_format}});
}

}  // namespace kerncast::quant

KERNCAST_OP(quant, per_token_group) {
  using namespace quant;
  OpDefinition op = host::define<PerTokenGroup, describe>();
  op.summary = "Quantisation to fp8 or int8 with one scale per group of a row";
  op.formula =
      "s = max(amax(group), 1e-10) / MAX; q = sat(x * (MAX / amax)), MAX = 448 (e4m3), 57344 (e5m2), 127 "
      "(int8). ue8m0, packed_ue8m0: s = 2^ceil(log2(amax / MAX)), q = sat(x / s). amax ignores NaN, which "
      "gives 0x7f (fp8) or 0 (int8) (DeepSeek-V3 technical report; OCP MX 1.0 for ue8m0)";
  complete_group_scaled<variant>(op);
  op.model_cases = model_cases;
  return op;
}
