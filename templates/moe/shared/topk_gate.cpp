#include "templates/moe/shared/topk_gate.hpp"

#include <fmt/format.h>

#include <limits>

#include "templates/moe/shared/router.hpp"
#include "templates/moe/shared/topk_gate_args.h"
#include "templates/moe/shared/topk_gate_params.hpp"

namespace kerncast::moe::topk_gate {
namespace {

using namespace topk_gate_params;

Tunables default_tunables(const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
  return router::default_tunables(spec[experts], device, rows);
}

}  // namespace

OpDefinition make_definition(const Traits& traits) {
  OpDefinition op;
  op.name = traits.name;
  op.summary = traits.summary;
  op.formula = traits.formula;
  op.include = traits.include;
  op.kernel = traits.kernel;
  op.arguments_type = traits.arguments_type;
  const auto floats = {DType::bf16, DType::f16, DType::f32};
  op.params = {
      host::dtype_param("logits_dtype", floats, DType::f32, "element type of logits"),
      host::dtype_param("bias_dtype", floats, DType::f32, "element type of bias; f32 where there is none"),
      host::integer_param("experts", 1, router::max_experts, std::nullopt, "experts E"),
      host::integer_param("top_k", 1, router::max_top_k, std::nullopt, "slots per token; at most experts"),
      host::flag_param("has_bias", false, "add a bias"),
      host::flag_param("renormalize", true, "divide the weights by their sum"),
  };
  if (traits.has_softcap) {
    op.params.push_back(host::flag_param("softcap", false, "cap the logits"));
    op.scalars = {{"softcap", 0.0, "cap c of the logits, positive and finite; 0: none"}};
  }
  op.tunables = router::tunables();
  op.tensors = {
      {"logits", Direction::in, false, "[..., experts], logits_dtype; rows may be strided"},
      {"bias", Direction::in, true, "[experts], bias_dtype"},
      {"weights", Direction::out, false, "[..., top_k], f32; rows may be strided"},
      {"ids", Direction::out, false, "[..., top_k], i32; rows may be strided"},
  };
  op.validate = traits.validate;
  op.default_tunables = default_tunables;
  op.geometry = router::geometry;
  op.bind = traits.bind;
  op.plan_outputs = traits.plan_outputs;
  op.plan_inputs = traits.plan_inputs;
  op.model_cases = traits.model_cases;
  return op;
}

void validate(std::string_view op, const Specialisation& spec) {
  if (spec[top_k] > spec[experts]) [[unlikely]] {
    host::refuse(op, fmt::format("top_k is {}, but there are only {} experts; nearest valid: {}", spec[top_k],
                                 spec[experts], spec[experts]));
  }
}

Call make_call(std::string_view op, const Arguments& arguments) {
  const router::Extents extents =
      router::check(op, {arguments.logits, arguments.bias, arguments.weights, arguments.ids}, true);
  const float cap = arguments.softcap;
  if (!(cap >= 0.0F && cap <= std::numeric_limits<float>::max())) [[unlikely]] {
    host::refuse(op, fmt::format("softcap is {}, but must be finite and positive, or 0 for none", cap));
  }
  Call call;
  call.spec.values[logits_dtype] = host::number(arguments.logits.dtype);
  const bool biased = !arguments.bias.absent();
  call.spec.values[bias_dtype] = host::number(biased ? arguments.bias.dtype : DType::f32);
  call.spec.values[experts] = static_cast<std::int32_t>(extents.experts);
  call.spec.values[top_k] = static_cast<std::int32_t>(extents.slots);
  call.spec.values[has_bias] = biased ? 1 : 0;
  call.spec.values[renormalize] = arguments.renormalize ? 1 : 0;
  call.spec.values[softcap] = cap > 0.0F ? 1 : 0;
  validate(op, call.spec);
  call.rows = extents.logits.count;
  call.device = arguments.logits.device;
  call.set_arguments(TopkGateKernelArgs{
      arguments.logits.data, arguments.bias.data, static_cast<float*>(arguments.weights.data),
      static_cast<int*>(arguments.ids.data), extents.logits.count, extents.logits.stride,
      extents.weights.stride, extents.ids.stride, cap, cap > 0.0F ? 1.0 / static_cast<double>(cap) : 0.0});
  return call;
}

Arguments read(const OpDefinition& op, const Bindings& bindings) {
  Arguments made;
  made.logits = bindings.require_tensor(op.name, "logits");
  made.bias = bindings.tensor_or_absent("bias");
  made.weights = bindings.require_tensor(op.name, "weights");
  made.ids = bindings.require_tensor(op.name, "ids");
  made.renormalize = host::setting(op, bindings, "renormalize").value_or(1) != 0;
  made.softcap = static_cast<float>(bindings.scalar("softcap").value_or(0.0));
  return made;
}

Call checked(const OpDefinition& op, const Call& call, const Bindings& bindings) {
  check_settings_agree(op, call.spec, bindings);
  return call;
}

std::vector<TensorPlan> plan_inputs(const OpDefinition& op, const Bindings& bindings, std::int64_t rows) {
  return router::plan_inputs(op, bindings, rows, host::setting(op, bindings, "has_bias").value_or(0) != 0);
}

std::vector<ModelCase> model_case(const ModelConfig& model, DType logits, bool bias) {
  if (model.experts < 1 || model.experts > router::max_experts || model.top_k < 1 ||
      model.top_k > router::max_top_k) {
    return {};
  }
  ModelCase made;
  made.label = "mlp.gate";
  made.params = {{"logits_dtype", std::string(name_of(host::is_float(logits) ? logits : DType::bf16))},
                 {"experts", std::to_string(model.experts)},
                 {"top_k", std::to_string(model.top_k)},
                 {"has_bias", bias ? "true" : "false"},
                 {"renormalize", model.renormalize ? "true" : "false"}};
  return {made};
}

}  // namespace kerncast::moe::topk_gate
