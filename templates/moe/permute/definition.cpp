#include <kerncast/ops/moe/permute.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "templates/host/define_op.hpp"
#include "templates/host/overlap.hpp"
#include "templates/host/tensor_check.hpp"
#include "templates/host/typed_op.hpp"
#include "templates/moe/permute/kernel_args.h"
#include "templates/moe/permute/spec_index.hpp"
#include "templates/moe/shared/grouping.hpp"
#include "templates/moe/shared/row_tiles.hpp"

namespace kerncast::moe {
namespace {

using namespace permute_params;

constexpr std::string_view op_name = Permute::op_name;
constexpr std::int64_t max_hidden = 65536;

Placing placing_of(const Specialisation& spec) {
  return static_cast<Placing>(spec[placing]);
}

void validate(const Specialisation& spec) {
  host::validate_alignment(op_name, spec[alignment], spec[hidden], host::dtype_from_param(spec[x_dtype]));
}

/// Halves the blocks that share a row, and doubles their threads up to 256.
void use_larger_blocks(Tunables& tunables) {
  tunables.values[row_tiles::blocks_per_row] /= 2;
  tunables.values[row_tiles::threads] = std::min(tunables[row_tiles::threads] * 2, 256);
}

Tunables default_tunables(const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
  using row_tiles::blocks_per_row;
  const std::int64_t row_bytes = spec[hidden] * size_of(host::dtype_from_param(spec[x_dtype]));
  const std::int64_t vectors = row_bytes / spec[alignment];
  const std::int64_t most = host::bucket_ceiling(rows);
  Tunables made = row_tiles::default_tunables(vectors, device, rows);
  if (placing_of(spec) == Placing::direct) {
    // Every block reads all ids: with few and large blocks that stays far below the traffic of the rows, and
    // many warps find the places sooner.
    while (made[blocks_per_row] > 1 &&
           (made[row_tiles::threads] < 256 || made[blocks_per_row] * most * 12 > vectors)) {
      use_larger_blocks(made);
    }
  } else {
    // Every block reads the places of its tokens, in whole sectors. They should stay far below the row.
    const std::int64_t place_bytes = host::round_up(std::int64_t{4} * spec[top_k], 32);
    if (made[blocks_per_row] > 1 && made[row_tiles::threads] == 128 &&
        made[blocks_per_row] * place_bytes * 64 > row_bytes) {
      use_larger_blocks(made);
    }
  }
  made.values[grouping_threads] = grouping::threads_for(spec[experts], most * spec[top_k]);
  return made;
}

std::string tunables_defect(const Specialisation& spec, const Tunables& tunables, const DeviceTraits&) {
  return placing_of(spec) == Placing::direct
             ? std::string()
             : grouping::threads_defect(tunables[grouping_threads], spec[experts],
                                        placing_of(spec) == Placing::split);
}

LaunchGeometry grouping_geometry(const Specialisation& spec, const Tunables& tunables, std::int64_t rows,
                                 bool launches) noexcept {
  const std::int64_t blocks =
      placing_of(spec) == Placing::split ? grouping::blocks_of(rows * spec[top_k]) : std::int64_t{1};
  LaunchGeometry made = host::linear_grid(blocks);
  made.grid[0] = launches ? made.grid[0] : 0;
  made.block[0] = static_cast<std::uint32_t>(tunables[grouping_threads]);
  return made;
}

LaunchGeometry count_geometry(const Specialisation& spec, const Tunables& tunables, const DeviceTraits&,
                              std::int64_t rows) noexcept {
  return grouping_geometry(spec, tunables, rows, placing_of(spec) == Placing::split);
}

LaunchGeometry place_geometry(const Specialisation& spec, const Tunables& tunables, const DeviceTraits&,
                              std::int64_t rows) noexcept {
  return grouping_geometry(spec, tunables, rows, placing_of(spec) != Placing::direct);
}

LaunchGeometry copy_geometry(const Specialisation&, const Tunables& tunables, const DeviceTraits&,
                             std::int64_t rows) noexcept {
  return row_tiles::geometry(tunables, rows);
}

void require_copyable(std::string_view name, const TensorView& view) {
  if (size_of(view.dtype) > 4) [[unlikely]] {
    host::refuse_dtype(op_name, name, view.dtype, "of 1, 2 or 4 bytes");
  }
}

void require_type_of(std::string_view name, const TensorView& view, std::string_view other,
                     const TensorView& like) {
  if (view.dtype != like.dtype) [[unlikely]] {
    host::refuse_dtype(op_name, name, view.dtype, fmt::format("{}, as {}", name_of(like.dtype), other));
  }
  host::require_device(op_name, name, view, "ids", like.device);
}

void require_aligned(std::string_view name, const TensorView& view) {
  if (reinterpret_cast<std::uintptr_t>(view.data) % static_cast<std::uintptr_t>(size_of(view.dtype)) != 0)
      [[unlikely]] {
    host::refuse_misaligned(op_name, name, view);
  }
}

/// The strides of scales and y_scales, in elements; zeros without scales.
struct ScaleStrides {
  std::int64_t stride = 0;
  std::int64_t column_stride = 0;
  std::int64_t y_stride = 0;
  std::int64_t y_column_stride = 0;
  std::int64_t columns = 0;
};

/// Checks scales and y_scales for `tokens` rows and `places` places.
ScaleStrides check_scales(const Permute& arguments, std::int64_t tokens, std::int64_t places) {
  const TensorView& scales = arguments.scales;
  const TensorView& y_scales = arguments.y_scales;
  require_copyable("scales", scales);
  require_type_of("y_scales", y_scales, "scales", scales);
  const host::Rows rows = host::flatten(op_name, "scales", scales);
  const host::Rows y_rows = host::flatten(op_name, "y_scales", y_scales);
  const std::int64_t columns = scales.dim(-1);
  if (rows.count != tokens || columns > std::numeric_limits<std::int32_t>::max()) [[unlikely]] {
    host::refuse_shape(op_name, "scales", scales, fmt::format("{} rows, those of x", tokens));
  }
  if (y_rows.count < places || y_scales.dim(-1) != columns) [[unlikely]] {
    host::refuse_shape(op_name, "y_scales", y_scales,
                       fmt::format("{} rows or more of {}, the last dimension of scales", places, columns));
  }
  host::require_data(op_name, "scales", scales, tokens);
  host::require_data(op_name, "y_scales", y_scales, tokens);
  host::require_device(op_name, "scales", scales, "ids", arguments.ids.device);
  require_aligned("scales", scales);
  require_aligned("y_scales", y_scales);
  return {.stride = rows.stride,
          .column_stride = scales.stride(-1),
          .y_stride = y_rows.stride,
          .y_column_stride = y_scales.stride(-1),
          .columns = columns};
}

/// The rows of the tensors of a call.
struct CallRows {
  host::Rows x;
  host::Rows y;
  host::Rows map;
};

/// Checks x and y for `tokens` rows and `places` places.
void check_rows(const Permute& arguments, std::int64_t tokens, std::int64_t places, CallRows& rows) {
  const TensorView& x = arguments.x;
  const TensorView& y = arguments.y;
  require_copyable("x", x);
  host::require_device(op_name, "x", x, "ids", arguments.ids.device);
  require_type_of("y", y, "x", x);
  rows.x = host::contiguous_rows(op_name, "x", x);
  rows.y = host::output_rows(op_name, "y", y);
  const std::int64_t width = x.dim(-1);
  if (width < 1 || width > max_hidden) [[unlikely]] {
    host::refuse_range(op_name, "the last dimension of x (hidden)", width, 1, max_hidden);
  }
  if (rows.x.count != tokens) [[unlikely]] {
    host::refuse_shape(op_name, "x", x, fmt::format("{} rows, those of ids", tokens));
  }
  if (rows.y.count < places || y.dim(-1) != width) [[unlikely]] {
    host::refuse_shape(op_name, "y", y,
                       fmt::format("{} rows or more (one per id) of {}, as x", places, width));
  }
  host::require_data(op_name, "x", x, tokens);
  host::require_data(op_name, "y", y, tokens);
}

/// Checks offsets and map for `tokens` rows.
void check_places(const Permute& arguments, std::int64_t tokens, CallRows& rows) {
  grouping::check_integers(
      op_name, "offsets", arguments.offsets, arguments.experts + 1,
      [&] { return fmt::format("shape [{}], experts + 1", arguments.experts + 1); }, arguments.ids.device);
  const host::TensorCheck map(op_name, "map", arguments.map);
  rows.map = map.has_dtype(DType::i32).output_rows();
  map.has_shape_of("ids", arguments.ids).has_data(tokens).is_on_device_of("ids", arguments.ids);
  require_aligned("map", arguments.map);
}

Call make_call(const Permute& arguments, Placing wanted) {
  const grouping::Slots slots = grouping::check(op_name, arguments.ids, {}, arguments.workspace,
                                                arguments.experts, wanted == Placing::split);
  const std::int64_t places = slots.arguments.slots;
  CallRows rows;
  check_rows(arguments, slots.tokens, places, rows);
  check_places(arguments, slots.tokens, rows);

  const bool scaled = !arguments.scales.absent();
  const ScaleStrides scales = scaled ? check_scales(arguments, slots.tokens, places) : ScaleStrides{};

  host::require_apart(op_name,
                      {{"y", arguments.y},
                       {"y_scales", arguments.y_scales},
                       {"offsets", arguments.offsets},
                       {"map", arguments.map},
                       {"workspace", arguments.workspace}},
                      {{"x", arguments.x}, {"ids", arguments.ids}, {"scales", arguments.scales}});

  const TensorView& x = arguments.x;
  const Placing needed = slots.split             ? Placing::split
                         : places > direct_slots ? Placing::whole
                                                 : Placing::direct;
  const std::int64_t bytes = size_of(x.dtype);
  Call call;
  call.spec.values[x_dtype] = host::to_param(x.dtype);
  call.spec.values[hidden] = static_cast<std::int32_t>(x.dim(-1));
  call.spec.values[top_k] = static_cast<std::int32_t>(slots.top_k);
  call.spec.values[experts] = arguments.experts;
  call.spec.values[has_scales] = scaled ? 1 : 0;
  call.spec.values[scale_dtype] = host::to_param(scaled ? arguments.scales.dtype : DType::f32);
  call.spec.values[placing] = static_cast<std::int32_t>(std::max(wanted, needed));
  call.spec.values[alignment] =
      std::min({host::aligned_access_bytes(op_name, "x", x, rows.x, bytes),
                host::aligned_access_bytes(op_name, "y", arguments.y, rows.y, bytes),
                host::alignment_of(static_cast<std::uint64_t>(x.dim(-1) * bytes))});
  // Even without tokens the kernel runs, to write offsets of 0.
  call.rows = std::max<std::int64_t>(slots.tokens, 1);
  call.device = arguments.ids.device;
  call.set_arguments(PermuteKernelArgs{
      .grouping = slots.arguments,
      .x = x.data,
      .y = arguments.y.data,
      .scales = arguments.scales.data,
      .y_scales = arguments.y_scales.data,
      .offsets = static_cast<int*>(arguments.offsets.data),
      .map = static_cast<int*>(arguments.map.data),
      .rows = slots.tokens,
      .x_stride = rows.x.stride,
      .y_stride = rows.y.stride,
      .map_stride = rows.map.stride,
      .scales_stride = scales.stride,
      .scales_column_stride = scales.column_stride,
      .y_scales_stride = scales.y_stride,
      .y_scales_column_stride = scales.y_column_stride,
      .scale_columns = static_cast<int>(scales.columns),
  });
  return call;
}

void describe(host::NamedArguments& named, Permute& call) {
  named.input("x", call.x, "[..., hidden], x_dtype; rows may be strided");
  named.input("ids", call.ids, "[..., top_k], i32; rows may be strided");
  named.optional_input("scales", call.scales, "[..., G], scale_dtype, any strides");
  named.output("y", call.y, "[P, hidden], x_dtype, P at least tokens * top_k; rows may be strided");
  named.output("offsets", call.offsets, "[experts + 1], i32");
  named.output("map", call.map, "shape of ids, i32; rows may be strided");
  named.optional_output("y_scales", call.y_scales, "[P, G], scale_dtype, any strides");
  named.optional_output("workspace", call.workspace, "if split: [ceil(slots / 4096) * experts], i32");
  named.required_setting("experts", call.experts);
}

Placing placing_setting(const OpDefinition& op, const Bindings& bindings) {
  return static_cast<Placing>(host::setting(op, bindings, "placing").value_or(0));
}

/// Binds the arguments by name.
Call bind_by_name(const Bindings& bindings) {
  const OpDefinition& op = definition_of<Permute>();
  Permute arguments;
  host::NamedArguments named(op, bindings);
  describe(named, arguments);
  Call call = make_call(arguments, placing_setting(op, bindings));
  host::narrow_alignment(op, call, bindings);
  // The caller may name a placing for more slots than this call has; one for fewer would overflow, and the
  // call takes what its slots need instead.
  Bindings agreed;
  for (const auto& [name, value] : bindings.params()) {
    if (name != "placing") {
      agreed.set_param(name, value);
    }
  }
  check_settings_agree(op, call.spec, agreed);
  return call;
}

std::vector<TensorPlan> plan_inputs(const Bindings& bindings, std::int64_t rows) {
  const OpDefinition& op = definition_of<Permute>();
  const std::int64_t width = host::required_param(op, bindings, "hidden");
  const std::int64_t slots = host::required_param(op, bindings, "top_k");
  const std::int64_t count = host::required_param(op, bindings, "experts");
  TensorPlan x;
  x.name = "x";
  x.dtype = host::dtype_setting(op, bindings, "x_dtype", DType::bf16);
  x.shape = {rows, width};
  std::vector<TensorPlan> plans = {x, grouping::plan_integers("ids", {rows, slots}, count)};
  if (host::setting(op, bindings, "has_scales").value_or(0) != 0) {
    plans.push_back(x);
    plans.back().name = "scales";
    plans.back().dtype = host::dtype_setting(op, bindings, "scale_dtype", DType::f32);
    plans.back().shape = {rows, host::divide_up(width, 128)};
  }
  return plans;
}

std::vector<TensorPlan> plan_outputs(const Bindings& bindings) {
  const OpDefinition& op = definition_of<Permute>();
  const TensorView& x = bindings.require_tensor(op_name, "x");
  const TensorView& ids = bindings.require_tensor(op_name, "ids");
  const std::int64_t count = host::required_param(op, bindings, "experts");
  const std::int64_t slots = ids.numel();
  TensorPlan y;
  y.name = "y";
  y.dtype = x.dtype;
  y.shape = {slots, x.rank > 0 ? x.dim(-1) : 0};
  std::vector<TensorPlan> plans = {y, grouping::plan_integers("offsets", {count + 1}),
                                   grouping::plan_integers("map", {})};
  plans.back().shape.assign(ids.shape.begin(), ids.shape.begin() + ids.rank);
  if (const TensorView scales = bindings.tensor_or_absent("scales"); !scales.absent()) {
    y.name = "y_scales";
    y.dtype = scales.dtype;
    y.shape.back() = scales.dim(-1);
    plans.push_back(y);
  }
  if (placing_setting(op, bindings) == Placing::split || slots > block_slots) {
    plans.push_back(grouping::plan_integers("workspace", {grouping::workspace_size(slots, count)}));
  }
  return plans;
}

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  std::vector<ModelCase> cases;
  if (model.experts < 1 || model.experts > grouping::max_experts || model.top_k < 1 ||
      model.top_k > grouping::max_top_k || model.expert_width() < 1 || model.expert_width() > max_hidden) {
    return cases;
  }
  const auto add = [&](std::string label, DType type, const char* how) {
    ModelCase made;
    made.label = std::move(label);
    made.params = {{"x_dtype", std::string(name_of(type))},
                   {"hidden", std::to_string(model.expert_width())},
                   {"top_k", std::to_string(model.top_k)},
                   {"experts", std::to_string(model.local_experts())},
                   {"has_scales", type == DType::fp8_e4m3 ? "true" : "false"},
                   {"placing", how}};
    if (const std::int32_t aligned =
            host::alignment_of(static_cast<std::uint64_t>(model.expert_width() * size_of(type)));
        aligned < 16) {
      made.params.emplace_back("alignment", std::to_string(aligned));
    }
    cases.push_back(std::move(made));
  };
  for (const char* how : {"direct", "whole", "split"}) {
    add(fmt::format("experts' input, places {}", how), model.dtype, how);
    if (model.expert_width() % 128 == 0) {
      add(fmt::format("experts' quantised input, places {}", how), DType::fp8_e4m3, how);
    }
  }
  return cases;
}

}  // namespace

std::int64_t permute_workspace(std::int64_t slots, int experts) noexcept {
  return slots > block_slots ? grouping::workspace_size(slots, experts) : 0;
}

Call bind(const Permute& arguments) {
  return make_call(arguments, Placing::direct);
}

}  // namespace kerncast::moe

KERNCAST_OP(moe, permute) {
  using namespace moe;
  OpDefinition op = host::define<Permute, describe>();
  op.summary = "Rows, and their scales, gathered by expert";
  op.formula =
      "offsets[e] = slots of experts below e; map[t, k] = offsets[e] + slots before t * K + k of its expert "
      "e; y[map[t, k]] = x[t], y_scales[map[t, k]] = scales[t]. Ids below 0 or from experts on: map -1, no "
      "row";
  op.kernel = "kerncast::moe::permute_count_kernel";
  op.later_stages = {{"kerncast::moe::permute_place_kernel", place_geometry},
                     {"kerncast::moe::permute_kernel", copy_geometry}};
  const auto copyable = {DType::bf16,  DType::f16, DType::f32, DType::fp8_e4m3, DType::fp8_e5m2,
                         DType::ue8m0, DType::i8,  DType::u8,  DType::i32};
  op.params = host::params(
      host::param<x_dtype>(host::dtype_param(copyable, DType::bf16, "element type of x and y")),
      host::param<hidden>(host::integer_param(1, max_hidden, std::nullopt, "elements of a row")),
      host::param<top_k>(host::integer_param(1, grouping::max_top_k, std::nullopt, "slots K of a token")),
      host::param<experts>(host::integer_param(1, grouping::max_experts, std::nullopt, "experts E")),
      host::param<has_scales>(host::flag_param(false, "gather scales as well")),
      host::param<scale_dtype>(
          host::dtype_param(copyable, DType::f32, "element type of scales; f32 without scales")),
      host::param<placing>(host::choice_param(
          {"direct", "whole", "split"},
          "which blocks find the places: every block (up to 128 slots), one block before the others (up to "
          "4096), or several that count first; derived, a later one may be asked for")),
      host::param<alignment>(host::listed_param(
          {1, 2, 4, 8, 16}, 16,
          "bytes of x per access; derived from the tensors' pointers, strides and width")));
  op.tunables = row_tiles::tunables();
  host::append(op.tunables,
               host::tunable<grouping_threads>("threads of a block that places", {128, 256, 512, 1024}));
  op.validate = validate;
  op.default_tunables = default_tunables;
  op.geometry = count_geometry;
  op.tunables_defect = tunables_defect;
  op.bind = bind_by_name;
  op.plan_outputs = plan_outputs;
  op.plan_inputs = plan_inputs;
  op.model_cases = model_cases;
  return op;
}
