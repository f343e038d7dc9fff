#include "templates/moe/shared/router.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "templates/host/launch_cost.hpp"
#include "templates/host/tensor_check.hpp"

namespace kerncast::moe::router {
namespace {

/// Experts that a thread holds in registers and sorts; more lengthen the compile.
constexpr std::int64_t most_held = 4;
constexpr std::int32_t max_threads_per_row = 256;
static_assert(max_threads_per_row * most_held >= max_experts);

/// Checks an output that has a row of K slots for each token.
host::Rows slot_rows(std::string_view op, std::string_view name, const TensorView& view, DType type,
                     std::int64_t rows, std::int64_t slots, const TensorView& logits) {
  const host::TensorCheck check(op, name, view);
  const host::Rows made = check.has_dtype(type).output_rows();
  if (made.count != rows || view.dim(-1) != slots) [[unlikely]] {
    host::refuse_shape(op, name, view,
                       fmt::format("{} rows (those of logits) of {} slots (top_k, as weights)", rows, slots));
  }
  check.has_data(rows).is_on_device_of("logits", logits).is_aligned(made);
  return made;
}

void check_bias(std::string_view op, const TensorView& bias, const TensorView& logits, std::int64_t rows) {
  const host::TensorCheck check(op, "bias", bias);
  const host::Rows bias_rows = check.is_float().contiguous_rows();
  const std::int64_t count = logits.dim(-1);
  if (bias.rank != 1 || bias.dim(0) != count) [[unlikely]] {
    host::refuse_shape(op, "bias", bias, fmt::format("shape [{}], the last dimension of logits", count));
  }
  check.has_data(rows).is_on_device_of("logits", logits).is_aligned(bias_rows);
}

void check_non_padded(std::string_view op, const TensorView& count, const TensorView& logits,
                      std::int64_t rows) {
  const host::TensorCheck check(op, "num_token_non_padded", count);
  const host::Rows count_rows = check.has_dtype(DType::i32).contiguous_rows();
  if (count.rank != 1 || count.dim(0) != 1) [[unlikely]] {
    host::refuse_shape(op, "num_token_non_padded", count, "shape [1]");
  }
  check.has_data(rows).is_on_device_of("logits", logits).is_aligned(count_rows);
}

}  // namespace

ParamSpec has_non_padded_param() {
  return host::flag_param(false, "the rows from a count in device memory on are padding");
}

Extents check(std::string_view op, const Tensors& tensors, bool bias_is_optional) {
  const TensorView& logits = tensors.logits;
  Extents made;
  const host::TensorCheck logits_check(op, "logits", logits);
  made.logits = logits_check.is_float().contiguous_rows();
  made.experts = logits.dim(-1);
  if (made.experts < 1 || made.experts > max_experts) [[unlikely]] {
    host::refuse_range(op, "the last dimension of logits (experts)", made.experts, 1, max_experts);
  }
  const std::int64_t rows = made.logits.count;
  logits_check.has_data(rows);
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
  made.weights = slot_rows(op, "weights", tensors.weights, DType::f32, rows, made.slots, logits);
  made.ids = slot_rows(op, "ids", tensors.ids, DType::i32, rows, made.slots, logits);
  if (!tensors.num_token_non_padded.absent()) {
    check_non_padded(op, tensors.num_token_non_padded, logits, rows);
  }
  logits_check.is_aligned(made.logits);
  return made;
}

std::vector<TunableSpec> tunables() {
  return host::tunables(
      host::tunable_range<threads_per_row>("threads that share a token", 32, max_threads_per_row, 32),
      host::tunable<rows_per_block>("tokens that share a block", {1, 2, 4}));
}

Tunables default_tunables(std::int64_t experts, const DeviceTraits& device, std::int64_t rows) {
  const std::int64_t most = host::bucket_ceiling(rows);
  const std::int64_t warps = host::divide_up(experts, 32 * most_held);
  Tunables made;
  // Few tokens are spread over the multiprocessors.
  const std::int32_t many = warps > 1 ? 2 : 4;
  made.values = {static_cast<std::int32_t>(32 * warps), most <= std::int64_t{4} * device.sm_count ? 1 : many};
  return made;
}

std::string tunables_defect(std::int64_t experts, const Tunables& tunables) {
  const std::int64_t held = host::divide_up(experts, tunables[threads_per_row]);
  return held <= most_held
             ? std::string()
             : fmt::format("each of {} threads would hold {} of the {} experts, and may hold {}",
                           tunables[threads_per_row], held, experts, most_held);
}

LaunchGeometry geometry(const Specialisation&, const Tunables& tunables, const DeviceTraits&,
                        std::int64_t rows) noexcept {
  LaunchGeometry made = host::linear_grid(host::divide_up(rows, tunables[rows_per_block]));
  made.block[0] = static_cast<std::uint32_t>(tunables[threads_per_row] * tunables[rows_per_block]);
  return made;
}

std::vector<TensorPlan> plan_inputs(const OpDefinition& op, const Bindings& bindings, std::int64_t rows,
                                    bool with_bias) {
  const std::int32_t count = host::required_param(op, bindings, "experts");
  std::vector<TensorPlan> plans(with_bias ? 2 : 1);
  plans[0].name = "logits";
  plans[0].dtype = host::dtype_setting(op, bindings, "logits_dtype", DType::f32);
  plans[0].shape = {rows, count};
  if (with_bias) {
    plans[1].name = "bias";
    plans[1].dtype = host::dtype_setting(op, bindings, "bias_dtype", DType::f32);
    plans[1].shape = {count};
  }
  if (host::setting(op, bindings, "has_num_token_non_padded").value_or(0) != 0) {
    plans.push_back({"num_token_non_padded", DType::i32, {1}, {}, {}});
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
  plans[0].shape.back() = host::required_param(op, bindings, "top_k");
  plans[1].name = "ids";
  plans[1].dtype = DType::i32;
  plans[1].shape = plans[0].shape;
  return plans;
}

}  // namespace kerncast::moe::router
