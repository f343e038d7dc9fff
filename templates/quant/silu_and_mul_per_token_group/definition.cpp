#include <kerncast/ops/quant/silu_and_mul_per_token_group.hpp>

#include <fmt/format.h>

#include "templates/host/define_op.hpp"
#include "templates/host/masked_rows.hpp"
#include "templates/host/typed_op.hpp"
#include "templates/quant/shared/group_scaled.hpp"

namespace kerncast::quant {
namespace {

constexpr GroupScaledVariant variant{.op = SiluAndMulPerTokenGroup::op_name, .gated = true};

void describe(host::NamedArguments& named, SiluAndMulPerTokenGroup& call) {
  named.input("x", call.x, "[..., 2 * hidden], x_dtype; rows may be strided");
  named.optional_input("masked_m", call.masked_m, host::mask_doc);
  named.output("q", call.q, "[..., hidden], q_dtype; rows may be strided");
  named.output("s", call.s, host::group_scales_doc);
  named.setting("group", call.group);
  named.setting("scale_layout", call.scale_layout);
  named.setting("scale_format", call.scale_format);
  named.scalar("limit", call.limit, "L, finite and positive; 0: none");
}

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  std::vector<ModelCase> cases;
  if (!host::is_float(model.dtype)) {
    return cases;
  }
  const auto add_all = [&](const char* layout, const char* format) {
    for (const ModelMlp& mlp : model.mlps) {
      if (mlp.activation != "silu") {
        continue;
      }
      add_group_case(cases, model, mlp.place.c_str(), mlp.width, layout, format, 0, mlp.limit);
      if (const std::int64_t ranks = host::masked_ranks(model);
          mlp.split == Split::expert && model.experts >= ranks) {
        add_group_case(cases, model, fmt::format("{} of one of {} ranks, masked", mlp.place, ranks).c_str(),
                       mlp.width, layout, format, model.experts / ranks, mlp.limit);
      }
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

Call bind(const SiluAndMulPerTokenGroup& arguments) {
  return group_scaled_call(variant, {.x = arguments.x,
                                     .q = arguments.q,
                                     .s = arguments.s,
                                     .masked_m = arguments.masked_m,
                                     .quant = {.group = arguments.group,
                                               .layout = arguments.scale_layout,
                                               .format = arguments.scale_format},
                                     .limit = arguments.limit});
}

}  // namespace kerncast::quant

KERNCAST_OP(quant, silu_and_mul_per_token_group) {
  using namespace quant;
  OpDefinition op = host::define<SiluAndMulPerTokenGroup, describe>();
  op.summary = "silu(gate) * up, quantised to fp8 or int8 with one scale per group of a row";
  op.formula =
      "y = silu(gate) * up, gate = x[:, :H], up = x[:, H:], not rounded; with a limit L: gate = min(gate, "
      "L), "
      "up = clamp(up, -L, L) first (swiglu_limit of DeepSeek-V4); then "
      "s = max(amax(group), 1e-10) / MAX; q = sat(y * (MAX / amax)), MAX = 448 (e4m3), 57344 (e5m2), 127 "
      "(int8). ue8m0, packed_ue8m0: s = 2^ceil(log2(amax / MAX)), q = sat(y / s). amax ignores NaN, which "
      "gives 0x7f (fp8) or 0 (int8) (DeepSeek-V3 technical report; OCP MX 1.0 for ue8m0)";
  complete_group_scaled<variant>(op);
  op.model_cases = model_cases;
  return op;
}
