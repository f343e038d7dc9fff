#include <kerncast/ops/quant/silu_and_mul_per_token_group.hpp>

#include <fmt/format.h>

#include "templates/host/checks.hpp"
#include "templates/host/masked_rows.hpp"
#include "templates/quant/shared/group_scaled.hpp"

namespace kerncast {
namespace quant {
namespace {

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  std::vector<ModelCase> cases;
  if (!host::is_float(model.dtype) || model.hidden_act != "silu" || model.layer_norm) {
    return cases;
  }
  const auto add_all = [&](const char* layout, const char* format) {
    add_group_case(cases, model, "experts", model.moe_intermediate, layout, format);
    add_group_case(cases, model, "dense MLP", model.intermediate, layout, format);
    if (const std::int64_t ranks = host::masked_ranks(model); model.experts >= ranks) {
      add_group_case(cases, model, fmt::format("experts of one of {} ranks, masked", ranks).c_str(),
                     model.moe_intermediate, layout, format, model.experts / ranks);
    }
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
    "silu_and_mul_per_token_group",
    "quant.silu_and_mul_per_token_group",
    true,
    "silu(gate) * up, quantised to fp8 or int8 with one scale per group of a row",
    "y = silu(gate) * up, gate = x[:, :H], up = x[:, H:], not rounded; then "
    "s = max(amax(group), 1e-10) / MAX; q = sat(y * (MAX / amax)), MAX = 448 (e4m3), 57344 (e5m2), 127 "
    "(int8). ue8m0, packed_ue8m0: s = 2^ceil(log2(amax / MAX)), q = sat(y / s). NaN is passed over by amax "
    "and gives 0x7f (fp8) or 0 (int8) (DeepSeek-V3 technical report; OCP MX 1.0 for ue8m0)",
    model_cases};

}  // namespace

const OpDefinition& silu_and_mul_per_token_group_op() {
  static const OpDefinition& op = OpRegistry::instance().require(variant.op);
  return op;
}

Call silu_and_mul_per_token_group_call(const SiluAndMulPerTokenGroup& arguments) {
  return group_scaled_call(variant, {arguments.x,
                                     arguments.q,
                                     arguments.s,
                                     arguments.masked_m,
                                     {arguments.group, arguments.layout, arguments.format}});
}

void silu_and_mul_per_token_group(Runtime& runtime, const SiluAndMulPerTokenGroup& arguments, Stream stream) {
  runtime.dispatch(silu_and_mul_per_token_group_op(), silu_and_mul_per_token_group_call(arguments), stream);
}

PreparedLaunch prepare_silu_and_mul_per_token_group(Runtime& runtime,
                                                    const SiluAndMulPerTokenGroup& arguments) {
  return runtime.prepare(silu_and_mul_per_token_group_op(), silu_and_mul_per_token_group_call(arguments));
}

}  // namespace quant

namespace ops {
OpDefinition quant_silu_and_mul_per_token_group_definition();
OpDefinition quant_silu_and_mul_per_token_group_definition() {
  return quant::group_scaled_definition<quant::variant>();
}
}  // namespace ops
}  // namespace kerncast
