#include "templates/moe/shared/router.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "templates/host/launch_cost.hpp"

namespace kerncast::moe::router {
namespace {

/// Checks an output of a row per token and K slots.
host::Rows slot_rows(std::string_view op, std::string_view name, const TensorView& view, DType type,
                     std::int64_t rows, std::int64_t slots, int device) {
  if (view.dtype != type) [[unlikely]] {
    host::refuse_dtype(op, name, view.dtype, name_of(type));
  }
  const host::Rows made = host::output_rows(op, name, view);
  if (made.count != rows || view.dim(-1) != slots) [[unlikely]] {
    host::refuse_shape(op, name, view,
                       fmt::format("{} rows (those of logits) of {} slots (top_k, as weights)", rows, slots));
  }
  host::require_data(op, name, view, rows);
  host::require_device(op, name, view, "logits", device);
  if (host::alignment_of(host::misalignment(view, made)) < 4) [[unlikely]] {
    host::refuse_misaligned(op, name, view);
  }
  return made;
}

void check_bias(std::string_view op, const TensorView& bias, const TensorView& logits, std::int64_t rows) {
  host::require_float(op, "bias", bias);
  const host::Rows bias_rows = host::contiguous_rows(op, "bias", bias);
  const std::int64_t count = logits.dim(-1);
  if (bias.rank != 1 || bias.dim(0) != count) [[unlikely]] {
    host::refuse_shape(op, "bias", bias, fmt::format("shape [{}], the last dimension of logits", count));
  }
  host::require_data(op, "bias", bias, rows);
  host::require_device(op, "bias", bias, "logits", logits.device);
  if (host::alignment_of(host::misalignment(bias, bias_rows)) < size_of(bias.dtype)) [[unlikely]] {
    host::refuse_misaligned(op, "bias", bias);
  }
}

DType dtype_setting(const OpDefinition& op, const Bindings& bindings, std::string_view name) {
  return host::dtype(host::setting(op, bindings, name).value_or(host::number(DType::f32)));
}

}  // namespace

Extents check(std::string_view op, const Tensors& tensors, bool bias_is_optional) {
  const TensorView& logits = tensors.logits;
  Extents made;
  host::require_float(op, "logits", logits);
  made.logits = host::contiguous_rows(op, "logits", logits);
  made.experts = logits.dim(-1);
  if (made.experts < 1 || made.experts > max_experts) [[unlikely]] {
    host::refuse_range(op, "the last dimension of logits (experts)", made.experts, 1, max_experts);
  }
  const std::int64_t rows = made.logits.count;
  host::require_data(op, "logits", logits, rows);
  if (!bias_is_optional || !tensors.bias.absent()) {
    check_bias(op, tensors.bias, logits, rows);
  }
  if (tensors.weights.rank < 1) [[unlikely]] {
    host::refuse_rank(op, "weights", tensors.weights);
  }
  made.slots = tensors.weights.dim(-1);
  if (made.slots < 1 || made.slots > max_top_k) [[unlikely]] {
    host::refuse_range(op, "the last dimension of weights (top_k)", made.slots, 1, max_top_k);
  }
  made.weights = slot_rows(op, "weights", tensors.weights, DType::f32, rows, made.slots, logits.device);
  made.ids = slot_rows(op, "ids", tensors.ids, DType::i32, rows, made.slots, logits.device);
  if (host::alignment_of(host::misalignment(logits, made.logits)) < size_of(logits.dtype)) [[unlikely]] {
    host::refuse_misaligned(op, "logits", logits);
  }
  return made;
}

std::vector<TunableSpec> tunables() {
  return {
      {"threads_per_row", "threads that share a token", {32, 64, 128, 256}},
      {"rows_per_block", "tokens that share a block", {1, 2, 4}},
  };
}

Tunables default_tunables(std::int64_t experts, const DeviceTraits& device, std::int64_t rows) {
  const std::int64_t most = host::bucket_ceiling(rows);
  const std::int32_t spread = std::clamp(host::power_of_two_above(experts), 32, 256);
  const std::int64_t held = std::int64_t{device.sm_count} * host::warps_held(device);
  Tunables made;
  if (most <= device.sm_count || (spread > 64 && most * (spread / 32) * 3 <= held * 2)) {
    // Latency counts while the device holds all warps at once: up to a thread per expert, and tokens spread
    // over the multiprocessors.
    made.values = {spread, 1};
  } else if (experts <= 64 || most * (experts <= 192 ? 3 : 2) > held) {
    made.values = {32, 4};
  } else {
    // Throughput counts: of a token's warps only the first chooses, which takes longest.
    made.values = {64, 4};
  }
  return made;
}

LaunchGeometry geometry(const Specialisation&, const Tunables& tunables, const DeviceTraits&,
                        std::int64_t rows) noexcept {
  LaunchGeometry made = host::linear_grid(host::divide_up(rows, tunables[1]));
  made.block[0] = static_cast<std::uint32_t>(tunables[0] * tunables[1]);
  return made;
}

std::int32_t required_setting(const OpDefinition& op, const Bindings& bindings, std::string_view name) {
  const std::optional<std::int32_t> value = host::setting(op, bindings, name);
  if (!value) {
    host::refuse(op.name, fmt::format("parameter {} is required; give it as {}=VALUE", name, name));
  }
  return *value;
}

std::vector<TensorPlan> plan_inputs(const OpDefinition& op, const Bindings& bindings, std::int64_t rows,
                                    bool with_bias) {
  const std::int32_t count = required_setting(op, bindings, "experts");
  std::vector<TensorPlan> plans(with_bias ? 2 : 1);
  plans[0].name = "logits";
  plans[0].dtype = dtype_setting(op, bindings, "logits_dtype");
  plans[0].shape = {rows, count};
  if (with_bias) {
    plans[1].name = "bias";
    plans[1].dtype = dtype_setting(op, bindings, "bias_dtype");
    plans[1].shape = {count};
  }
  return plans;
}

std::vector<TensorPlan> plan_outputs(const OpDefinition& op, const Bindings& bindings) {
  const TensorView& logits = bindings.require_tensor(op.name, "logits");
  if (logits.rank < 1) {
    host::refuse_rank(op.name, "logits", logits);
  }
  std::vector<TensorPlan> plans(2);
  plans[0].name = "weights";
  plans[0].dtype = DType::f32;
  plans[0].shape.assign(logits.shape.begin(), logits.shape.begin() + logits.rank);
  plans[0].shape.back() = required_setting(op, bindings, "top_k");
  plans[1].name = "ids";
  plans[1].dtype = DType::i32;
  plans[1].shape = plans[0].shape;
  return plans;
}

}  // namespace kerncast::moe::router
