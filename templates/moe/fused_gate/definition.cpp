#include <kerncast/ops/moe/fused_gate.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "templates/moe/fused_gate/kernel_args.h"
#include "templates/moe/fused_gate/spec_index.hpp"
#include "templates/moe/shared/router.hpp"

namespace kerncast {
namespace {

using namespace moe::fused_gate_params;
using moe::router::max_experts;
using moe::router::max_top_k;

constexpr std::string_view op_name = "moe.fused_gate";

/// Constraints across parameters; the hot path runs it too.
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
  return moe::router::default_tunables(spec[experts], device, rows);
}

Call bind(const Bindings& bindings) {
  const OpDefinition& op = moe::fused_gate_op();
  moe::FusedGate arguments;
  arguments.logits = bindings.require_tensor(op_name, "logits");
  arguments.bias = bindings.require_tensor(op_name, "bias");
  arguments.weights = bindings.require_tensor(op_name, "weights");
  arguments.ids = bindings.require_tensor(op_name, "ids");
  arguments.groups = host::setting(op, bindings, "groups").value_or(1);
  arguments.topk_group = host::setting(op, bindings, "topk_group").value_or(1);
  arguments.num_fused_shared_experts = host::setting(op, bindings, "num_fused_shared_experts").value_or(0);
  arguments.renormalize = host::setting(op, bindings, "renormalize").value_or(1) != 0;
  arguments.apply_scale_on_output = host::setting(op, bindings, "apply_scale_on_output").value_or(0) != 0;
  arguments.routed_scaling_factor =
      static_cast<float>(bindings.scalar("routed_scaling_factor").value_or(1.0));
  Call call = moe::fused_gate_call(arguments);
  check_settings_agree(op, call.spec, bindings);
  return call;
}

std::vector<TensorPlan> plan_inputs(const Bindings& bindings, std::int64_t rows) {
  return moe::router::plan_inputs(moe::fused_gate_op(), bindings, rows, true);
}

std::vector<TensorPlan> plan_outputs(const Bindings& bindings) {
  return moe::router::plan_outputs(moe::fused_gate_op(), bindings);
}

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  std::vector<ModelCase> cases;
  if (!model.sigmoid_gate || model.experts < 1 || model.experts > max_experts || model.top_k < 1) {
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
                   {"groups", std::to_string(std::max<std::int64_t>(1, model.groups))},
                   {"topk_group", std::to_string(std::max<std::int64_t>(1, model.topk_group))},
                   {"top_k", std::to_string(model.top_k + shared)},
                   {"num_fused_shared_experts", std::to_string(shared)},
                   {"renormalize", model.renormalize ? "true" : "false"},
                   {"apply_scale_on_output", scaled ? "true" : "false"}};
    made.scalars = {{"routed_scaling_factor", model.routed_scaling_factor}};
    cases.push_back(std::move(made));
  };
  add("mlp.gate", DType::f32, 0, true);
  if (model.shared_experts > 0) {
    add("mlp.gate, shared expert fused", host::is_float(model.dtype) ? model.dtype : DType::bf16,
        model.shared_experts, false);
  }
  return cases;
}

OpDefinition make_definition() {
  OpDefinition op;
  op.name = op_name;
  op.summary = "Router with sigmoid scores, a correction bias and grouped top-k";
  op.formula =
      "s = sigmoid(logits), c = s + bias; group score = sum of the group's two largest c (of one: itself); "
      "keep "
      "topk_group groups; of their experts take the top_k - S largest c, ties to the lower group and index, "
      "NaN as -infinity; "
      "w = s, renormalize: w /= sum(w); the last S slots: ids E, E + 1, ..., weight sum(w) / "
      "routed_scaling_factor; "
      "apply_scale_on_output: w *= routed_scaling_factor (DeepSeek-V3 technical report, noaux_tc)";
  op.include = "moe/fused_gate/kernel.cuh";
  op.kernel = "kerncast::moe::fused_gate_kernel";
  op.arguments_type = "kerncast::moe::FusedGateKernelArgs";
  const auto floats = {DType::bf16, DType::f16, DType::f32};
  op.params = {
      host::dtype_param("logits_dtype", floats, DType::f32, "element type of logits"),
      host::dtype_param("bias_dtype", floats, DType::f32, "element type of bias"),
      host::integer_param("experts", 1, max_experts, std::nullopt, "routed experts E"),
      host::integer_param("groups", 1, max_experts, 1, "groups of experts; divides experts"),
      host::integer_param("topk_group", 1, max_experts, 1, "groups kept; at most groups"),
      host::integer_param("top_k", 1, max_top_k, std::nullopt, "slots per token, shared experts included"),
      host::integer_param("num_fused_shared_experts", 0, max_top_k - 1, 0,
                          "slots S given to shared experts; less than top_k"),
      host::flag_param("renormalize", true, "divide the routed weights by their sum"),
      host::flag_param("apply_scale_on_output", false, "multiply all weights by routed_scaling_factor"),
  };
  op.tunables = moe::router::tunables();
  op.tensors = {
      {"logits", Direction::in, false, "[..., experts], logits_dtype; rows may be strided"},
      {"bias", Direction::in, false, "[experts], bias_dtype"},
      {"weights", Direction::out, false, "[..., top_k], f32; rows may be strided"},
      {"ids", Direction::out, false, "[..., top_k], i32; rows may be strided"},
  };
  op.scalars = {{"routed_scaling_factor", 1.0, "finite and positive"}};
  op.validate = validate;
  op.default_tunables = default_tunables;
  op.geometry = moe::router::geometry;
  op.bind = bind;
  op.plan_outputs = plan_outputs;
  op.plan_inputs = plan_inputs;
  op.model_cases = model_cases;
  return op;
}

}  // namespace

namespace ops {
OpDefinition moe_fused_gate_definition();
OpDefinition moe_fused_gate_definition() {
  return make_definition();
}
}  // namespace ops

namespace moe {

const OpDefinition& fused_gate_op() {
  static const OpDefinition& op = OpRegistry::instance().require(op_name);
  return op;
}

Call fused_gate_call(const FusedGate& arguments) {
  const router::Extents extents =
      router::check(op_name, {arguments.logits, arguments.bias, arguments.weights, arguments.ids}, false);
  if (!(arguments.routed_scaling_factor > 0.0F) ||
      arguments.routed_scaling_factor > std::numeric_limits<float>::max()) [[unlikely]] {
    host::refuse(op_name,
                 fmt::format("routed_scaling_factor is {}, but must be finite and positive; 1 leaves the "
                             "weights as they are",
                             arguments.routed_scaling_factor));
  }

  Call call;
  call.spec.values[logits_dtype] = host::number(arguments.logits.dtype);
  call.spec.values[bias_dtype] = host::number(arguments.bias.dtype);
  call.spec.values[experts] = static_cast<std::int32_t>(extents.experts);
  call.spec.values[groups] = arguments.groups;
  call.spec.values[topk_group] = arguments.topk_group;
  call.spec.values[top_k] = static_cast<std::int32_t>(extents.slots);
  call.spec.values[num_fused_shared_experts] = arguments.num_fused_shared_experts;
  call.spec.values[renormalize] = arguments.renormalize ? 1 : 0;
  call.spec.values[apply_scale_on_output] = arguments.apply_scale_on_output ? 1 : 0;
  validate(call.spec);
  call.rows = extents.logits.count;
  call.device = arguments.logits.device;
  const double factor = arguments.routed_scaling_factor;
  call.set_arguments(FusedGateKernelArgs{
      arguments.logits.data, arguments.bias.data, static_cast<float*>(arguments.weights.data),
      static_cast<int*>(arguments.ids.data), extents.logits.count, extents.logits.stride,
      extents.weights.stride, extents.ids.stride, arguments.apply_scale_on_output ? factor : 1.0 / factor});
  return call;
}

void fused_gate(Runtime& runtime, const FusedGate& arguments, Stream stream) {
  runtime.dispatch(fused_gate_op(), fused_gate_call(arguments), stream);
}

PreparedLaunch prepare_fused_gate(Runtime& runtime, const FusedGate& arguments) {
  return runtime.prepare(fused_gate_op(), fused_gate_call(arguments));
}

}  // namespace moe
}  // namespace kerncast
