#include "templates/quant/shared/group_scaled.hpp"
#include "templates/host/overlap.hpp"

#include <fmt/format.h>

#include <limits>
#include <string>
#include <utility>

#include "templates/host/group_grid.hpp"
#include "templates/host/launch_cost.hpp"
#include "templates/host/masked_rows.hpp"
#include "templates/host/tensor_check.hpp"
#include "templates/quant/shared/group_scaled_args.h"
#include "templates/quant/shared/group_scaled_spec_index.hpp"
#include "templates/quant/shared/operand_checks.hpp"

namespace kerncast::quant {

using namespace group_scaled_params;

namespace {

std::string_view width_name(const GroupScaledVariant& variant) {
  return variant.gated ? "half the last dimension of x (hidden)" : "the last dimension of x (hidden)";
}

std::int32_t vector_width(const Specialisation& spec) {
  return static_cast<std::int32_t>(spec[alignment] / size_of(host::dtype_from_param(spec[x_dtype])));
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
  // In the order of Tunable: threads, vectors.
  constexpr Tunables least{{128, 1}};
  const Tunables more{{256, std::clamp(16 / vector_width(spec), 1, 2)}};
  // A few thousand elements do not fill a multiprocessor unless every thread takes as little as possible.
  const bool few = elements <= std::int64_t{device.sm_count} * 16384;
  // Before sm_89 a conversion to fp8 takes a dozen instructions.
  const std::int32_t each = host::dtype_from_param(spec[q_dtype]) != DType::i8 && device.sm < 89 ? 240 : 115;
  const host::LaunchWork work{.vectors = elements / vector_width(spec),
                              .bytes = elements * (1 + size_of(host::dtype_from_param(spec[x_dtype]))),
                              .once = 20,
                              .each = each * vector_width(spec) / 8};
  return host::quicker_tiles(
      few ? least : more, few ? more : least,
      [&](const Tunables& tunables) { return geometry(spec, tunables, device, most); }, work, device);
}

/// Width of q if x has rows of `x_width`.
std::int64_t q_width(const GroupScaledVariant& variant, std::int64_t x_width) {
  if (variant.gated && x_width % 2 != 0) [[unlikely]] {
    host::refuse(variant.op,
                 fmt::format("the last dimension of x is {}, but must be even: gates, then ups", x_width));
  }
  return variant.gated ? x_width / 2 : x_width;
}

/// Strides of the scales, in elements.
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
  host::require_groups(variant.op, width_name(variant), spec[hidden], spec[group], max_hidden);
  host::validate_alignment(variant.op, spec[alignment], spec[hidden], host::dtype_from_param(spec[x_dtype]));
  host::require_format(variant.op, {spec[group], static_cast<ScaleLayout>(spec[scale_layout]),
                                    static_cast<ScaleFormat>(spec[scale_format])});
}

std::vector<TensorPlan> group_scaled_inputs(const GroupScaledVariant& variant, const Bindings& bindings,
                                            std::int64_t rows) {
  const OpDefinition& op = OpRegistry::instance().require(variant.op);
  const std::int64_t width = host::required_param(op, bindings, "hidden");
  const DType type = host::dtype_setting(op, bindings, "x_dtype", DType::bf16);
  const std::int64_t columns = width * (variant.gated ? 2 : 1);
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
  const DType type = host::dtype_setting(op, bindings, "q_dtype", DType::fp8_e4m3);
  TensorPlan q{"q", type, {x.shape.begin(), x.shape.begin() + x.rank}, {}, {}};
  q.shape.back() = width;
  TensorPlan s = host::plan_group_scales(
      quant, masked ? std::vector<std::int64_t>{q.shape.begin() + 1, q.shape.end()} : q.shape);
  if (masked) {
    // One such block of scales for each expert.
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
                    std::int64_t width, const char* layout, const char* format, std::int64_t masked,
                    double limited) {
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
  if (limited > 0) {
    made.params.emplace_back("limit", "true");
    made.scalars.emplace_back("limit", limited);
  }
  for (const ModelCase& other : cases) {
    if (other.params == made.params) {
      return;
    }
  }
  cases.push_back(std::move(made));
}

void complete_group_scaled(OpDefinition& op, const GroupScaledVariant& variant) {
  op.arguments_type = "kerncast::quant::GroupScaledKernelArgs";
  op.params = host::params(
      host::param<x_dtype>(
          host::dtype_param({DType::bf16, DType::f16, DType::f32}, DType::bf16, "element type of x")),
      host::param<q_dtype>(host::quantised_dtype_param()),
      host::param<hidden>(
          host::integer_param(16, max_hidden, std::nullopt, "elements of a row of q; a multiple of group")),
      host::param<group>(host::group_param()), host::param<scale_layout>(host::scale_layout_param()),
      host::param<scale_format>(host::scale_format_param()),
      host::param<alignment>(host::listed_param(
          {2, 4, 8, 16}, 16, "bytes of x per access; derived from the tensors' pointers and strides")));
  op.params[hidden].multiple_of = 16;
  if (variant.gated) {
    host::append(op.params, host::param<experts>(host::masked_experts_param()),
                 host::param<limit>(host::flag_param(false, "limit gates and ups")));
  }
  op.tunables =
      host::tunables(host::tunable_range<threads>("threads of a block", 32, 1024, 32),
                     host::tunable<vectors>("groups whose vectors a thread has in flight", {1, 2, 4}));
  op.default_tunables = default_tunables;
  op.geometry = geometry;
}

Call group_scaled_call(const GroupScaledVariant& variant, const GroupScaled& arguments) {
  const TensorView& x = arguments.x;
  const TensorView& q = arguments.q;
  const bool masked = !arguments.masked_m.absent();
  const host::TensorCheck x_check(variant.op, "x", x);
  const host::TensorCheck q_check(variant.op, "q", q);
  x_check.is_float();
  host::require_quantised(variant.op, "q", q);
  const host::ExpertRows x_rows = host::expert_rows(variant.op, "x", x, masked);
  const host::ExpertRows q_rows = host::output_expert_rows(variant.op, "q", q, masked);
  const std::int64_t width = q_width(variant, x.dim(-1));
  host::require_groups(variant.op, width_name(variant), width, arguments.quant.group, max_hidden);
  q_check.has_rows_like("x", x, width);
  const std::int64_t rows = x_rows.count();
  require_row_count(variant.op, "x", rows, width);
  x_check.has_data(rows);
  q_check.has_data(rows).is_on_device_of("x", x);
  host::require_device(variant.op, "s", arguments.s, "x", x.device);
  host::require_format(variant.op, arguments.quant);
  if (masked) {
    host::require_mask(variant.op, arguments.masked_m, x_rows, "x", x.device);
  }
  if (!(arguments.limit >= 0.0F && arguments.limit <= std::numeric_limits<float>::max())) [[unlikely]] {
    host::refuse(variant.op,
                 fmt::format("limit is {}, but must be finite and positive, or 0 for none", arguments.limit));
  }
  const ScaleStrides s = scale_strides(variant, arguments, x_rows, width);
  host::require_apart(variant.op, {{"q", q}, {"s", arguments.s}},
                      {{"x", x}, {"masked_m", arguments.masked_m}});

  const auto x_bytes = static_cast<std::int32_t>(size_of(x.dtype));
  const std::int32_t aligned = host::alignment_of(host::misalignment(x, x_rows));
  if (aligned < x_bytes) [[unlikely]] {
    host::refuse_misaligned(variant.op, "x", x);
  }

  Call call;
  call.spec.values[x_dtype] = host::to_param(x.dtype);
  call.spec.values[q_dtype] = host::to_param(q.dtype);
  call.spec.values[hidden] = static_cast<std::int32_t>(width);
  call.spec.values[group] = arguments.quant.group;
  call.spec.values[scale_layout] = static_cast<std::int32_t>(arguments.quant.layout);
  call.spec.values[scale_format] = static_cast<std::int32_t>(arguments.quant.format);
  call.spec.values[alignment] =
      std::min(aligned, host::alignment_of(host::misalignment(q, q_rows)) * x_bytes);
  call.spec.values[experts] = static_cast<std::int32_t>(x_rows.experts);
  call.spec.values[limit] = arguments.limit > 0.0F ? 1 : 0;
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
                            .s_expert_stride = s.expert_stride,
                            .limit = arguments.limit});
  return call;
}

}  // namespace kerncast::quant
