#include "templates/activation/shared/gated.hpp"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "templates/activation/shared/gated_args.h"
#include "templates/activation/shared/gated_spec_index.hpp"
#include "templates/host/group_grid.hpp"
#include "templates/host/launch_cost.hpp"
#include "templates/host/masked_rows.hpp"
#include "templates/host/overlap.hpp"

namespace kerncast::activation {

using namespace gated_params;

namespace {

constexpr std::int64_t max_hidden = 65536;
/// The most elements that the grid can cover, far more than the memory of any device holds.
constexpr std::int64_t max_elements = std::int64_t{1} << 44;

std::int32_t x_bytes(const Specialisation& spec) {
  return static_cast<std::int32_t>(size_of(host::dtype_from_param(spec[x_dtype])));
}

bool interleaved(const GatedVariant& variant) {
  return variant.order == GateOrder::interleaved;
}

/// Elements of x that lie side by side and are read in vectors: a whole row if gates and ups are interleaved,
/// else half a row.
std::int64_t vectored_elements(const GatedVariant& variant, std::int64_t hidden_size) {
  return interleaved(variant) ? 2 * hidden_size : hidden_size;
}

/// Elements of y that a thread computes from one vector of each half of x, or from one interleaved vector.
std::int32_t count_of(const GatedVariant& variant, const Specialisation& spec) {
  const std::int32_t width = spec[alignment] / x_bytes(spec);
  return interleaved(variant) ? std::max(width / 2, 1) : width;
}

/// The most bytes of x per access with which the stores to y stay aligned.
std::int32_t y_limit(const GatedVariant& variant, const TensorView& y, const host::ExpertRows& rows,
                     std::int64_t bytes_of_x) {
  const std::int32_t aligned = host::alignment_of(host::misalignment(y, rows));
  const std::int64_t bytes = size_of(y.dtype);
  if (aligned < bytes) [[unlikely]] {
    host::refuse_misaligned(variant.op, "y", y);
  }
  return aligned == 16
             ? 16
             : static_cast<std::int32_t>(aligned * bytes_of_x / bytes * (interleaved(variant) ? 2 : 1));
}

}  // namespace

void require_limit(std::string_view op, float given, bool may_lack) {
  if (!(given >= 0.0F && given <= std::numeric_limits<float>::max()) || (given == 0.0F && !may_lack))
      [[unlikely]] {
    host::refuse(op, fmt::format("limit is {}, but must be finite and positive{}", given,
                                 may_lack ? ", or 0 for none" : ""));
  }
}

ParamSpec limit_param() {
  return host::flag_param(false, "limit gates and ups");
}

void gated_validate(const GatedVariant& variant, const Specialisation& spec) {
  host::validate_alignment(variant.op, spec[alignment], vectored_elements(variant, spec[hidden]),
                           host::dtype_from_param(spec[x_dtype]));
}

Tunables gated_tunables(const GatedVariant& variant, const Specialisation& spec, const DeviceTraits& device,
                        std::int64_t rows) {
  const std::int64_t most = host::bucket_ceiling(rows);
  constexpr Tunables least{{128, 1}};
  const host::LaunchWork work{.vectors = most * spec[hidden] / count_of(variant, spec),
                              .bytes = most * spec[hidden] * 3 * x_bytes(spec),
                              .once = 25,
                              .each = 15 * count_of(variant, spec)};
  const std::int64_t share = work.vectors / device.sm_count;
  // With a mask, most warps exit at once and their launch dominates, so use half as many warps, or a quarter
  // for very many rows or values.
  const bool very_many = most > 8192 || (interleaved(variant) && share > 8192);
  const bool has_mask = spec[experts] > 0;
  const Tunables more = has_mask ? Tunables{{128, very_many ? 4 : 2}} : Tunables{{256, 2}};
  // With few vectors per multiprocessor, one vector per thread keeps more of the device busy. A mask leaves
  // only a part of them.
  const bool few = share <= (has_mask ? 4096 : 2048);
  return host::quicker_tiles(
      few ? least : more, few ? more : least,
      [&](const Tunables& tunables) { return gated_geometry(variant, spec, tunables, most); }, work, device);
}

LaunchGeometry gated_geometry(const GatedVariant& variant, const Specialisation& spec,
                              const Tunables& tunables, std::int64_t rows) noexcept {
  const std::int64_t each = spec[experts] > 0 ? rows / spec[experts] : rows;
  return host::per_expert(
      host::group_grid(each, spec[hidden] / count_of(variant, spec), tunables[threads], 1, tunables[vectors]),
      spec[experts]);
}

std::vector<TensorPlan> gated_inputs(const OpDefinition& op, const Bindings& bindings, std::int64_t rows) {
  const std::int64_t width = host::required_param(op, bindings, "hidden");
  const std::int32_t masked = host::setting(op, bindings, "experts").value_or(0);
  TensorPlan x;
  x.name = "x";
  x.dtype = host::dtype_setting(op, bindings, "x_dtype", DType::bf16);
  if (masked == 0) {
    x.shape = {rows, 2 * width};
    return {x};
  }
  x.shape = {masked, rows, 2 * width};
  TensorPlan mask;
  mask.name = "masked_m";
  mask.dtype = DType::i32;
  mask.shape = {masked};
  return {x, mask};
}

std::vector<TensorPlan> gated_outputs(const OpDefinition& op, const Bindings& bindings) {
  const TensorView& x = bindings.require_tensor(op.name, "x");
  if (x.rank < 1) {
    host::refuse_rank(op.name, "x", x);
  }
  TensorPlan y;
  y.name = "y";
  y.dtype = host::dtype_setting(op, bindings, "y_dtype", x.dtype);
  y.shape.assign(x.shape.begin(), x.shape.begin() + x.rank);
  y.shape.back() /= 2;
  return {y};
}

std::vector<ModelCase> gated_cases(const GatedVariant& variant, const ModelConfig& model) {
  std::vector<ModelCase> cases;
  if (!host::is_float(model.dtype)) {
    return cases;
  }
  const auto add = [&](std::string label, std::int64_t width, std::int64_t masked, double limited) {
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
    if (limited > 0) {
      made.scalars.emplace_back("limit", limited);
    }
    if (limited > 0 && variant.limits_on_demand) {
      made.params.emplace_back("limit", "true");
    }
    cases.push_back(std::move(made));
  };
  for (const ModelMlp& mlp : model.mlps) {
    if (mlp.activation != variant.model_act) {
      continue;
    }
    add(mlp.place, mlp.width, 0, mlp.limit);
    if (const std::int64_t ranks = host::masked_ranks(model);
        mlp.split == Split::expert && model.experts >= ranks) {
      add(fmt::format("{} of one of {} ranks, masked", mlp.place, ranks), mlp.width, model.experts / ranks,
          mlp.limit);
    }
  }
  return cases;
}

void add_gated_params(OpDefinition& op, const GatedVariant& variant) {
  op.arguments_type = "kerncast::activation::GatedKernelArgs";
  const auto floats = {DType::bf16, DType::f16, DType::f32};
  op.params = host::params(
      host::param<x_dtype>(host::dtype_param(floats, DType::bf16, "element type of x")),
      host::param<y_dtype>(host::dtype_param(floats, DType::bf16, "element type of y")),
      host::param<hidden>(
          host::integer_param(1, max_hidden, std::nullopt, "elements of a row of y: half of one of x")),
      host::param<alignment>(host::listed_param(
          {2, 4, 8, 16}, 16, "bytes of x per access; derived from the tensors' pointers, strides and width")),
      host::param<experts>(host::masked_experts_param()));
  if (variant.limits_on_demand) {
    host::append(op.params, host::param<limit>(limit_param()));
  }
  op.tunables = host::tunables(host::tunable_range<threads>("threads of a block", 32, 1024, 32),
                               host::tunable<vectors>("vectors that a thread has in flight", {1, 2, 4}));
}

Call gated_call(const GatedVariant& variant, const GatedTensors& tensors) {
  const TensorView& x = tensors.x;
  const TensorView& y = tensors.y;
  const bool masked = !tensors.masked_m.absent();
  host::require_float(variant.op, "x", x);
  host::require_float(variant.op, "y", y);
  const host::ExpertRows x_rows = host::expert_rows(variant.op, "x", x, masked);
  const host::ExpertRows y_rows = host::output_expert_rows(variant.op, "y", y, masked);
  const std::int64_t width = x.dim(-1) / 2;
  if (x.dim(-1) % 2 != 0 || width < 1 || width > max_hidden) [[unlikely]] {
    host::refuse(variant.op, fmt::format("the last dimension of x is {}, but must be even and from 2 to {}; "
                                         "nearest valid: {}",
                                         x.dim(-1), 2 * max_hidden,
                                         std::clamp<std::int64_t>(x.dim(-1) / 2 * 2, 2, 2 * max_hidden)));
  }
  host::require_rows_like(variant.op, "y", y, "x", x, width);
  const std::int64_t rows = x_rows.count();
  if (rows > max_elements / width) [[unlikely]] {
    host::refuse_range(variant.op, "the row count of x", rows, 0, max_elements / width);
  }
  host::require_data(variant.op, "x", x, rows);
  host::require_data(variant.op, "y", y, rows);
  host::require_device(variant.op, "y", y, "x", x.device);
  if (masked) {
    host::require_mask(variant.op, tensors.masked_m, x_rows, "x", x.device);
  }
  host::require_apart(variant.op, {{"y", y}}, {{"x", x}, {"masked_m", tensors.masked_m}});
  if (!std::isfinite(tensors.alpha)) [[unlikely]] {
    host::refuse(variant.op, fmt::format("alpha is {}, but must be finite", tensors.alpha));
  }

  const std::int64_t bytes = size_of(x.dtype);
  const std::int32_t aligned = host::alignment_of(
      host::misalignment(x, x_rows) | static_cast<std::uint64_t>(vectored_elements(variant, width) * bytes));
  if (aligned < bytes) [[unlikely]] {
    host::refuse_misaligned(variant.op, "x", x);
  }

  Call call;
  call.spec.values[x_dtype] = host::to_param(x.dtype);
  call.spec.values[y_dtype] = host::to_param(y.dtype);
  call.spec.values[hidden] = static_cast<std::int32_t>(width);
  call.spec.values[alignment] = std::min(aligned, y_limit(variant, y, y_rows, bytes));
  call.spec.values[experts] = static_cast<std::int32_t>(x_rows.experts);
  call.spec.values[limit] = variant.limits_on_demand && tensors.limit > 0.0F ? 1 : 0;
  call.rows = rows;
  call.device = x.device;
  call.set_arguments(GatedKernelArgs{
      .x = x.data,
      .y = y.data,
      .masked_m = static_cast<const int*>(tensors.masked_m.data),
      .rows = x_rows.rows.count,
      .x_stride = x_rows.rows.stride,
      .y_stride = y_rows.rows.stride,
      .x_expert_stride = x_rows.expert_stride,
      .y_expert_stride = y_rows.expert_stride,
      .limit = tensors.limit,
      .alpha = tensors.alpha,
  });
  return call;
}

}  // namespace kerncast::activation
