#include "templates/moe/shared/weighted_sum.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "templates/host/checks.hpp"
#include "templates/moe/shared/router.hpp"
#include "templates/moe/shared/row_tiles.hpp"
#include "templates/moe/shared/weighted_sum_args.h"
#include "templates/moe/shared/weighted_sum_params.hpp"

namespace kerncast::moe::weighted_sum {
namespace {

using namespace weighted_sum_params;

constexpr std::int64_t max_hidden = 65536;
constexpr std::int64_t max_top_k = 64;

std::int64_t vectors_of(const Specialisation& spec) {
  return spec[hidden] * size_of(host::dtype(spec[x_dtype])) / spec[alignment];
}

Tunables default_tunables(const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
  return row_tiles::default_tunables(vectors_of(spec), device, rows);
}

LaunchGeometry geometry(const Specialisation&, const Tunables& tunables, const DeviceTraits&,
                        std::int64_t rows) noexcept {
  return row_tiles::geometry(tunables, rows);
}

/// Checks a tensor of a row per token and K columns.
host::Rows slot_rows(std::string_view op, std::string_view name, const TensorView& view, DType type,
                     std::int64_t rows, std::int64_t slots, const TensorView& y) {
  if (view.dtype != type) [[unlikely]] {
    host::refuse_dtype(op, name, view.dtype, name_of(type));
  }
  const host::Rows made = host::contiguous_rows(op, name, view);
  if (made.count != rows || view.dim(-1) != slots) [[unlikely]] {
    host::refuse_shape(op, name, view, fmt::format("{} rows (those of y) of {} slots", rows, slots));
  }
  host::require_data(op, name, view, rows);
  host::require_device(op, name, view, "y", y.device);
  if (host::alignment_of(host::misalignment(view, made)) < 4) [[unlikely]] {
    host::refuse_misaligned(op, name, view);
  }
  return made;
}

/// x[..., k, :] for one k.
TensorView without_slots(const TensorView& x) {
  TensorView made = x;
  const auto last = static_cast<std::size_t>(x.rank - 1);
  made.shape[last - 1] = x.shape[last];
  made.strides[last - 1] = x.strides[last];
  made.rank = x.rank - 1;
  return made;
}

DType dtype_setting(const OpDefinition& op, const Bindings& bindings, std::string_view name,
                    DType otherwise) {
  return host::dtype(host::setting(op, bindings, name).value_or(host::number(otherwise)));
}

bool flag(const OpDefinition& op, const Bindings& bindings, std::string_view name, bool otherwise) {
  return host::setting(op, bindings, name).value_or(otherwise ? 1 : 0) != 0;
}

}  // namespace

OpDefinition make_definition(std::string_view name, bool mapped) {
  OpDefinition op;
  op.name = name;
  op.include = fmt::format("{}/kernel.cuh", name);
  op.include.replace(op.include.find('.'), 1, "/");
  op.kernel = fmt::format("kerncast::moe::{}_kernel", name.substr(name.find('.') + 1));
  op.arguments_type = "kerncast::moe::WeightedSumKernelArgs";
  const auto floats = {DType::bf16, DType::f16, DType::f32};
  op.params = {
      host::dtype_param("x_dtype", floats, DType::bf16, "element type of x"),
      host::dtype_param("y_dtype", floats, DType::bf16, "element type of y and of addend"),
      host::integer_param("hidden", 1, max_hidden, std::nullopt, "elements of a row"),
      host::integer_param("top_k", 1, max_top_k, std::nullopt, "slots K of a token"),
      host::flag_param("has_weights", true, "multiply each slot by its weight"),
      host::flag_param("has_addend", false, "add a row to each token's sum"),
      host::listed_param("alignment", {2, 4, 8, 16}, 16,
                         "bytes of x per access; derived from the tensors' pointers, strides and width"),
  };
  op.tunables = row_tiles::tunables();
  op.tensors = {
      {"x", Direction::in, false,
       mapped ? "[P, hidden], x_dtype; rows may be strided"
              : "[..., top_k, hidden], x_dtype; tokens and slots may be strided"},
      {"weights", Direction::in, true, "[..., top_k], f32; rows may be strided"},
      {"addend", Direction::in, true, "[..., hidden], y_dtype; rows may be strided; may be y itself"},
      {"y", Direction::out, false, "[..., hidden], y_dtype; rows may be strided"},
  };
  if (mapped) {
    op.tensors.insert(op.tensors.begin() + 1,
                      {"map", Direction::in, false,
                       "[..., top_k], i32: the row of x of each slot; below 0 or from P on: skipped"});
  }
  op.scalars = {{"routed_scaling_factor", 1.0, "multiplies the sum; finite"}};
  op.default_tunables = default_tunables;
  op.geometry = geometry;
  return op;
}

void validate(std::string_view op, const Specialisation& spec) {
  const std::int64_t x_bytes = size_of(host::dtype(spec[x_dtype]));
  if (spec[alignment] < x_bytes || spec[hidden] * x_bytes % spec[alignment] != 0) [[unlikely]] {
    host::refuse(op, fmt::format("alignment = {} must be at least an element ({} bytes) and divide a row of "
                                 "{} bytes; widest valid: {}",
                                 spec[alignment], x_bytes, spec[hidden] * x_bytes,
                                 host::alignment_of(static_cast<std::uint64_t>(spec[hidden] * x_bytes))));
  }
}

Call make_call(std::string_view op, const Arguments& arguments, bool mapped) {
  const TensorView& x = arguments.x;
  const TensorView& y = arguments.y;
  host::require_float(op, "x", x);
  host::require_float(op, "y", y);
  const host::Rows y_rows = host::output_rows(op, "y", y);
  const std::int64_t width = y.dim(-1);
  if (width < 1 || width > max_hidden) [[unlikely]] {
    host::refuse_range(op, "the last dimension of y (hidden)", width, 1, max_hidden);
  }
  if (x.rank < 2) [[unlikely]] {
    host::refuse_shape(op, "x", x, mapped ? "[rows, hidden]" : "[..., top_k, hidden]");
  }
  const TensorView tokens = mapped ? x : without_slots(x);
  const host::Rows x_rows = host::contiguous_rows(op, "x", tokens);
  const TensorView& slotted = mapped ? arguments.map : x;
  if (mapped && slotted.rank < 1) [[unlikely]] {
    host::refuse_rank(op, "map", slotted);
  }
  const std::int64_t slots = mapped ? slotted.dim(-1) : x.dim(-2);
  if (slots < 1 || slots > max_top_k) [[unlikely]] {
    host::refuse_range(op, "top_k", slots, 1, max_top_k);
  }
  if (x.dim(-1) != width || (!mapped && x_rows.count != y_rows.count)) [[unlikely]] {
    host::refuse_shape(op, "x", x,
                       mapped ? fmt::format("rows of {}, the last dimension of y", width)
                              : fmt::format("{} tokens of rows of {}, as y", y_rows.count, width));
  }
  host::require_data(op, "x", x, mapped ? x_rows.count : y_rows.count);
  host::require_data(op, "y", y, y_rows.count);
  host::require_device(op, "x", x, "y", y.device);

  const std::int64_t x_bytes = size_of(x.dtype);
  host::Rows slot_spacing{slots, mapped ? x_rows.stride : x.stride(-2)};
  std::int32_t aligned = std::min({host::vector_limit(op, "x", x, x_rows, x_bytes),
                                   host::vector_limit(op, "x", x, slot_spacing, x_bytes),
                                   host::vector_limit(op, "y", y, y_rows, x_bytes),
                                   host::alignment_of(static_cast<std::uint64_t>(width * x_bytes))});
  host::Rows map_rows;
  if (mapped) {
    map_rows = slot_rows(op, "map", arguments.map, DType::i32, y_rows.count, slots, y);
  }
  host::Rows weight_rows;
  const bool weighted = !arguments.weights.absent();
  if (weighted) {
    weight_rows = slot_rows(op, "weights", arguments.weights, DType::f32, y_rows.count, slots, y);
  }
  host::Rows addend_rows;
  const bool added = !arguments.addend.absent();
  if (added) {
    const TensorView& addend = arguments.addend;
    if (addend.dtype != y.dtype) [[unlikely]] {
      host::refuse_dtype(op, "addend", addend.dtype, fmt::format("{}, as y", name_of(y.dtype)));
    }
    addend_rows = host::contiguous_rows(op, "addend", addend);
    if (!host::same_shape(addend, y)) [[unlikely]] {
      host::refuse_shape(op, "addend", addend, fmt::format("the shape of y, {}", host::shape_text(y)));
    }
    host::require_data(op, "addend", addend, y_rows.count);
    host::require_device(op, "addend", addend, "y", y.device);
    aligned = std::min(aligned, host::vector_limit(op, "addend", addend, addend_rows, x_bytes));
  }
  if (!std::isfinite(arguments.factor)) [[unlikely]] {
    host::refuse(op, fmt::format("routed_scaling_factor is {}, but must be finite; 1 leaves the sum as it is",
                                 arguments.factor));
  }
  Call call;
  call.spec.values[x_dtype] = host::number(x.dtype);
  call.spec.values[y_dtype] = host::number(y.dtype);
  call.spec.values[hidden] = static_cast<std::int32_t>(width);
  call.spec.values[top_k] = static_cast<std::int32_t>(slots);
  call.spec.values[has_weights] = weighted ? 1 : 0;
  call.spec.values[has_addend] = added ? 1 : 0;
  call.spec.values[alignment] = aligned;
  call.rows = y_rows.count;
  call.device = y.device;
  call.set_arguments(WeightedSumKernelArgs{x.data, static_cast<const float*>(arguments.weights.data),
                                           arguments.addend.data, static_cast<const int*>(arguments.map.data),
                                           y.data, y_rows.count, x_rows.count, x_rows.stride,
                                           slot_spacing.stride, weight_rows.stride, addend_rows.stride,
                                           map_rows.stride, y_rows.stride, arguments.factor});
  return call;
}

Arguments read(const OpDefinition& op, const Bindings& bindings, bool mapped) {
  Arguments made;
  made.x = bindings.require_tensor(op.name, "x");
  made.y = bindings.require_tensor(op.name, "y");
  made.weights = bindings.tensor_or_absent("weights");
  made.addend = bindings.tensor_or_absent("addend");
  if (mapped) {
    made.map = bindings.require_tensor(op.name, "map");
  }
  made.factor = static_cast<float>(bindings.scalar("routed_scaling_factor").value_or(1.0));
  return made;
}

Call bind(const OpDefinition& op, const Bindings& bindings, bool mapped) {
  Call call = make_call(op.name, read(op, bindings, mapped), mapped);
  // The narrowest kernel a caller names serves better aligned tensors too.
  if (const auto wanted = host::setting(op, bindings, "alignment");
      wanted && *wanted < call.spec[alignment]) {
    call.spec.values[alignment] = *wanted;
    validate(op.name, call.spec);
  }
  check_settings_agree(op, call.spec, bindings);
  return call;
}

std::vector<TensorPlan> plan_inputs(const OpDefinition& op, const Bindings& bindings, std::int64_t rows,
                                    bool mapped) {
  const std::int64_t width = router::required_setting(op, bindings, "hidden");
  const std::int64_t slots = router::required_setting(op, bindings, "top_k");
  const DType x_type = dtype_setting(op, bindings, "x_dtype", DType::bf16);
  std::vector<TensorPlan> plans;
  const auto add = [&](const char* name, DType type, std::vector<std::int64_t> shape) {
    plans.emplace_back();
    plans.back().name = name;
    plans.back().dtype = type;
    plans.back().shape = std::move(shape);
  };
  if (mapped) {
    add("x", x_type, {rows * slots, width});
    add("map", DType::i32, {rows, slots});
    plans.back().integers_below = rows * slots;
  } else {
    add("x", x_type, {rows, slots, width});
  }
  if (flag(op, bindings, "has_weights", true)) {
    add("weights", DType::f32, {rows, slots});
  }
  if (flag(op, bindings, "has_addend", false)) {
    add("addend", dtype_setting(op, bindings, "y_dtype", x_type), {rows, width});
  }
  return plans;
}

std::vector<TensorPlan> plan_outputs(const OpDefinition& op, const Bindings& bindings, bool mapped) {
  const TensorView& x = bindings.require_tensor(op.name, "x");
  const TensorView& slotted = mapped ? bindings.require_tensor(op.name, "map") : x;
  if (x.rank < 2 || slotted.rank < 1) {
    host::refuse_shape(op.name, "x", x,
                       mapped ? "[rows, hidden], and map [..., top_k]" : "[..., top_k, hidden]");
  }
  TensorPlan y;
  y.name = "y";
  y.dtype = dtype_setting(op, bindings, "y_dtype", x.dtype);
  y.shape.assign(slotted.shape.begin(), slotted.shape.begin() + slotted.rank - (mapped ? 1 : 2));
  y.shape.push_back(x.dim(-1));
  return {y};
}

std::vector<ModelCase> model_cases(const ModelConfig& model, std::string label, bool weights, bool addend) {
  if (model.experts < 1 || model.top_k < 1 || model.top_k > max_top_k || model.hidden < 1 ||
      model.hidden > max_hidden || !host::is_float(model.dtype)) {
    return {};
  }
  const std::string type(name_of(model.dtype));
  ModelCase made;
  made.label = std::move(label);
  made.params = {{"x_dtype", type},
                 {"y_dtype", type},
                 {"hidden", std::to_string(model.hidden)},
                 {"top_k", std::to_string(model.top_k)},
                 {"has_weights", weights ? "true" : "false"},
                 {"has_addend", addend ? "true" : "false"}};
  if (const std::int32_t aligned =
          host::alignment_of(static_cast<std::uint64_t>(model.hidden * size_of(model.dtype)));
      aligned < 16) {
    made.params.emplace_back("alignment", std::to_string(aligned));
  }
  made.scalars = {{"routed_scaling_factor", model.routed_scaling_factor}};
  return {made};
}

}  // namespace kerncast::moe::weighted_sum
