#include "templates/moe/fused_gate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "templates/host/checks.hpp"
#include "templates/moe/fused_gate_args.h"
#include "templates/moe/fused_gate_params.hpp"

namespace kerncast {
namespace {

using namespace moe::fused_gate_params;

constexpr std::string_view op_name = "moe.fused_gate";
constexpr std::int64_t max_experts = 1024;
constexpr std::int64_t max_top_k = 32;

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
  Tunables tunables;
  if (host::bucket_ceiling(rows) <= device.sm_count) {
    // Latency counts: up to a thread per expert, and tokens spread over the multiprocessors.
    tunables.values[threads_per_row] = std::clamp(host::power_of_two_above(spec[experts]), 32, 256);
    tunables.values[rows_per_block] = 1;
  } else {
    // Throughput counts: of a token's warps only the first chooses, which takes longest.
    tunables.values[threads_per_row] = 64;
    tunables.values[rows_per_block] = 4;
  }
  return tunables;
}

LaunchGeometry geometry(const Specialisation&, const Tunables& tunables, const DeviceTraits&,
                        std::int64_t rows) noexcept {
  LaunchGeometry made = host::linear_grid(host::divide_up(rows, tunables[rows_per_block]));
  made.block[0] = static_cast<std::uint32_t>(tunables[threads_per_row] * tunables[rows_per_block]);
  return made;
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

std::int32_t required(const Bindings& bindings, std::string_view name) {
  const std::optional<std::int32_t> value = host::setting(moe::fused_gate_op(), bindings, name);
  if (!value) {
    host::refuse(op_name, fmt::format("parameter {} is required; give it as {}=VALUE", name, name));
  }
  return *value;
}

std::vector<TensorPlan> plan_inputs(const Bindings& bindings, std::int64_t rows) {
  const OpDefinition& op = moe::fused_gate_op();
  const std::int32_t count = required(bindings, "experts");
  std::vector<TensorPlan> plans(2);
  plans[0].name = "logits";
  plans[0].dtype =
      host::dtype(host::setting(op, bindings, "logits_dtype").value_or(host::number(DType::f32)));
  plans[0].shape = {rows, count};
  plans[1].name = "bias";
  plans[1].dtype = host::dtype(host::setting(op, bindings, "bias_dtype").value_or(host::number(DType::f32)));
  plans[1].shape = {count};
  return plans;
}

std::vector<TensorPlan> plan_outputs(const Bindings& bindings) {
  const TensorView& logits = bindings.require_tensor(op_name, "logits");
  if (logits.rank < 1) {
    host::refuse_rank(op_name, "logits", logits);
  }
  std::vector<TensorPlan> plans(2);
  plans[0].name = "weights";
  plans[0].dtype = DType::f32;
  plans[0].shape.assign(logits.shape.begin(), logits.shape.begin() + logits.rank);
  plans[0].shape.back() = required(bindings, "top_k");
  plans[1].name = "ids";
  plans[1].dtype = DType::i32;
  plans[1].shape = plans[0].shape;
  return plans;
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
  op.include = "moe/fused_gate.cuh";
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
  op.tunables = {
      {"threads_per_row", "threads that share a token", {32, 64, 128, 256}},
      {"rows_per_block", "tokens that share a block", {1, 2, 4}},
  };
  op.tensors = {
      {"logits", Direction::in, false, "[..., experts], logits_dtype; rows may be strided"},
      {"bias", Direction::in, false, "[experts], bias_dtype"},
      {"weights", Direction::out, false, "[..., top_k], f32; rows may be strided"},
      {"ids", Direction::out, false, "[..., top_k], i32; rows may be strided"},
  };
  op.scalars = {{"routed_scaling_factor", 1.0, "finite and positive"}};
  op.validate = validate;
  op.default_tunables = default_tunables;
  op.geometry = geometry;
  op.bind = bind;
  op.plan_outputs = plan_outputs;
  op.plan_inputs = plan_inputs;
  op.model_cases = model_cases;
  return op;
}

/// Checks an output of a row per token and K slots.
host::Rows slot_rows(std::string_view name, const TensorView& view, DType type, std::int64_t rows,
                     std::int64_t slots, int device) {
  if (view.dtype != type) [[unlikely]] {
    host::refuse_dtype(op_name, name, view.dtype, name_of(type));
  }
  const host::Rows made = host::output_rows(op_name, name, view);
  if (made.count != rows || view.dim(-1) != slots) [[unlikely]] {
    host::refuse_shape(op_name, name, view,
                       fmt::format("{} rows (those of logits) of {} slots (top_k, as weights)", rows, slots));
  }
  host::require_data(op_name, name, view, rows);
  host::require_device(op_name, name, view, "logits", device);
  if (host::alignment_of(host::misalignment(view, made)) < 4) [[unlikely]] {
    host::refuse_misaligned(op_name, name, view);
  }
  return made;
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
  const TensorView& logits = arguments.logits;
  const TensorView& bias = arguments.bias;
  host::require_float(op_name, "logits", logits);
  host::require_float(op_name, "bias", bias);
  const host::Rows rows = host::contiguous_rows(op_name, "logits", logits);
  const host::Rows bias_rows = host::contiguous_rows(op_name, "bias", bias);
  const std::int64_t count = logits.dim(-1);
  if (count < 1 || count > max_experts) [[unlikely]] {
    host::refuse_range(op_name, "the last dimension of logits (experts)", count, 1, max_experts);
  }
  if (bias.rank != 1 || bias.dim(0) != count) [[unlikely]] {
    host::refuse_shape(op_name, "bias", bias, fmt::format("shape [{}], the last dimension of logits", count));
  }
  host::require_data(op_name, "logits", logits, rows.count);
  host::require_data(op_name, "bias", bias, rows.count);
  host::require_device(op_name, "bias", bias, "logits", logits.device);
  if (arguments.weights.rank < 1) [[unlikely]] {
    host::refuse_rank(op_name, "weights", arguments.weights);
  }
  const std::int64_t slots = arguments.weights.dim(-1);
  if (slots < 1 || slots > max_top_k) [[unlikely]] {
    host::refuse_range(op_name, "the last dimension of weights (top_k)", slots, 1, max_top_k);
  }
  const host::Rows weights_rows =
      slot_rows("weights", arguments.weights, DType::f32, rows.count, slots, logits.device);
  const host::Rows ids_rows = slot_rows("ids", arguments.ids, DType::i32, rows.count, slots, logits.device);
  if (!(arguments.routed_scaling_factor > 0.0F) ||
      arguments.routed_scaling_factor > std::numeric_limits<float>::max()) [[unlikely]] {
    host::refuse(op_name,
                 fmt::format("routed_scaling_factor is {}, but must be finite and positive; 1 leaves the "
                             "weights as they are",
                             arguments.routed_scaling_factor));
  }

  if (host::alignment_of(host::misalignment(logits, rows)) < size_of(logits.dtype)) [[unlikely]] {
    host::refuse_misaligned(op_name, "logits", logits);
  }
  if (host::alignment_of(host::misalignment(bias, bias_rows)) < size_of(bias.dtype)) [[unlikely]] {
    host::refuse_misaligned(op_name, "bias", bias);
  }

  Call call;
  call.spec.values[logits_dtype] = host::number(logits.dtype);
  call.spec.values[bias_dtype] = host::number(bias.dtype);
  call.spec.values[experts] = static_cast<std::int32_t>(count);
  call.spec.values[groups] = arguments.groups;
  call.spec.values[topk_group] = arguments.topk_group;
  call.spec.values[top_k] = static_cast<std::int32_t>(slots);
  call.spec.values[num_fused_shared_experts] = arguments.num_fused_shared_experts;
  call.spec.values[renormalize] = arguments.renormalize ? 1 : 0;
  call.spec.values[apply_scale_on_output] = arguments.apply_scale_on_output ? 1 : 0;
  validate(call.spec);
  call.rows = rows.count;
  call.device = logits.device;
  const double factor = arguments.routed_scaling_factor;
  call.set_arguments(FusedGateKernelArgs{logits.data, bias.data, static_cast<float*>(arguments.weights.data),
                                         static_cast<int*>(arguments.ids.data), rows.count, rows.stride,
                                         weights_rows.stride, ids_rows.stride,
                                         arguments.apply_scale_on_output ? factor : 1.0 / factor});
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
