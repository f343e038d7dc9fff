#include <kerncast/ops/moe/permute.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "templates/moe/permute/kernel_args.h"
#include "templates/moe/permute/spec_index.hpp"
#include "templates/moe/shared/grouping.hpp"
#include "templates/moe/shared/router.hpp"
#include "templates/moe/shared/row_tiles.hpp"

namespace kerncast {
namespace {

using namespace moe::permute_params;

constexpr std::string_view op_name = "moe.permute";
constexpr std::int64_t max_hidden = 65536;
/// Slots up to which every block finds all places by itself, instead of a launch that does.
constexpr std::int64_t direct_slots = 128;

void validate(const Specialisation& spec) {
  const std::int64_t bytes = size_of(host::dtype(spec[x_dtype]));
  if (spec[alignment] < bytes || spec[hidden] * bytes % spec[alignment] != 0) [[unlikely]] {
    host::refuse(op_name,
                 fmt::format("alignment = {} must be at least an element ({} bytes) and divide a row of {} "
                             "bytes; widest valid: {}",
                             spec[alignment], bytes, spec[hidden] * bytes,
                             host::alignment_of(static_cast<std::uint64_t>(spec[hidden] * bytes))));
  }
}

Tunables default_tunables(const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
  using moe::row_tiles::blocks_per_row;
  const std::int64_t vectors = spec[hidden] * size_of(host::dtype(spec[x_dtype])) / spec[alignment];
  const std::int64_t most = host::bucket_ceiling(rows);
  Tunables made = moe::row_tiles::default_tunables(vectors, device, rows);
  // Where every block reads all ids, few and large blocks keep that far below what the rows take, and many
  // warps find the places sooner.
  while (spec[placing] == direct && made[blocks_per_row] > 1 &&
         (made[moe::row_tiles::threads] < 256 || made[blocks_per_row] * most * 12 > vectors)) {
    made.values[blocks_per_row] /= 2;
    made.values[moe::row_tiles::threads] = std::min(made[moe::row_tiles::threads] * 2, 256);
  }
  // Every block reads its tokens' places, whole sectors of them: they are to stay far below the row.
  const std::int64_t row_bytes = spec[hidden] * size_of(host::dtype(spec[x_dtype]));
  const std::int64_t place_bytes = host::divide_up(std::int64_t{4} * spec[top_k], 32) * 32;
  if (spec[placing] != direct && made[blocks_per_row] > 1 && made[moe::row_tiles::threads] == 128 &&
      made[blocks_per_row] * place_bytes * 64 > row_bytes) {
    made.values[blocks_per_row] /= 2;
    made.values[moe::row_tiles::threads] = 256;
  }
  made.values[grouping_threads] = moe::grouping::threads_for(spec[experts], most * spec[top_k]);
  return made;
}

LaunchGeometry grouping_geometry(const Specialisation& spec, const Tunables& tunables, std::int64_t rows,
                                 bool launches) noexcept {
  const std::int64_t blocks =
      spec[placing] == split ? moe::grouping::blocks_of(rows * spec[top_k]) : std::int64_t{1};
  LaunchGeometry made = host::linear_grid(blocks);
  made.grid[0] = launches ? made.grid[0] : 0;
  made.block[0] = static_cast<std::uint32_t>(tunables[grouping_threads]);
  return made;
}

LaunchGeometry count_geometry(const Specialisation& spec, const Tunables& tunables, const DeviceTraits&,
                              std::int64_t rows) noexcept {
  return grouping_geometry(spec, tunables, rows, spec[placing] == split);
}

LaunchGeometry place_geometry(const Specialisation& spec, const Tunables& tunables, const DeviceTraits&,
                              std::int64_t rows) noexcept {
  return grouping_geometry(spec, tunables, rows, spec[placing] != direct);
}

LaunchGeometry copy_geometry(const Specialisation&, const Tunables& tunables, const DeviceTraits&,
                             std::int64_t rows) noexcept {
  return moe::row_tiles::geometry(tunables, rows);
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

/// Checks the scales of both sides and fills the arguments with them.
void check_scales(const moe::Permute& arguments, std::int64_t tokens, std::int64_t places,
                  moe::PermuteKernelArgs& kernel) {
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
  kernel.scales = scales.data;
  kernel.y_scales = y_scales.data;
  kernel.scales_stride = rows.stride;
  kernel.scales_column_stride = scales.stride(-1);
  kernel.y_scales_stride = y_rows.stride;
  kernel.y_scales_column_stride = y_scales.stride(-1);
  kernel.scale_columns = static_cast<int>(columns);
}

Call make_call(const moe::Permute& arguments, std::int32_t wanted_placing) {
  const TensorView& x = arguments.x;
  const TensorView& y = arguments.y;
  const moe::grouping::Slots slots = moe::grouping::check(op_name, arguments.ids, {}, arguments.workspace,
                                                          arguments.experts, wanted_placing == split);
  const std::int64_t places = slots.arguments.slots;
  const int device = arguments.ids.device;
  require_copyable("x", x);
  host::require_device(op_name, "x", x, "ids", device);
  require_type_of("y", y, "x", x);
  const host::Rows x_rows = host::contiguous_rows(op_name, "x", x);
  const host::Rows y_rows = host::output_rows(op_name, "y", y);
  const std::int64_t width = x.dim(-1);
  if (width < 1 || width > max_hidden) [[unlikely]] {
    host::refuse_range(op_name, "the last dimension of x (hidden)", width, 1, max_hidden);
  }
  if (x_rows.count != slots.tokens) [[unlikely]] {
    host::refuse_shape(op_name, "x", x, fmt::format("{} rows, those of ids", slots.tokens));
  }
  if (y_rows.count < places || y.dim(-1) != width) [[unlikely]] {
    host::refuse_shape(op_name, "y", y,
                       fmt::format("{} rows or more (one per id) of {}, as x", places, width));
  }
  host::require_data(op_name, "x", x, slots.tokens);
  host::require_data(op_name, "y", y, slots.tokens);
  moe::grouping::check_integers(op_name, "offsets", arguments.offsets, arguments.experts + 1,
                                fmt::format("shape [{}], experts + 1", arguments.experts + 1), device);
  const TensorView& map = arguments.map;
  if (map.dtype != DType::i32) [[unlikely]] {
    host::refuse_dtype(op_name, "map", map.dtype, "i32");
  }
  const host::Rows map_rows = host::output_rows(op_name, "map", map);
  if (!host::same_shape(map, arguments.ids)) [[unlikely]] {
    host::refuse_shape(op_name, "map", map,
                       fmt::format("the shape of ids, {}", host::shape_text(arguments.ids)));
  }
  host::require_data(op_name, "map", map, slots.tokens);
  host::require_device(op_name, "map", map, "ids", device);
  require_aligned("map", map);

  moe::PermuteKernelArgs kernel{};
  kernel.grouping = slots.arguments;
  kernel.x = x.data;
  kernel.y = y.data;
  kernel.offsets = static_cast<int*>(arguments.offsets.data);
  kernel.map = static_cast<int*>(map.data);
  kernel.rows = slots.tokens;
  kernel.x_stride = x_rows.stride;
  kernel.y_stride = y_rows.stride;
  kernel.map_stride = map_rows.stride;
  const bool scaled = !arguments.scales.absent();
  if (scaled) {
    check_scales(arguments, slots.tokens, places, kernel);
  }

  const std::int64_t bytes = size_of(x.dtype);
  Call call;
  call.spec.values[x_dtype] = host::number(x.dtype);
  call.spec.values[hidden] = static_cast<std::int32_t>(width);
  call.spec.values[top_k] = static_cast<std::int32_t>(slots.top_k);
  call.spec.values[experts] = arguments.experts;
  call.spec.values[has_scales] = scaled ? 1 : 0;
  call.spec.values[scale_dtype] = host::number(scaled ? arguments.scales.dtype : DType::f32);
  call.spec.values[placing] = std::max<std::int32_t>(wanted_placing, slots.split             ? split
                                                                     : places > direct_slots ? whole
                                                                                             : direct);
  call.spec.values[alignment] = std::min({host::vector_limit(op_name, "x", x, x_rows, bytes),
                                          host::vector_limit(op_name, "y", y, y_rows, bytes),
                                          host::alignment_of(static_cast<std::uint64_t>(width * bytes))});
  // Without tokens there are offsets of 0 to be written.
  call.rows = std::max<std::int64_t>(slots.tokens, 1);
  call.device = device;
  call.set_arguments(kernel);
  return call;
}

Call bind(const Bindings& bindings) {
  const OpDefinition& op = moe::permute_op();
  moe::Permute arguments;
  arguments.x = bindings.require_tensor(op_name, "x");
  arguments.ids = bindings.require_tensor(op_name, "ids");
  arguments.y = bindings.require_tensor(op_name, "y");
  arguments.offsets = bindings.require_tensor(op_name, "offsets");
  arguments.map = bindings.require_tensor(op_name, "map");
  arguments.scales = bindings.tensor_or_absent("scales");
  arguments.y_scales = bindings.tensor_or_absent("y_scales");
  arguments.workspace = bindings.tensor_or_absent("workspace");
  arguments.experts = moe::router::required_setting(op, bindings, "experts");
  Call call = make_call(arguments, host::setting(op, bindings, "placing").value_or(direct));
  // The narrowest kernel a caller names serves better aligned tensors too.
  if (const auto wanted = host::setting(op, bindings, "alignment");
      wanted && *wanted < call.spec[alignment]) {
    call.spec.values[alignment] = *wanted;
    validate(call.spec);
  }
  // A placing for fewer slots than there are is one for more.
  Bindings agreed;
  for (const auto& [name, value] : bindings.params()) {
    if (name != "placing") {
      agreed.set_param(name, value);
    }
  }
  check_settings_agree(op, call.spec, agreed);
  return call;
}

DType dtype_setting(const Bindings& bindings, std::string_view name, DType otherwise) {
  return host::dtype(host::setting(moe::permute_op(), bindings, name).value_or(host::number(otherwise)));
}

std::vector<TensorPlan> plan_inputs(const Bindings& bindings, std::int64_t rows) {
  const OpDefinition& op = moe::permute_op();
  const std::int64_t width = moe::router::required_setting(op, bindings, "hidden");
  const std::int64_t slots = moe::router::required_setting(op, bindings, "top_k");
  const std::int64_t count = moe::router::required_setting(op, bindings, "experts");
  TensorPlan x;
  x.name = "x";
  x.dtype = dtype_setting(bindings, "x_dtype", DType::bf16);
  x.shape = {rows, width};
  std::vector<TensorPlan> plans = {x, moe::grouping::plan_integers("ids", {rows, slots}, count)};
  if (host::setting(op, bindings, "has_scales").value_or(0) != 0) {
    plans.push_back(x);
    plans.back().name = "scales";
    plans.back().dtype = dtype_setting(bindings, "scale_dtype", DType::f32);
    plans.back().shape = {rows, host::divide_up(width, 128)};
  }
  return plans;
}

std::vector<TensorPlan> plan_outputs(const Bindings& bindings) {
  const OpDefinition& op = moe::permute_op();
  const TensorView& x = bindings.require_tensor(op_name, "x");
  const TensorView& ids = bindings.require_tensor(op_name, "ids");
  const std::int64_t count = moe::router::required_setting(op, bindings, "experts");
  const std::int64_t slots = ids.numel();
  TensorPlan y;
  y.name = "y";
  y.dtype = x.dtype;
  y.shape = {slots, x.rank > 0 ? x.dim(-1) : 0};
  std::vector<TensorPlan> plans = {y, moe::grouping::plan_integers("offsets", {count + 1}),
                                   moe::grouping::plan_integers("map", {})};
  plans.back().shape.assign(ids.shape.begin(), ids.shape.begin() + ids.rank);
  if (const TensorView scales = bindings.tensor_or_absent("scales"); !scales.absent()) {
    y.name = "y_scales";
    y.dtype = scales.dtype;
    y.shape.back() = scales.dim(-1);
    plans.push_back(y);
  }
  if (host::setting(op, bindings, "placing").value_or(direct) == split ||
      slots > moe::grouping::block_slots) {
    plans.push_back(moe::grouping::plan_integers("workspace", {moe::grouping::workspace_size(slots, count)}));
  }
  return plans;
}

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  std::vector<ModelCase> cases;
  if (model.experts < 1 || model.experts > moe::grouping::max_experts || model.top_k < 1 ||
      model.top_k > moe::grouping::max_top_k || model.hidden < 1 || model.hidden > max_hidden) {
    return cases;
  }
  const auto add = [&](std::string label, DType type, const char* how) {
    ModelCase made;
    made.label = std::move(label);
    made.params = {{"x_dtype", std::string(name_of(type))},
                   {"hidden", std::to_string(model.hidden)},
                   {"top_k", std::to_string(model.top_k)},
                   {"experts", std::to_string(model.local_experts())},
                   {"has_scales", type == DType::fp8_e4m3 ? "true" : "false"},
                   {"placing", how}};
    if (const std::int32_t aligned =
            host::alignment_of(static_cast<std::uint64_t>(model.hidden * size_of(type)));
        aligned < 16) {
      made.params.emplace_back("alignment", std::to_string(aligned));
    }
    cases.push_back(std::move(made));
  };
  for (const char* how : {"direct", "whole", "split"}) {
    add(fmt::format("experts' input, places {}", how), model.dtype, how);
    if (model.hidden % 128 == 0) {
      add(fmt::format("experts' quantised input, places {}", how), DType::fp8_e4m3, how);
    }
  }
  return cases;
}

OpDefinition make_definition() {
  OpDefinition op;
  op.name = op_name;
  op.summary = "Rows, and their scales, gathered by expert";
  op.formula =
      "offsets[e] = slots of experts below e; map[t, k] = offsets[e] + slots before t * K + k of its expert "
      "e; "
      "y[map[t, k]] = x[t], y_scales[map[t, k]] = scales[t]. Ids below 0 or from experts on: map -1, no row";
  op.include = "moe/permute/kernel.cuh";
  op.kernel = "kerncast::moe::permute_count_kernel";
  op.later_stages = {{"kerncast::moe::permute_place_kernel", place_geometry},
                     {"kerncast::moe::permute_kernel", copy_geometry}};
  op.arguments_type = "kerncast::moe::PermuteKernelArgs";
  const auto copyable = {DType::bf16,  DType::f16, DType::f32, DType::fp8_e4m3, DType::fp8_e5m2,
                         DType::ue8m0, DType::i8,  DType::u8,  DType::i32};
  op.params = {
      host::dtype_param("x_dtype", copyable, DType::bf16, "element type of x and y"),
      host::integer_param("hidden", 1, max_hidden, std::nullopt, "elements of a row"),
      host::integer_param("top_k", 1, moe::grouping::max_top_k, std::nullopt, "slots K of a token"),
      host::integer_param("experts", 1, moe::grouping::max_experts, std::nullopt, "experts E"),
      host::flag_param("has_scales", false, "gather scales as well"),
      host::dtype_param("scale_dtype", copyable, DType::f32, "element type of scales; f32 where none"),
      host::choice_param("placing", {"direct", "whole", "split"},
                         "who finds the places: every block (up to 128 slots), one block before the others "
                         "(up to 4096), or several that count first; derived, a later one may be asked for"),
      host::listed_param("alignment", {1, 2, 4, 8, 16}, 16,
                         "bytes of x per access; derived from the tensors' pointers, strides and width"),
  };
  op.tunables = moe::row_tiles::tunables();
  op.tunables.push_back({"grouping_threads", "threads of a block that places", {128, 256, 512, 1024}});
  op.tensors = {
      {"x", Direction::in, false, "[..., hidden], x_dtype; rows may be strided"},
      {"ids", Direction::in, false, "[..., top_k], i32; rows may be strided"},
      {"scales", Direction::in, true, "[..., G], scale_dtype, any strides"},
      {"y", Direction::out, false, "[P, hidden], x_dtype, P at least tokens * top_k; rows may be strided"},
      {"offsets", Direction::out, false, "[experts + 1], i32"},
      {"map", Direction::out, false, "shape of ids, i32; rows may be strided"},
      {"y_scales", Direction::out, true, "[P, G], scale_dtype, any strides"},
      {"workspace", Direction::out, true, "where split: [ceil(slots / 4096) * experts], i32"},
  };
  op.validate = validate;
  op.default_tunables = default_tunables;
  op.geometry = count_geometry;
  op.bind = bind;
  op.plan_outputs = plan_outputs;
  op.plan_inputs = plan_inputs;
  op.model_cases = model_cases;
  return op;
}

}  // namespace

namespace ops {
OpDefinition moe_permute_definition();
OpDefinition moe_permute_definition() {
  return make_definition();
}
}  // namespace ops

namespace moe {

std::int64_t permute_workspace(std::int64_t slots, int experts) noexcept {
  return slots > grouping::block_slots ? grouping::workspace_size(slots, experts) : 0;
}

const OpDefinition& permute_op() {
  static const OpDefinition& op = OpRegistry::instance().require(op_name);
  return op;
}

Call permute_call(const Permute& arguments) {
  return make_call(arguments, permute_params::direct);
}

void permute(Runtime& runtime, const Permute& arguments, Stream stream) {
  runtime.dispatch(permute_op(), permute_call(arguments), stream);
}

PreparedLaunch prepare_permute(Runtime& runtime, const Permute& arguments) {
  return runtime.prepare(permute_op(), permute_call(arguments));
}

}  // namespace moe
}  // namespace kerncast
