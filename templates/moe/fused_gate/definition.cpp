#include <kerncast/ops/moe/fused_gate.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "templates/host/define_op.hpp"
#include "templates/host/overlap.hpp"
#include "templates/host/typed_op.hpp"
#include "templates/moe/fused_gate/kernel_args.h"
#include "templates/moe/fused_gate/spec_index.hpp"
#include "templates/moe/shared/router.hpp"

namespace kerncast::moe {
namespace {

using namespace fused_gate_params;
using router::max_experts;
using router::max_top_k;

constexpr std::string_view op_name = FusedGate::op_name;

/// Checks the constraints across parameters. The hot path runs it too.
void validate(const Specialisation& spec) {
  const std::int32_t count = spec[experts];
  const std::int32_t group_count = spec[groups];
  if (group_count < 1 || count % group_count != 0) [[unlikely]] {
    std::int32_t nearest = 1;
    for (std::int32_t divisor = 1; divisor <= count; ++divisor) {
      if (count % divisor == 0 && std::abs(divisor - group_count) < std::abs(nearest - group_count)) {
        nearest = divisor;
      }
    }
    host::refuse(op_name, fmt::format("groups is {}, but must divide the {} experts; nearest valid: {}",
                                      group_count, count, nearest));
  }
  if (spec[topk_group] < 1 || spec[topk_group] > group_count) [[unlikely]] {
    host::refuse_range(op_name, "topk_group", spec[topk_group], 1, group_count);
  }
  if (spec[num_fused_shared_experts] < 0 || spec[num_fused_shared_experts] >= spec[top_k]) [[unlikely]] {
    host::refuse_range(op_name, "num_fused_shared_experts (part of top_k, which needs a routed slot)",
                       spec[num_fused_shared_experts], 0, spec[top_k] - 1);
  }
  const std::int32_t candidates = count / group_count * spec[topk_group];
  if (spec[top_k] - spec[num_fused_shared_experts] > candidates) [[unlikely]] {
    host::refuse(
        op_name,
        fmt::format("top_k = {} asks for {} routed experts, but {} of {} groups hold only {}; lower top_k or "
                    "raise topk_group",
                    spec[top_k], spec[top_k] - spec[num_fused_shared_experts], spec[topk_group], group_count,
                    candidates));
  }
}

Tunables default_tunables(const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
  return router::default_tunables(spec[experts], device, rows);
}

std::string tunables_defect(const Specialisation& spec, const Tunables& tunables, const DeviceTraits&) {
  return router::tunables_defect(spec[experts], tunables);
}

/// A factor of the weights as the kernel takes it.
GateFactor factor_of(double factor) {
  int exponent = 0;
  const double fraction = std::frexp(factor, &exponent);
  const auto value = static_cast<float>(fraction);
  return {value, static_cast<float>(fraction - static_cast<double>(value)), exponent};
}

void describe(host::NamedArguments& named, FusedGate& call) {
  named.input("logits", call.logits, "[..., experts], logits_dtype; rows may be strided");
  named.input("bias", call.bias, "[experts], bias_dtype");
  named.optional_input("num_token_non_padded", call.num_token_non_padded, router::non_padded_doc);
  named.output("weights", call.weights, "[..., top_k], f32; rows may be strided");
  named.output("ids", call.ids, "[..., top_k], i32; rows may be strided");
  named.setting("groups", call.groups);
  named.setting("topk_group", call.topk_group);
  named.setting("num_fused_shared_experts", call.num_fused_shared_experts);
  named.setting("renormalize", call.renormalize);
  named.setting("apply_scale_on_output", call.apply_scale_on_output);
  named.setting("scoring", call.scoring);
  named.scalar("routed_scaling_factor", call.routed_scaling_factor, "finite and positive");
}

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  std::vector<ModelCase> cases;
  const ModelRouter& router = model.router;
  const bool is_softplus = router.scoring == RouterScoring::sqrtsoftplus;
  if ((router.scoring != RouterScoring::sigmoid && !is_softplus) || !router.bias || model.experts < 1 ||
      model.experts > max_experts || model.top_k < 1) {
    return cases;
  }
  const auto add = [&](const char* label, DType type, std::int64_t shared, bool scaled) {
    if (model.top_k + shared > max_top_k) {
      return;
    }
    ModelCase made;
    made.label = label;
    made.params = {{"logits_dtype", std::string(name_of(type))},
                   {"bias_dtype", "f32"},
                   {"experts", std::to_string(model.experts)},
                   {"groups", std::to_string(std::max<std::int64_t>(1, router.groups))},
                   {"topk_group", std::to_string(std::max<std::int64_t>(1, router.topk_group))},
                   {"top_k", std::to_string(model.top_k + shared)},
                   {"num_fused_shared_experts", std::to_string(shared)},
                   {"renormalize", router.renormalize ? "true" : "false"},
                   {"apply_scale_on_output", scaled ? "true" : "false"}};
    if (is_softplus) {
      made.params.emplace_back("scoring", "sqrtsoftplus");
    }
    made.scalars = {{"routed_scaling_factor", router.scaling}};
    cases.push_back(std::move(made));
  };
  for (const DType logits : router.logits) {
    add("mlp.gate", logits, 0, true);
  }
  if (router.fused_shared > 0 && !router.logits.empty()) {
    add("mlp.gate, shared expert fused", router.logits.back(), router.fused_shared, false);
  }
  return cases;
}

}  // namespace

Call bind(const FusedGate& arguments) {
  const router::Extents extents = router::check(
      op_name,
      {arguments.logits, arguments.bias, arguments.weights, arguments.ids, arguments.num_token_non_padded},
      false);
  if (!(arguments.routed_scaling_factor > 0.0F) ||
      arguments.routed_scaling_factor > std::numeric_limits<float>::max()) [[unlikely]] {
    host::refuse(op_name,
                 fmt::format("routed_scaling_factor is {}, but must be finite and positive; 1 leaves the "
                             "weights as they are",
                             arguments.routed_scaling_factor));
  }
  host::require_apart(op_name, {{"weights", arguments.weights}, {"ids", arguments.ids}},
                      {{"logits", arguments.logits},
                       {"bias", arguments.bias},
                       {"num_token_non_padded", arguments.num_token_non_padded}});

  Call call;
  call.spec.values[logits_dtype] = host::to_param(arguments.logits.dtype);
  call.spec.values[bias_dtype] = host::to_param(arguments.bias.dtype);
  call.spec.values[experts] = static_cast<std::int32_t>(extents.experts);
  call.spec.values[groups] = arguments.groups;
  call.spec.values[topk_group] = arguments.topk_group;
  call.spec.values[top_k] = static_cast<std::int32_t>(extents.slots);
  call.spec.values[num_fused_shared_experts] = arguments.num_fused_shared_experts;
  call.spec.values[renormalize] = arguments.renormalize ? 1 : 0;
  call.spec.values[apply_scale_on_output] = arguments.apply_scale_on_output ? 1 : 0;
  call.spec.values[scoring] = static_cast<std::int32_t>(arguments.scoring);
  call.spec.values[has_num_token_non_padded] = arguments.num_token_non_padded.absent() ? 0 : 1;
  validate(call.spec);
  call.rows = extents.logits.count;
  call.device = arguments.logits.device;
  const double factor = arguments.routed_scaling_factor;
  call.set_arguments(FusedGateKernelArgs{
      .logits = arguments.logits.data,
      .bias = arguments.bias.data,
      .weights = static_cast<float*>(arguments.weights.data),
      .ids = static_cast<int*>(arguments.ids.data),
      .num_token_non_padded = static_cast<const int*>(arguments.num_token_non_padded.data),
      .rows = extents.logits.count,
      .logits_stride = extents.logits.stride,
      .weights_stride = extents.weights.stride,
      .ids_stride = extents.ids.stride,
      .factor = factor_of(arguments.apply_scale_on_output ? factor : 1.0 / factor),
  });
  return call;
}

}  // namespace kerncast::moe

KERNCAST_OP(moe, fused_gate) {
  using namespace moe;
  OpDefinition op = host::define<FusedGate, describe>();
  op.summary = "Router with sigmoid or softplus scores, a correction bias and grouped top-k";
  op.formula =
      "s = sigmoid(logits), or with scoring = sqrtsoftplus sqrt(log(1 + exp(logits))) (DeepSeek-V4), c = s + "
      "bias; group score = sum of the group's two largest c (of one: itself); "
      "keep topk_group groups; of their experts take the top_k - S largest c, ties to the lower group and "
      "index, NaN as -infinity; w = s, renormalize: w /= sum(w); the last S slots: ids E, E + 1, ..., "
      "weight sum(w) / routed_scaling_factor; apply_scale_on_output: w *= routed_scaling_factor "
      "(DeepSeek-V3 technical report, noaux_tc)";
  const auto floats = {DType::bf16, DType::f16, DType::f32};
  op.params = host::params(
      host::param<logits_dtype>(host::dtype_param(floats, DType::f32, "element type of logits")),
      host::param<bias_dtype>(host::dtype_param(floats, DType::f32, "element type of bias")),
      host::param<experts>(host::integer_param(1, max_experts, std::nullopt, "routed experts E")),
      host::param<groups>(host::integer_param(1, max_experts, 1, "groups of experts; divides experts")),
      host::param<topk_group>(host::integer_param(1, max_experts, 1, "groups kept; at most groups")),
      host::param<top_k>(
          host::integer_param(1, max_top_k, std::nullopt, "slots per token, shared experts included")),
      host::param<num_fused_shared_experts>(
          host::integer_param(0, max_top_k - 1, 0, "slots S given to shared experts; less than top_k")),
      host::param<renormalize>(host::flag_param(true, "divide the routed weights by their sum")),
      host::param<apply_scale_on_output>(
          host::flag_param(false, "multiply all weights by routed_scaling_factor")),
      host::param<scoring>(
          host::choice_param({"sigmoid", "sqrtsoftplus"}, "the function that makes scores of logits")),
      host::param<has_num_token_non_padded>(router::has_non_padded_param()));
  op.tunables = router::tunables();
  op.validate = validate;
  op.default_tunables = default_tunables;
  op.tunables_defect = tunables_defect;
  op.geometry = router::geometry;
  op.plan_inputs = [](const Bindings& bindings, std::int64_t rows) {
    return router::plan_inputs(definition_of<FusedGate>(), bindings, rows, true);
  };
  op.plan_outputs = [](const Bindings& bindings) {
    return router::plan_outputs(definition_of<FusedGate>(), bindings);
  };
  op.model_cases = model_cases;
  return op;
}
