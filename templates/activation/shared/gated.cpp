#include "templates/activation/shared/gated.hpp"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "templates/activation/shared/gated_args.h"
#include "templates/activation/shared/gated_params.hpp"
#include "templates/host/group_grid.hpp"
#include "templates/host/launch_cost.hpp"
#include "templates/host/masked_rows.hpp"

namespace kerncast::activation {

using namespace gated_params;

namespace {

constexpr std::int64_t max_hidden = 65536;
/// What the grid can hold, far past any device's memory.
constexpr std::int64_t max_elements = std::int64_t{1} << 44;

std::int32_t x_bytes(const Specialisation& spec) {
  return static_cast<std::int32_t>(size_of(host::dtype(spec[x_dtype])));
}

/// Elements of y that a thread makes of a vector of x.
std::int32_t count_of(const GatedKind& kind, const Specialisation& spec) {
  const std::int32_t width = spec[alignment] / x_bytes(spec);
  return kind.interleaved ? std::max(width / 2, 1) : width;
}

/// Most bytes of x per access under which y is stored aligned.
std::int32_t y_limit(const GatedKind& kind, const TensorView& y, const host::ExpertRows& rows,
                     std::int64_t bytes_of_x) {
  const std::int32_t aligned = host::alignment_of(host::misalignment(y, rows));
  const std::int64_t bytes = size_of(y.dtype);
  if (aligned < bytes) [[unlikely]] {
    host::refuse_misaligned(kind.op, "y", y);
  }
  return aligned == 16 ? 16
                       : static_cast<std::int32_t>(aligned * bytes_of_x / bytes * (kind.interleaved ? 2 : 1));
}

}  // namespace

void gated_validate(const GatedKind& kind, const Specialisation& spec) {
  const std::int32_t bytes = x_bytes(spec);
  const std::int32_t half = spec[hidden] * bytes * (kind.interleaved ? 2 : 1);
  if (spec[alignment] < bytes || half % spec[alignment] != 0) {
    host::refuse(kind.op,
                 fmt::format("alignment = {} must be at least an element ({} bytes) and divide {} of {} "
                             "elements ({} bytes); widest valid: {}",
                             spec[alignment], bytes, kind.interleaved ? "a row" : "half a row", half / bytes,
                             half, host::alignment_of(static_cast<std::uint64_t>(half))));
  }
}

Tunables gated_tunables(const GatedKind& kind, const Specialisation& spec, const DeviceTraits& device,
                        std::int64_t rows) {
  const std::int64_t most = host::bucket_ceiling(rows);
  constexpr Tunables least{{128, 1}};
  // Where a mask leaves most rows out, warps that end at once are what takes time: half as many do, and a
  // quarter where the rows are past counting.
  const Tunables masked{{128, kind.interleaved || most > 8192 ? 4 : 2}};
  const Tunables more = spec[experts] > 0 ? masked : Tunables{{256, 2}};
  const host::LaunchWork work{.vectors = most * spec[hidden] / count_of(kind, spec),
                              .bytes = most * spec[hidden] * 3 * x_bytes(spec),
                              .once = 25,
                              .each = 15 * count_of(kind, spec)};
  // A thousand vectors leave a multiprocessor idle unless every thread takes one.
  const bool few = work.vectors <= std::int64_t{device.sm_count} * 2048;
  return host::quicker_tiles(
      few ? least : more, few ? more : least,
      [&](const Tunables& tunables) { return gated_geometry(kind, spec, tunables, most); }, work, device);
}

LaunchGeometry gated_geometry(const GatedKind& kind, const Specialisation& spec, const Tunables& tunables,
                              std::int64_t rows) noexcept {
  const std::int64_t each = spec[experts] > 0 ? rows / spec[experts] : rows;
  return host::per_expert(
      host::group_grid(each, spec[hidden] / count_of(kind, spec), tunables[threads], 1, tunables[vectors]),
      spec[experts]);
}

Call gated_bind(const GatedKind& kind, const Bindings& bindings) {
  const OpDefinition& op = OpRegistry::instance().require(kind.op);
  Gated arguments;
  arguments.x = bindings.require_tensor(kind.op, "x");
  arguments.y = bindings.require_tensor(kind.op, "y");
  arguments.masked_m = bindings.tensor_or_absent("masked_m");
  Call call = gated_call(kind, arguments);
  // A kernel for narrower access serves better aligned tensors too.
  if (const auto wanted = host::setting(op, bindings, "alignment");
      wanted && *wanted < call.spec[alignment]) {
    call.spec.values[alignment] = *wanted;
    gated_validate(kind, call.spec);
  }
  check_settings_agree(op, call.spec, bindings);
  return call;
}

std::vector<TensorPlan> gated_inputs(const GatedKind& kind, const Bindings& bindings, std::int64_t rows) {
  const OpDefinition& op = OpRegistry::instance().require(kind.op);
  const std::optional<std::int32_t> width = host::setting(op, bindings, "hidden");
  if (!width) {
    host::refuse(kind.op, "parameter hidden is required to make inputs; give it as hidden=VALUE");
  }
  const std::int32_t masked = host::setting(op, bindings, "experts").value_or(0);
  const DType type = host::dtype(host::setting(op, bindings, "x_dtype").value_or(host::number(DType::bf16)));
  std::vector<TensorPlan> plans;
  if (masked > 0) {
    plans.push_back({"x", type, {masked, rows, 2 * std::int64_t{*width}}, {}, {}});
    plans.push_back({"masked_m", DType::i32, {masked}, {}, {}});
  } else {
    plans.push_back({"x", type, {rows, 2 * std::int64_t{*width}}, {}, {}});
  }
  return plans;
}

std::vector<TensorPlan> gated_outputs(const GatedKind& kind, const Bindings& bindings) {
  const TensorView& x = bindings.require_tensor(kind.op, "x");
  if (x.rank < 1) {
    host::refuse_rank(kind.op, "x", x);
  }
  const std::optional<std::int32_t> type =
      host::setting(OpRegistry::instance().require(kind.op), bindings, "y_dtype");
  TensorPlan y{"y", type ? host::dtype(*type) : x.dtype, {}, {}, {}};
  y.shape.assign(x.shape.begin(), x.shape.begin() + x.rank);
  y.shape.back() /= 2;
  return {y};
}

std::vector<ModelCase> gated_cases(const GatedKind& kind, const ModelConfig& model) {
  std::vector<ModelCase> cases;
  if (model.hidden_act != kind.model_act || model.layer_norm || !host::is_float(model.dtype)) {
    return cases;
  }
  const auto add = [&](std::string label, std::int64_t width, std::int64_t masked) {
    if (width < 1 || width > max_hidden || masked > host::max_masked_experts) {
      return;
    }
    const std::string type(name_of(model.dtype));
    ModelCase made;
    made.label = std::move(label);
    made.params = {{"x_dtype", type}, {"y_dtype", type}, {"hidden", std::to_string(width)}};
    if (const std::int32_t aligned =
            host::alignment_of(static_cast<std::uint64_t>(width * size_of(model.dtype)));
        aligned < 16) {
      made.params.emplace_back("alignment", std::to_string(aligned));
    }
    if (masked > 0) {
      made.params.emplace_back("experts", std::to_string(masked));
    }
    cases.push_back(std::move(made));
  };
  add("dense MLP", model.intermediate, 0);
  add("experts", model.moe_intermediate, 0);
  if (const std::int64_t ranks = host::masked_ranks(model);
      model.moe_intermediate > 0 && model.experts >= ranks) {
    add(fmt::format("experts of one of {} ranks, masked", ranks), model.moe_intermediate,
        model.experts / ranks);
  }
  return cases;
}

OpDefinition gated_definition_base(const GatedKind& kind) {
  OpDefinition op;
  op.name = kind.op;
  op.summary = kind.summary;
  op.formula = kind.formula;
  op.include = fmt::format("activation/{}/kernel.cuh", kind.name);
  op.kernel = fmt::format("kerncast::activation::{}_kernel", kind.name);
  op.arguments_type = "kerncast::activation::GatedKernelArgs";
  const auto floats = {DType::bf16, DType::f16, DType::f32};
  op.params = {
      host::dtype_param("x_dtype", floats, DType::bf16, "element type of x"),
      host::dtype_param("y_dtype", floats, DType::bf16, "element type of y"),
      host::integer_param("hidden", 1, max_hidden, std::nullopt, "elements of a row of y: half of one of x"),
      host::listed_param("alignment", {2, 4, 8, 16}, 16,
                         "bytes of x per access; derived from the tensors' pointers, strides and width"),
      host::masked_experts_param(),
  };
  op.tunables = {
      {"threads", "threads of a block", {64, 128, 256, 512}},
      {"vectors", "vectors that a thread has in flight", {1, 2, 4}},
  };
  op.tensors = {
      {"x", Direction::in, false, "[..., 2 * hidden], x_dtype; rows may be strided"},
      {"masked_m", Direction::in, true, host::mask_doc},
      {"y", Direction::out, false, "[..., hidden], y_dtype; rows may be strided"},
  };
  return op;
}

Call gated_call(const GatedKind& kind, const Gated& arguments) {
  const TensorView& x = arguments.x;
  const TensorView& y = arguments.y;
  const bool masked = !arguments.masked_m.absent();
  host::require_float(kind.op, "x", x);
  host::require_float(kind.op, "y", y);
  const host::ExpertRows x_rows = host::expert_rows(kind.op, "x", x, masked);
  const host::ExpertRows y_rows = host::output_expert_rows(kind.op, "y", y, masked);
  const std::int64_t width = x.dim(-1) / 2;
  if (x.dim(-1) % 2 != 0 || width < 1 || width > max_hidden) [[unlikely]] {
    host::refuse(kind.op, fmt::format("the last dimension of x is {}, but must be even and from 2 to {}; "
                                      "nearest valid: {}",
                                      x.dim(-1), 2 * max_hidden,
                                      std::clamp<std::int64_t>(x.dim(-1) / 2 * 2, 2, 2 * max_hidden)));
  }
  host::require_rows_like(kind.op, "y", y, "x", x, width);
  const std::int64_t rows = x_rows.count();
  if (rows > max_elements / width) [[unlikely]] {
    host::refuse_range(kind.op, "the row count of x", rows, 0, max_elements / width);
  }
  host::require_data(kind.op, "x", x, rows);
  host::require_data(kind.op, "y", y, rows);
  host::require_device(kind.op, "y", y, "x", x.device);
  if (masked) {
    host::require_mask(kind.op, arguments.masked_m, x_rows, "x", x.device);
  }

  const std::int64_t bytes = size_of(x.dtype);
  const std::int64_t half = width * bytes * (kind.interleaved ? 2 : 1);
  const std::int32_t aligned =
      host::alignment_of(host::misalignment(x, x_rows) | static_cast<std::uint64_t>(half));
  if (aligned < bytes) [[unlikely]] {
    host::refuse_misaligned(kind.op, "x", x);
  }

  Call call;
  call.spec.values[x_dtype] = host::number(x.dtype);
  call.spec.values[y_dtype] = host::number(y.dtype);
  call.spec.values[hidden] = static_cast<std::int32_t>(width);
  call.spec.values[alignment] = std::min(aligned, y_limit(kind, y, y_rows, bytes));
  call.spec.values[experts] = static_cast<std::int32_t>(x_rows.experts);
  call.rows = rows;
  call.device = x.device;
  call.set_arguments(GatedKernelArgs{x.data, y.data, static_cast<const int*>(arguments.masked_m.data),
                                     x_rows.rows.count, x_rows.rows.stride, y_rows.rows.stride,
                                     x_rows.expert_stride, y_rows.expert_stride});
  return call;
}

}  // namespace kerncast::activation
