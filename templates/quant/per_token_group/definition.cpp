#include <kerncast/ops/quant/per_token_group.hpp>

#include "templates/host/checks.hpp"
#include "templates/quant/shared/group_scaled.hpp"

namespace kerncast {
namespace quant {
namespace {

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  std::vector<ModelCase> cases;
  if (!host::is_float(model.dtype)) {
    return cases;
  }
  const auto add_all = [&](const char* layout, const char* format) {
    const auto add = [&](const char* label, std::int64_t width) {
      add_group_case(cases, model, label, width, layout, format);
    };
    add("attention and MLP input", model.hidden);
    add("q_b_proj input", model.q_lora_rank);
    add("kv_b_proj input", model.kv_lora_rank);
    add("o_proj input", model.heads * model.head_dim);
    add("experts' down_proj input", model.moe_intermediate);
    add("dense down_proj input", model.intermediate);
  };
  add_all("row_major", "f32");
  if (model.q_lora_rank > 0) {
    // DeepGEMM's two forms: f32 scales on Hopper, packed exponents on Blackwell.
    add_all("column_major_tma_aligned", "f32");
    add_all("column_major_tma_aligned", "packed_ue8m0");
  }
  return cases;
}

constexpr GroupScaledVariant variant{
    "per_token_group",
    "quant.per_token_group",
    false,
    "Quantisation to fp8 or int8 with one scale per group of a row",
    "s = max(amax(group), 1e-10) / MAX; q = sat(x * (MAX / amax)), MAX = 448 (e4m3), 57344 (e5m2), 127 "
    "(int8). ue8m0, packed_ue8m0: s = 2^ceil(log2(amax / MAX)), q = sat(x / s). NaN is passed over by amax "
    "and gives 0x7f (fp8) or 0 (int8) (DeepSeek-V3 technical report; OCP MX 1.0 for ue8m0)",
    model_cases};

}  // namespace

const OpDefinition& per_token_group_op() {
  static const OpDefinition& op = OpRegistry::instance().require(variant.op);
  return op;
}

Call per_token_group_call(const PerTokenGroup& arguments) {
  return group_scaled_call(
      variant,
      {arguments.x, arguments.q, arguments.s, {}, {arguments.group, arguments.layout, arguments.format}});
}

void per_token_group(Runtime& runtime, const PerTokenGroup& arguments, Stream stream) {
  runtime.dispatch(per_token_group_op(), per_token_group_call(arguments), stream);
}

PreparedLaunch prepare_per_token_group(Runtime& runtime, const PerTokenGroup& arguments) {
  return runtime.prepare(per_token_group_op(), per_token_group_call(arguments));
}

}  // namespace quant

namespace ops {
OpDefinition quant_per_token_group_definition();
OpDefinition quant_per_token_group_definition() {
  return quant::group_scaled_definition<quant::variant>();
}
}  // namespace ops
}  // namespace kerncast
