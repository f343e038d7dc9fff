#include "templates/moe/shared/topk_gate.hpp"
#include "templates/host/overlap.hpp"

#include <fmt/format.h>

#include <limits>

#include "templates/host/checks.hpp"
#include "templates/moe/shared/topk_gate_args.h"
#include "templates/moe/shared/topk_gate_spec_index.hpp"

namespace kerncast::moe::topk_gate {
namespace {

using namespace topk_gate_params;

Tunables default_tunables(const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
  return router::default_tunables(spec[experts], device, rows);
}

std::string tunables_defect(const Specialisation& spec, const Tunables& tunables, const DeviceTraits&) {
  return router::tunables_defect(spec[experts], tunables);
}

}  // namespace

void add_params(OpDefinition& op) {
  op.arguments_type = "kerncast::moe::TopkGateKernelArgs";
  const auto floats = {DType::bf16, DType::f16, DType::f32};
  op.params = host::params(
      host::param<logits_dtype>(host::dtype_param(floats, DType::f32, "element type of logits")),
      host::param<bias_dtype>(
          host::dtype_param(floats, DType::f32, "element type of bias; f32 without a bias")),
      host::param<experts>(host::integer_param(1, router::max_experts, std::nullopt, "experts E")),
      host::param<top_k>(
          host::integer_param(1, router::max_top_k, std::nullopt, "slots per token; at most experts")),
      host::param<has_bias>(host::flag_param(false, "add a bias")),
      host::param<renormalize>(host::flag_param(true, "divide the weights by their sum")),
      host::param<has_num_token_non_padded>(router::has_non_padded_param()));
  op.tunables = router::tunables();
  op.default_tunables = default_tunables;
  op.tunables_defect = tunables_defect;
  op.geometry = router::geometry;
}

void validate(std::string_view op, const Specialisation& spec) {
  if (spec[top_k] > spec[experts]) [[unlikely]] {
    host::refuse(op, fmt::format("top_k is {}, but there are only {} experts; nearest valid: {}", spec[top_k],
                                 spec[experts], spec[experts]));
  }
}

Call make_call(std::string_view op, const Arguments& arguments) {
  const router::Extents extents = router::check(
      op,
      {arguments.logits, arguments.bias, arguments.weights, arguments.ids, arguments.num_token_non_padded},
      true);
  const float cap = arguments.softcap;
  if (!(cap >= 0.0F && cap <= std::numeric_limits<float>::max())) [[unlikely]] {
    host::refuse(op, fmt::format("softcap is {}, but must be finite and positive, or 0 for none", cap));
  }
  host::require_apart(op, {{"weights", arguments.weights}, {"ids", arguments.ids}},
                      {{"logits", arguments.logits},
                       {"bias", arguments.bias},
                       {"num_token_non_padded", arguments.num_token_non_padded}});
  Call call;
  call.spec.values[logits_dtype] = host::to_param(arguments.logits.dtype);
  const bool biased = !arguments.bias.absent();
  call.spec.values[bias_dtype] = host::to_param(biased ? arguments.bias.dtype : DType::f32);
  call.spec.values[experts] = static_cast<std::int32_t>(extents.experts);
  call.spec.values[top_k] = static_cast<std::int32_t>(extents.slots);
  call.spec.values[has_bias] = biased ? 1 : 0;
  call.spec.values[renormalize] = arguments.renormalize ? 1 : 0;
  call.spec.values[has_num_token_non_padded] = arguments.num_token_non_padded.absent() ? 0 : 1;
  call.spec.values[softcap] = cap > 0.0F ? 1 : 0;
  validate(op, call.spec);
  call.rows = extents.logits.count;
  call.device = arguments.logits.device;
  call.set_arguments(TopkGateKernelArgs{
      .logits = arguments.logits.data,
      .bias = arguments.bias.data,
      .weights = static_cast<float*>(arguments.weights.data),
      .ids = static_cast<int*>(arguments.ids.data),
      .num_token_non_padded = static_cast<const int*>(arguments.num_token_non_padded.data),
      .rows = extents.logits.count,
      .logits_stride = extents.logits.stride,
      .weights_stride = extents.weights.stride,
      .ids_stride = extents.ids.stride,
      .softcap = cap,
      .inverse_softcap = cap > 0.0F ? 1.0 / static_cast<double>(cap) : 0.0,
  });
  return call;
}

std::vector<TensorPlan> plan_inputs(const OpDefinition& op, const Bindings& bindings, std::int64_t rows) {
  return router::plan_inputs(op, bindings, rows, host::setting(op, bindings, "has_bias").value_or(0) != 0);
}

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  if (model.experts < 1 || model.experts > router::max_experts || model.top_k < 1 ||
      model.top_k > router::max_top_k) {
    return {};
  }
  std::vector<ModelCase> cases;
  for (const DType logits : model.router.logits) {
    ModelCase made;
    made.label = "mlp.gate";
    made.params = {{"logits_dtype", std::string(name_of(logits))},
                   {"experts", std::to_string(model.experts)},
                   {"top_k", std::to_string(model.top_k)},
                   {"has_bias", model.router.bias ? "true" : "false"},
                   {"renormalize", model.router.renormalize ? "true" : "false"}};
    if (model.router.softcap > 0) {
      made.params.emplace_back("softcap", "true");
      made.scalars = {{"softcap", model.router.softcap}};
    }
    cases.push_back(std::move(made));
  }
  return cases;
}

}  // namespace kerncast::moe::topk_gate
