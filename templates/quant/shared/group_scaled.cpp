#include "templates/quant/shared/group_scaled.hpp"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "templates/host/group_grid.hpp"
#include "templates/host/launch_cost.hpp"
#include "templates/host/masked_rows.hpp"
#include "templates/quant/shared/group_scaled_args.h"
#include "templates/quant/shared/group_scaled_spec_index.hpp"

namespace kerncast::quant {

using namespace group_scaled_params;

namespace {

constexpr std::int64_t max_hidden = 65536;
/// What the grid can hold, far past any device's memory.
constexpr std::int64_t max_elements = std::int64_t{1} << 44;

std::string_view width_name(const GroupScaledVariant& variant) {
  return variant.gated ? "half the last dimension of x (hidden)" : "the last dimension of x (hidden)";
}

std::int32_t vector_width(const Specialisation& spec) {
  return static_cast<std::int32_t>(spec[alignment] / size_of(host::dtype(spec[x_dtype])));
}

LaunchGeometry geometry(const Specialisation& spec, const Tunables& tunables, const DeviceTraits&,
                        std::int64_t rows) noexcept {
  const std::int64_t each = spec[experts] > 0
                                ? rows / spec[experts]
                                : host::scale_rows(static_cast<ScaleFormat>(spec[scale_format]), rows);
  return host::per_expert(
      host::group_grid(each, spec[hidden] / spec[group], tunables[threads],
                       host::group_lanes(vector_width(spec), spec[group]), tunables[vectors]),
      spec[experts]);
}

Tunables default_tunables(const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
  const std::int64_t most = host::bucket_ceiling(rows);
  const std::int64_t elements = most * spec[hidden];
  constexpr Tunables least{{128, 1}};
  const Tunables more{{256, std::clamp(16 / vector_width(spec), 1, 2)}};
  // A few thousand elements per multiprocessor leave it idle unless every thread takes as little as it can.
  const bool few = elements <= std::int64_t{device.sm_count} * 16384;
  // Before sm_89 fp8 is converted by a dozen instructions.
  const std::int32_t each = host::dtype(spec[q_dtype]) != DType::i8 && device.sm < 89 ? 240 : 115;
  const host::LaunchWork work{.vectors = elements / vector_width(spec),
                              .bytes = elements * (1 + size_of(host::dtype(spec[x_dtype]))),
                              .once = 20,
                              .each = each * vector_width(spec) / 8};
  return host::quicker_tiles(
      few ? least : more, few ? more : least,
      [&](const Tunables& tunables) { return geometry(spec, tunables, device, most); }, work, device);
}

/// Width of q where x has rows of `x_width`.
std::int64_t q_width(const GroupScaledVariant& variant, std::int64_t x_width) {
  if (variant.gated && x_width % 2 != 0) [[unlikely]] {
    host::refuse(variant.op,
                 fmt::format("the last dimension of x is {}, but must be even: gates, then ups", x_width));
  }
  return variant.gated ? x_width / 2 : x_width;
}

/// Where scales lie, in elements.
struct ScaleStrides {
  std::int64_t stride;
  std::int64_t expert_stride;
};

ScaleStrides scale_strides(const GroupScaledVariant& variant, const GroupScaled& arguments,
                           const host::ExpertRows& rows, std::int64_t width) {
  const TensorView& s = arguments.s;
  if (rows.experts == 0) {
    return {host::group_scale_stride(variant.op, arguments.quant, s, rows.rows.count, width), 0};
  }
  if (s.rank != 3 || s.dim(0) != rows.experts) [[unlikely]] {
    host::refuse_shape(variant.op, "s", s, fmt::format("[{}, rows, scales], as x has experts", rows.experts));
  }
  TensorView one = s;
  one.rank = 2;
  std::copy(s.shape.begin() + 1, s.shape.begin() + 3, one.shape.begin());
  std::copy(s.strides.begin() + 1, s.strides.begin() + 3, one.strides.begin());
  const std::int64_t stride =
      host::group_scale_stride(variant.op, arguments.quant, one, rows.rows.count, width);
  const std::int64_t reach = (one.dim(0) - 1) * one.stride(0) + (one.dim(1) - 1) * one.stride(1) + 1;
  const bool aligned =
      arguments.quant.layout != ScaleLayout::column_major_tma_aligned || s.stride(0) % 4 == 0;
  if (rows.experts > 1 && rows.rows.count > 0 && (s.stride(0) < reach || !aligned)) [[unlikely]] {
    host::refuse_shape(variant.op, "s", s,
                       fmt::format("a stride of at least {} from expert to expert{}", reach,
                                   aligned ? "" : ", a multiple of 4 for column_major_tma_aligned"));
  }
  return {stride, s.stride(0)};
}

}  // namespace

void group_scaled_validate(const GroupScaledVariant& variant, const Specialisation& spec) {
  const std::int64_t x_bytes = size_of(host::dtype(spec[x_dtype]));
  host::require_groups(variant.op, width_name(variant), spec[hidden], spec[group], max_hidden);
  if (spec[alignment] < x_bytes) {
    host::refuse(variant.op, fmt::format("alignment = {} must be at least an element of x ({} bytes)",
                                         spec[alignment], x_bytes));
  }
  host::require_format(variant.op, {spec[group], static_cast<ScaleLayout>(spec[scale_layout]),
                                    static_cast<ScaleFormat>(spec[scale_format])});
}

Call group_scaled_bind(const GroupScaledVariant& variant, const Bindings& bindings) {
  const OpDefinition& op = OpRegistry::instance().require(variant.op);
  GroupScaled arguments;
  arguments.x = bindings.require_tensor(variant.op, "x");
  arguments.q = bindings.require_tensor(variant.op, "q");
  arguments.s = bindings.require_tensor(variant.op, "s");
  if (variant.gated) {
    arguments.masked_m = bindings.tensor_or_absent("masked_m");
  }
  arguments.quant = host::group_quant_settings(op, bindings);
  Call call = group_scaled_call(variant, arguments);
  // A kernel for narrower access serves better aligned tensors too.
  if (const auto wanted = host::setting(op, bindings, "alignment");
      wanted && *wanted < call.spec[alignment]) {
    call.spec.values[alignment] = *wanted;
    group_scaled_validate(variant, call.spec);
  }
  check_settings_agree(op, call.spec, bindings);
  return call;
}

std::vector<TensorPlan> group_scaled_inputs(const GroupScaledVariant& variant, const Bindings& bindings,
                                            std::int64_t rows) {
  const OpDefinition& op = OpRegistry::instance().require(variant.op);
  const std::optional<std::int32_t> width = host::setting(op, bindings, "hidden");
  if (!width) {
    host::refuse(variant.op, "parameter hidden is required to make inputs; give it as hidden=VALUE");
  }
  const DType type = host::dtype(host::setting(op, bindings, "x_dtype").value_or(host::number(DType::bf16)));
  const std::int64_t columns = std::int64_t{*width} * (variant.gated ? 2 : 1);
  const std::int32_t masked = host::setting(op, bindings, "experts").value_or(0);
  std::vector<TensorPlan> plans;
  if (masked > 0) {
    plans.push_back({"x", type, {masked, rows, columns}, {}, {}});
    plans.push_back({"masked_m", DType::i32, {masked}, {}, {}});
  } else {
    plans.push_back({"x", type, {rows, columns}, {}, {}});
  }
  return plans;
}

std::vector<TensorPlan> group_scaled_outputs(const GroupScaledVariant& variant, const Bindings& bindings) {
  const OpDefinition& op = OpRegistry::instance().require(variant.op);
  const TensorView& x = bindings.require_tensor(variant.op, "x");
  const bool masked = variant.gated && !bindings.tensor_or_absent("masked_m").absent();
  static_cast<void>(host::expert_rows(variant.op, "x", x, masked));
  const host::GroupQuant quant = host::group_quant_settings(op, bindings);
  const std::int64_t width = q_width(variant, x.dim(-1));
  host::require_groups(variant.op, width_name(variant), width, quant.group, max_hidden);
  const DType type =
      host::dtype(host::setting(op, bindings, "q_dtype").value_or(host::number(DType::fp8_e4m3)));
  TensorPlan q{"q", type, {x.shape.begin(), x.shape.begin() + x.rank}, {}, {}};
  q.shape.back() = width;
  TensorPlan s = host::plan_group_scales(
      quant, masked ? std::vector<std::int64_t>{q.shape.begin() + 1, q.shape.end()} : q.shape);
  if (masked) {
    // As many times as there are experts.
    const std::vector<std::int64_t> storage = s.storage_shape.empty() ? s.shape : s.storage_shape;
    s.shape.insert(s.shape.begin(), x.dim(0));
    if (!s.strides.empty()) {
      s.strides.insert(s.strides.begin(), storage[0] * storage[1]);
      s.storage_shape.insert(s.storage_shape.begin(), x.dim(0));
    }
  }
  return {std::move(q), std::move(s)};
}

void add_group_case(std::vector<ModelCase>& cases, const ModelConfig& model, const char* label,
                    std::int64_t width, const char* layout, const char* format, std::int64_t masked) {
  const std::int64_t size = host::largest_group(width);
  if (width < 16 || width > max_hidden || size < 16 || masked > host::max_masked_experts) {
    return;
  }
  ModelCase made;
  made.label = label;
  made.params = {{"x_dtype", std::string(name_of(model.dtype))},
                 {"q_dtype", "fp8_e4m3"},
                 {"hidden", std::to_string(width)},
                 {"group", std::to_string(size)},
                 {"scale_layout", layout},
                 {"scale_format", format}};
  if (masked > 0) {
    made.params.emplace_back("experts", std::to_string(masked));
  }
  for (const ModelCase& other : cases) {
    if (other.params == made.params) {
      return;
    }
  }
  cases.push_back(std::move(made));
}

OpDefinition group_scaled_definition_base(const GroupScaledVariant& variant) {
  OpDefinition op;
  op.name = variant.op;
  op.summary = variant.summary;
  op.formula = variant.formula;
  op.include = fmt::format("quant/{}/kernel.cuh", variant.name);
  op.kernel = fmt::format("kerncast::quant::{}_kernel", variant.name);
  op.arguments_type = "kerncast::quant::GroupScaledKernelArgs";
  op.params = {
      host::dtype_param("x_dtype", {DType::bf16, DType::f16, DType::f32}, DType::bf16, "element type of x"),
      host::quantised_dtype_param(),
      host::integer_param("hidden", 16, max_hidden, std::nullopt,
                          "elements of a row of q; a multiple of group"),
      host::group_param(),
      host::scale_layout_param(),
      host::scale_format_param(),
      host::listed_param("alignment", {2, 4, 8, 16}, 16,
                         "bytes of x per access; derived from the tensors' pointers and strides"),
  };
  op.params[hidden].multiple_of = 16;
  if (variant.gated) {
    op.params.push_back(host::masked_experts_param());
  }
  op.tunables = {
      {"threads", "threads of a block", {128, 256, 512}},
      {"vectors", "groups whose vectors a thread has in flight", {1, 2, 4}},
  };
  op.tensors = {{"x", Direction::in, false,
                 variant.gated ? "[..., 2 * hidden], x_dtype; rows may be strided"
                               : "[..., hidden], x_dtype; rows may be strided"}};
  if (variant.gated) {
    op.tensors.push_back({"masked_m", Direction::in, true, host::mask_doc});
  }
  op.tensors.push_back({"q", Direction::out, false, "[..., hidden], q_dtype; rows may be strided"});
  op.tensors.push_back({"s", Direction::out, false, host::group_scales_doc});
  op.default_tunables = default_tunables;
  op.geometry = geometry;
  return op;
}

Call group_scaled_call(const GroupScaledVariant& variant, const GroupScaled& arguments) {
  const TensorView& x = arguments.x;
  const TensorView& q = arguments.q;
  const bool masked = !arguments.masked_m.absent();
  host::require_float(variant.op, "x", x);
  host::require_quantised(variant.op, "q", q);
  const host::ExpertRows x_rows = host::expert_rows(variant.op, "x", x, masked);
  const host::ExpertRows q_rows = host::output_expert_rows(variant.op, "q", q, masked);
  const std::int64_t width = q_width(variant, x.dim(-1));
  host::require_groups(variant.op, width_name(variant), width, arguments.quant.group, max_hidden);
  host::require_rows_like(variant.op, "q", q, "x", x, width);
  const std::int64_t rows = x_rows.count();
  if (rows > max_elements / width) [[unlikely]] {
    host::refuse_range(variant.op, "the row count of x", rows, 0, max_elements / width);
  }
  host::require_data(variant.op, "x", x, rows);
  host::require_data(variant.op, "q", q, rows);
  host::require_device(variant.op, "q", q, "x", x.device);
  host::require_device(variant.op, "s", arguments.s, "x", x.device);
  host::require_format(variant.op, arguments.quant);
  if (masked) {
    host::require_mask(variant.op, arguments.masked_m, x_rows, "x", x.device);
  }
  const ScaleStrides s = scale_strides(variant, arguments, x_rows, width);

  const auto x_bytes = static_cast<std::int32_t>(size_of(x.dtype));
  const std::int32_t aligned = host::alignment_of(host::misalignment(x, x_rows));
  if (aligned < x_bytes) [[unlikely]] {
    host::refuse_misaligned(variant.op, "x", x);
  }

  Call call;
  call.spec.values[x_dtype] = host::number(x.dtype);
  call.spec.values[q_dtype] = host::number(q.dtype);
  call.spec.values[hidden] = static_cast<std::int32_t>(width);
  call.spec.values[group] = arguments.quant.group;
  call.spec.values[scale_layout] = static_cast<std::int32_t>(arguments.quant.layout);
  call.spec.values[scale_format] = static_cast<std::int32_t>(arguments.quant.format);
  call.spec.values[alignment] =
      std::min(aligned, host::alignment_of(host::misalignment(q, q_rows)) * x_bytes);
  call.spec.values[experts] = static_cast<std::int32_t>(x_rows.experts);
  call.rows = rows;
  call.device = x.device;
  call.set_arguments(
      GroupScaledKernelArgs{.x = x.data,
                            .q = q.data,
                            .s = arguments.s.data,
                            .masked_m = static_cast<const int*>(arguments.masked_m.data),
                            .rows = x_rows.rows.count,
                            .padded_rows = host::scale_rows(arguments.quant.format, x_rows.rows.count),
                            .x_stride = x_rows.rows.stride,
                            .q_stride = q_rows.rows.stride,
                            .s_stride = s.stride,
                            .x_expert_stride = x_rows.expert_stride,
                            .q_expert_stride = q_rows.expert_stride,
                            .s_expert_stride = s.expert_stride});
  return call;
}

}  // namespace kerncast::quant
