#include "templates/moe/shared/weighted_sum.hpp"
#include "templates/host/overlap.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "templates/host/checks.hpp"
#include "templates/host/tensor_check.hpp"
#include "templates/moe/shared/row_tiles.hpp"
#include "templates/moe/shared/weighted_sum_args.h"
#include "templates/moe/shared/weighted_sum_spec_index.hpp"

namespace kerncast::moe::weighted_sum {
namespace {

using namespace weighted_sum_params;

constexpr std::int64_t max_hidden = 65536;
constexpr std::int64_t max_top_k = 64;

std::int64_t vectors_of(const Specialisation& spec) {
  return spec[hidden] * size_of(host::dtype_from_param(spec[x_dtype])) / spec[alignment];
}

Tunables default_tunables(const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
  return row_tiles::default_tunables(vectors_of(spec), device, rows);
}

LaunchGeometry geometry(const Specialisation&, const Tunables& tunables, const DeviceTraits&,
                        std::int64_t rows) noexcept {
  return row_tiles::geometry(tunables, rows);
}

/// Checks a tensor that has a row of K columns for each token.
host::Rows slot_rows(std::string_view op, std::string_view name, const TensorView& view, DType type,
                     std::int64_t rows, std::int64_t slots, const TensorView& y) {
  const host::TensorCheck check(op, name, view);
  const host::Rows made = check.has_dtype(type).contiguous_rows();
  if (made.count != rows || view.dim(-1) != slots) [[unlikely]] {
    host::refuse_shape(op, name, view, fmt::format("{} rows (those of y) of {} slots", rows, slots));
  }
  check.has_data(rows).is_on_device_of("y", y).is_aligned(made);
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

/// x and y, checked against each other.
struct MainTensors {
  host::Rows x;                  ///< rows of x; without a map, those of one slot
  host::Rows y;                  ///< a row for each token
  std::int64_t slots = 0;        ///< slots of a token
  std::int64_t slot_stride = 0;  ///< elements of x from one slot of a token, or row of a map, to the next
};

MainTensors check_x_and_y(std::string_view op, const Arguments& arguments) {
  const TensorView& x = arguments.x;
  const TensorView& y = arguments.y;
  const bool mapped = arguments.map != nullptr;
  const host::TensorCheck x_check(op, "x", x);
  const host::TensorCheck y_check(op, "y", y);
  x_check.is_float();
  MainTensors made;
  made.y = y_check.is_float().output_rows();
  const std::int64_t width = y.dim(-1);
  if (width < 1 || width > max_hidden) [[unlikely]] {
    host::refuse_range(op, "the last dimension of y (hidden)", width, 1, max_hidden);
  }
  if (x.rank < 2) [[unlikely]] {
    host::refuse_shape(op, "x", x, mapped ? "[rows, hidden]" : "[..., top_k, hidden]");
  }
  made.x = host::contiguous_rows(op, "x", mapped ? x : without_slots(x));
  if (mapped && arguments.map->rank < 1) [[unlikely]] {
    host::refuse_rank(op, "map", *arguments.map);
  }
  made.slots = mapped ? arguments.map->dim(-1) : x.dim(-2);
  made.slot_stride = mapped ? made.x.stride : x.stride(-2);
  if (made.slots < 1 || made.slots > max_top_k) [[unlikely]] {
    host::refuse_range(op, "top_k", made.slots, 1, max_top_k);
  }
  if (x.dim(-1) != width || (!mapped && made.x.count != made.y.count)) [[unlikely]] {
    host::refuse_shape(op, "x", x,
                       mapped ? fmt::format("rows of {}, the last dimension of y", width)
                              : fmt::format("{} tokens of rows of {}, as y", made.y.count, width));
  }
  x_check.has_data(mapped ? made.x.count : made.y.count).is_on_device_of("y", y);
  y_check.has_data(made.y.count);
  return made;
}

host::Rows check_addend(std::string_view op, const TensorView& addend, const TensorView& y,
                        std::int64_t rows) {
  if (addend.dtype != y.dtype) [[unlikely]] {
    host::refuse_dtype(op, "addend", addend.dtype, fmt::format("{}, as y", name_of(y.dtype)));
  }
  const host::TensorCheck check(op, "addend", addend);
  const host::Rows made = check.contiguous_rows();
  check.has_shape_of("y", y).has_data(rows).is_on_device_of("y", y);
  return made;
}

bool has_ids_of(const Arguments& arguments) {
  return arguments.ids != nullptr && !arguments.ids->absent();
}

/// Checks ids and expert_map, and returns the rows of ids.
host::Rows check_ids(std::string_view op, const Arguments& arguments, const MainTensors& main) {
  if (arguments.experts < 1 || arguments.experts > max_experts) [[unlikely]] {
    host::refuse_range(op, "experts", arguments.experts, 1, max_experts);
  }
  const TensorView& map = *arguments.expert_map;
  if (!map.absent()) {
    const host::TensorCheck check(op, "expert_map", map);
    const host::Rows one = check.has_dtype(DType::i32).contiguous_rows();
    if (map.rank != 1 || map.dim(0) < 1 || map.dim(0) > std::numeric_limits<std::int32_t>::max())
        [[unlikely]] {
      host::refuse_shape(op, "expert_map", map, "[experts of all ranks]");
    }
    check.has_data(main.y.count).is_on_device_of("y", arguments.y).is_aligned(one);
  }
  return slot_rows(op, "ids", *arguments.ids, DType::i32, main.y.count, main.slots, arguments.y);
}

/// Most bytes of x per access with which the accesses to all tensors of rows are aligned.
std::int32_t access_bytes(std::string_view op, const Arguments& arguments, const MainTensors& main,
                          const host::Rows& addend) {
  const std::int64_t x_bytes = size_of(arguments.x.dtype);
  const host::TensorCheck x(op, "x", arguments.x);
  const std::int32_t aligned =
      std::min({x.access_bytes(main.x, x_bytes), x.access_bytes({main.slots, main.slot_stride}, x_bytes),
                host::TensorCheck(op, "y", arguments.y).access_bytes(main.y, x_bytes),
                host::alignment_of(static_cast<std::uint64_t>(arguments.y.dim(-1) * x_bytes))});
  return arguments.addend.absent()
             ? aligned
             : std::min(aligned,
                        host::TensorCheck(op, "addend", arguments.addend).access_bytes(addend, x_bytes));
}

bool flag(const OpDefinition& op, const Bindings& bindings, std::string_view name, bool otherwise) {
  return host::setting(op, bindings, name).value_or(otherwise ? 1 : 0) != 0;
}

}  // namespace

void add_params(OpDefinition& op) {
  op.arguments_type = "kerncast::moe::WeightedSumKernelArgs";
  const auto floats = {DType::bf16, DType::f16, DType::f32};
  op.params = host::params(
      host::param<x_dtype>(host::dtype_param(floats, DType::bf16, "element type of x")),
      host::param<y_dtype>(host::dtype_param(floats, DType::bf16, "element type of y and of addend")),
      host::param<hidden>(host::integer_param(1, max_hidden, std::nullopt, "elements of a row")),
      host::param<top_k>(host::integer_param(1, max_top_k, std::nullopt, "slots K of a token")),
      host::param<has_weights>(host::flag_param(true, "multiply each slot by its weight")),
      host::param<has_addend>(host::flag_param(false, "add a row to each token's sum")),
      host::param<alignment>(host::listed_param(
          {2, 4, 8, 16}, 16,
          "bytes of x per access; derived from the tensors' pointers, strides and width")));
  op.tunables = row_tiles::tunables();
  op.default_tunables = default_tunables;
  op.geometry = geometry;
}

void add_id_params(OpDefinition& op) {
  host::append(op.params,
               host::param<has_ids>(host::flag_param(false, "skip slots whose id names no expert here")),
               host::param<has_expert_map>(host::flag_param(false, "ids name experts of all ranks")),
               host::param<experts>(
                   host::integer_param(1, max_experts, max_experts, "experts E here; without ids the most")));
  op.validate = [](const Specialisation& spec) {
    constexpr std::string_view name = "moe.sum_reduce";
    validate(name, spec);
    if (spec[has_expert_map] != 0 && spec[has_ids] == 0) {
      host::refuse(name, "expert_map says which expert an id is, so it needs ids");
    }
  };
}

void validate(std::string_view op, const Specialisation& spec) {
  host::validate_alignment(op, spec[alignment], spec[hidden], host::dtype_from_param(spec[x_dtype]));
}

Call make_call(std::string_view op, const Arguments& arguments) {
  const TensorView& y = arguments.y;
  const MainTensors main = check_x_and_y(op, arguments);
  const std::int64_t rows = main.y.count;
  const bool mapped = arguments.map != nullptr;
  const bool weighted = !arguments.weights.absent();
  const bool added = !arguments.addend.absent();
  host::Rows map_rows;
  if (mapped) {
    map_rows = slot_rows(op, "map", *arguments.map, DType::i32, rows, main.slots, y);
  }
  const bool has_slot_ids = has_ids_of(arguments);
  if (has_slot_ids) {
    map_rows = check_ids(op, arguments, main);
  } else if (arguments.expert_map != nullptr && !arguments.expert_map->absent()) [[unlikely]] {
    host::refuse(op, "expert_map says which expert an id is, so it needs ids");
  }
  host::Rows weight_rows;
  if (weighted) {
    weight_rows = slot_rows(op, "weights", arguments.weights, DType::f32, rows, main.slots, y);
  }
  host::Rows addend_rows;
  if (added) {
    addend_rows = check_addend(op, arguments.addend, y, rows);
  }
  if (!std::isfinite(arguments.factor)) [[unlikely]] {
    host::refuse(op, fmt::format("routed_scaling_factor is {}, but must be finite; 1 leaves the sum as it is",
                                 arguments.factor));
  }
  const TensorView none;
  const auto given = [&none](const TensorView* view) -> const TensorView& {
    return view != nullptr ? *view : none;
  };
  const TensorView& map = given(arguments.map);
  const TensorView& slot_ids = given(arguments.ids);
  const TensorView& expert_map = given(arguments.expert_map);
  host::require_apart(op, {{"y", y, "addend"}},
                      {{"x", arguments.x},
                       {"weights", arguments.weights},
                       {"addend", arguments.addend},
                       {"map", map},
                       {"ids", slot_ids},
                       {"expert_map", expert_map}});

  Call call;
  call.spec.values[x_dtype] = host::to_param(arguments.x.dtype);
  call.spec.values[y_dtype] = host::to_param(y.dtype);
  call.spec.values[hidden] = static_cast<std::int32_t>(y.dim(-1));
  call.spec.values[top_k] = static_cast<std::int32_t>(main.slots);
  call.spec.values[has_weights] = weighted ? 1 : 0;
  call.spec.values[has_addend] = added ? 1 : 0;
  call.spec.values[alignment] = access_bytes(op, arguments, main, addend_rows);
  if (arguments.ids != nullptr) {
    const bool translated = has_slot_ids && !expert_map.absent();
    call.spec.values[has_ids] = has_slot_ids ? 1 : 0;
    call.spec.values[has_expert_map] = translated ? 1 : 0;
    call.spec.values[experts] = has_slot_ids ? arguments.experts : max_experts;
  }
  call.rows = rows;
  call.device = y.device;
  call.set_arguments(WeightedSumKernelArgs{
      .x = arguments.x.data,
      .weights = static_cast<const float*>(arguments.weights.data),
      .addend = arguments.addend.data,
      .map = static_cast<const int*>(mapped ? map.data : slot_ids.data),
      .expert_map = static_cast<const int*>(expert_map.data),
      .y = y.data,
      .rows = rows,
      .x_rows = mapped ? main.x.count : main.slots,
      .x_stride = main.x.stride,
      .x_slot_stride = main.slot_stride,
      .weights_stride = weight_rows.stride,
      .addend_stride = addend_rows.stride,
      .map_stride = map_rows.stride,
      .y_stride = main.y.stride,
      .factor = arguments.factor,
      .expert_map_size = has_slot_ids && !expert_map.absent() ? static_cast<int>(expert_map.dim(0)) : 0,
  });
  return call;
}

std::vector<TensorPlan> plan_inputs(const OpDefinition& op, const Bindings& bindings, std::int64_t rows,
                                    bool mapped) {
  const std::int64_t width = host::required_param(op, bindings, "hidden");
  const std::int64_t slots = host::required_param(op, bindings, "top_k");
  const DType x_type = host::dtype_setting(op, bindings, "x_dtype", DType::bf16);
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
    add("addend", host::dtype_setting(op, bindings, "y_dtype", x_type), {rows, width});
  }
  if (!mapped && flag(op, bindings, "has_ids", false)) {
    const std::int64_t count = host::setting(op, bindings, "experts").value_or(max_experts);
    add("ids", DType::i32, {rows, slots});
    plans.back().integers_below = count;
    if (flag(op, bindings, "has_expert_map", false)) {
      add("expert_map", DType::i32, {count});
      plans.back().integers_below = count;
    }
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
  y.dtype = host::dtype_setting(op, bindings, "y_dtype", x.dtype);
  y.shape.assign(slotted.shape.begin(), slotted.shape.begin() + slotted.rank - (mapped ? 1 : 2));
  y.shape.push_back(x.dim(-1));
  return {y};
}

std::vector<ModelCase> model_cases(const ModelConfig& model, std::string label, bool weights, bool addend) {
  if (model.experts < 1 || model.top_k < 1 || model.top_k > max_top_k || model.expert_width() < 1 ||
      model.expert_width() > max_hidden || !host::is_float(model.dtype)) {
    return {};
  }
  const std::string type(name_of(model.dtype));
  ModelCase made;
  made.label = std::move(label);
  made.params = {{"x_dtype", type},
                 {"y_dtype", type},
                 {"hidden", std::to_string(model.expert_width())},
                 {"top_k", std::to_string(model.top_k)},
                 {"has_weights", weights ? "true" : "false"},
                 {"has_addend", addend ? "true" : "false"}};
  if (const std::int32_t aligned =
          host::alignment_of(static_cast<std::uint64_t>(model.expert_width() * size_of(model.dtype)));
      aligned < 16) {
    made.params.emplace_back("alignment", std::to_string(aligned));
  }
  made.scalars = {{"routed_scaling_factor", model.router.scaling}};
  return {made};
}

}  // namespace kerncast::moe::weighted_sum
