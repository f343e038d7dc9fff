#include "templates/norm/shared/quantised/rms_norm_quant_definition.hpp"

#include <fmt/format.h>

#include "templates/host/group_quant.hpp"
#include "templates/host/tensor_check.hpp"
#include "templates/norm/rms_norm_quant/kernel_args.h"
#include "templates/norm/rms_norm_quant/spec_index.hpp"
#include "templates/norm/shared/rms_op.hpp"

namespace kerncast::norm {

using namespace rms_norm_quant_params;

namespace {

Scaling scaling_of(const Specialisation& spec) {
  return static_cast<Scaling>(spec[scaling]);
}

host::GroupQuant group_quant(const Quantised& out) {
  return {.group = out.group, .layout = out.layout, .format = out.format};
}

/// Elements of a block that shares a scale byte; 0 if none do.
std::int64_t block_of(Scaling how) {
  return how == Scaling::nvfp4 ? 16 : how == Scaling::mxfp8 || how == Scaling::mxfp4 ? 32 : 0;
}

bool is_fp4(Scaling how) {
  return how == Scaling::mxfp4 || how == Scaling::nvfp4;
}

DType byte_scale_type(Scaling how) {
  return how == Scaling::nvfp4 ? DType::fp8_e4m3 : DType::ue8m0;
}

constexpr const char* scaling_names[] = {"per_token", "per_tensor", "per_group", "mxfp8", "mxfp4", "nvfp4"};

/// Rows whose scales are written.
std::int64_t written_rows(Scaling how, quant::ScaleFormat format, quant::SfLayout layout, std::int64_t rows) {
  return how == Scaling::per_group                                  ? host::scale_rows(format, rows)
         : block_of(how) > 0 && layout == quant::SfLayout::swizzled ? host::round_up(rows, 128)
                                                                    : rows;
}

void require_blocks(std::string_view op, std::string_view what, std::int64_t width, Scaling how) {
  const std::int64_t block = block_of(how);
  if (width % block != 0) [[unlikely]] {
    host::refuse(op, fmt::format("{} is {}, but must be a multiple of {}, the block of scaling = {}; nearest "
                                 "valid: {}",
                                 what, width, block, scaling_names[static_cast<std::size_t>(how)],
                                 std::max(width / block, std::int64_t{1}) * block));
  }
}

/// A group lies within a warp, so a row has at least a warp's threads.
Tunables tunables_for(std::int32_t row_threads) {
  const std::int32_t lanes = std::max(row_threads, 32);
  Tunables tunables;
  const auto rows = static_cast<std::int32_t>(host::divide_up(128, lanes));
  tunables.values[row_params::threads] = lanes * rows;
  tunables.values[row_params::rows_per_block] = rows;
  return tunables;
}

/// Before sm_89 a conversion to fp8 takes a dozen instructions. `more` is the instructions for 8 elements of
/// what is added to x.
RowCost cost_of(const DeviceTraits& device, std::int32_t more) {
  return {.once = 150, .each = (device.sm < 89 ? 260 : 140) + more, .doubles = 14};
}

Tunables tunables_alone(const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
  return tunables_for(row_lanes(spec, device, rows, default_row_vectors(spec), cost_of(device, 0)));
}

/// With the residual beside x, one vector of each in flight keeps memory busy; more in a thread take longer
/// to compile than a first request should wait.
Tunables tunables_with_residual(const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
  RowCost cost = cost_of(device, 24);
  cost.widest = widest_of<row_params::x_dtype, row_params::y_dtype, residual_dtype>(spec);
  cost.held_elements = 8;
  return tunables_for(row_lanes(spec, device, rows, 1, cost));
}

std::string tunables_defect(const Tunables& tunables, std::string defect) {
  const std::int32_t lanes = tunables[row_params::threads] / tunables[row_params::rows_per_block];
  if (defect.empty() && lanes < 32) {
    return fmt::format("a row would have {} threads; it needs a warp, since the lanes of a warp share groups",
                       lanes);
  }
  return defect;
}

std::string tunables_defect_alone(const Specialisation& spec, const Tunables& tunables,
                                  const DeviceTraits& device) {
  return tunables_defect(
      tunables, row_tunables_defect<row_params::x_dtype, row_params::y_dtype>(spec, tunables, device));
}

std::string tunables_defect_with_residual(const Specialisation& spec, const Tunables& tunables,
                                          const DeviceTraits& device) {
  return tunables_defect(
      tunables,
      row_tunables_defect<row_params::x_dtype, row_params::y_dtype, residual_dtype>(spec, tunables, device));
}

LaunchGeometry geometry(const Specialisation& spec, const Tunables& tunables, const DeviceTraits& device,
                        std::int64_t rows) noexcept {
  return row_geometry(spec, tunables, device,
                      written_rows(scaling_of(spec), static_cast<quant::ScaleFormat>(spec[scale_format]),
                                   static_cast<quant::SfLayout>(spec[sf_layout]), rows));
}

/// Checks a scale in device memory.
void check_one_scale(std::string_view op, const NormChecks& checks, const char* name,
                     const TensorView& scale) {
  const host::TensorCheck check(op, name, scale);
  const host::Rows rows = check.has_dtype(DType::f32).output_rows();
  if (scale.dim(-1) != 1 || rows.count != 1) [[unlikely]] {
    host::refuse_shape(op, name, scale, "shape [1]");
  }
  check.has_data(checks.count()).is_on_device_of("x", checks.x()).is_aligned(rows);
}

/// Checks the scale bytes of blocks, and returns the stride of their rows.
std::int64_t check_block_scales(std::string_view op, const NormChecks& checks, const Quantised& out) {
  require_blocks(op, "the last dimension of x (hidden)", checks.width(), out.scaling);
  const std::int64_t blocks = checks.width() / block_of(out.scaling);
  const host::TensorCheck check(op, "s", out.s);
  const host::Rows rows = check.has_dtype(byte_scale_type(out.scaling)).output_rows();
  if (out.sf_layout == quant::SfLayout::linear) {
    check.has_rows_like("x", checks.x(), blocks);
  } else {
    const std::int64_t tall = host::round_up(checks.count(), 128);
    const std::int64_t wide = host::round_up(blocks, 4);
    if (out.s.dim(-1) != wide || rows.count != tall || (rows.count > 1 && rows.stride != wide)) [[unlikely]] {
      host::refuse_shape(op, "s", out.s,
                         fmt::format("shape [{}, {}], contiguous, for sf_layout = swizzled", tall, wide));
    }
  }
  check.has_data(checks.count()).is_on_device_of("x", checks.x());
  return rows.stride;
}

/// Checks the tensors of the scales, and returns the stride of s.
std::int64_t check_scales(std::string_view op, const NormChecks& checks, const Quantised& out) {
  const char* how = scaling_names[static_cast<std::size_t>(out.scaling)];
  if (!out.global_scale.absent() && out.scaling != Scaling::nvfp4) [[unlikely]] {
    host::refuse(op, fmt::format("tensor 'global_scale' is for scaling = nvfp4; leave it out with {}", how));
  }
  if (out.scaling == Scaling::nvfp4) {
    check_one_scale(op, checks, "global_scale", out.global_scale);
  }
  const bool is_static = out.scaling == Scaling::per_tensor;
  const TensorView& given = is_static ? out.scale : out.s;
  const TensorView& surplus = is_static ? out.s : out.scale;
  const char* name = is_static ? "scale" : "s";
  if (!surplus.absent()) [[unlikely]] {
    host::refuse(op, fmt::format("tensor '{}' is for another scaling; with scaling = {} give '{}' alone",
                                 is_static ? "s" : "scale", how, name));
  }
  if (block_of(out.scaling) > 0) {
    return check_block_scales(op, checks, out);
  }
  std::int64_t stride = 0;
  if (out.scaling == Scaling::per_group) {
    const host::GroupQuant quant = group_quant(out);
    host::require_groups(op, "the last dimension of x (hidden)", checks.width(), out.group, max_hidden);
    host::require_format(op, quant);
    stride = host::group_scale_stride(op, quant, given, checks.count(), checks.width());
  } else {
    const host::TensorCheck check(op, name, given);
    const host::Rows given_rows = check.output_rows();
    check.has_dtype(DType::f32);
    if (is_static) {
      if (given.dim(-1) != 1 || given_rows.count != 1) [[unlikely]] {
        host::refuse_shape(op, name, given, "shape [1]");
      }
    } else {
      check.has_rows_like("x", checks.x(), 1);
      stride = given_rows.stride;
    }
    check.has_data(checks.count());
    if (reinterpret_cast<std::uintptr_t>(given.data) % 4 != 0) [[unlikely]] {
      host::refuse_misaligned(op, name, given);
    }
  }
  host::require_device(op, name, given, "x", checks.x().device);
  return stride;
}

}  // namespace

void validate_quantised(std::string_view op, const Specialisation& spec, bool adds) {
  validate_rows(op, spec, {row_params::y_dtype});
  if (adds) {
    validate_rows(op, spec, {residual_dtype});
  }
  if (block_of(scaling_of(spec)) > 0) {
    require_blocks(op, "hidden", spec[row_params::hidden], scaling_of(spec));
  }
  if (scaling_of(spec) == Scaling::per_group) {
    host::require_groups(op, "hidden", spec[row_params::hidden], spec[group], max_hidden);
    host::require_format(op, {.group = spec[group],
                              .layout = static_cast<quant::ScaleLayout>(spec[scale_layout]),
                              .format = static_cast<quant::ScaleFormat>(spec[scale_format])});
  }
}

Call quantised_call(std::string_view op, const RmsNormQuant& arguments, const TensorView* residual) {
  const TensorView& x = arguments.x;
  const TensorView& y = arguments.y;
  const TensorView& weight = arguments.weight;
  const Quantised& out = arguments.out;
  NormChecks checks(op, x);
  std::int64_t residual_stride = 0;
  if (residual != nullptr) {
    residual_stride = checks.output("residual", *residual);
  }
  const std::int64_t y_stride = y.absent() ? 0 : checks.output("y", y);
  if (static_cast<std::size_t>(out.scaling) >= std::size(scaling_names)) [[unlikely]] {
    host::refuse(op, fmt::format("scaling is {}, which is no Scaling", static_cast<int>(out.scaling)));
  }
  const bool halves = is_fp4(out.scaling);
  if (!halves) {
    host::require_quantised(op, "q", out.q);
  }
  if (out.scaling == Scaling::mxfp8 && out.q.dtype == DType::i8) [[unlikely]] {
    host::refuse_dtype(op, "q", out.q.dtype, "fp8_e4m3 or fp8_e5m2");
  }
  const std::int64_t q_stride =
      halves ? checks.output_of_halves("q", out.q) : checks.output_of_any_type("q", out.q);
  const std::int64_t s_stride = check_scales(op, checks, out);
  const TensorView none;
  host::require_apart(
      op, {{"residual", residual != nullptr ? *residual : none}, {"y", y, "x"}, {"q", out.q}, {"s", out.s}},
      {{"x", x}, {"weight", weight}, {"scale", out.scale}, {"global_scale", out.global_scale}});
  require_eps(op, arguments.eps);
  checks.vector("weight", weight);
  require_offset(op, weight, arguments.weight_offset);

  Call call = checks.call(y.absent() ? x.dtype : y.dtype);
  const bool grouped = out.scaling == Scaling::per_group;
  const host::GroupQuant quant = grouped ? group_quant(out) : host::GroupQuant{};
  call.spec.values[weight_dtype] = host::to_param(weight.absent() ? x.dtype : weight.dtype);
  call.spec.values[has_weight] = weight.absent() ? 0 : 1;
  call.spec.values[has_y] = y.absent() ? 0 : 1;
  call.spec.values[q_dtype] = host::to_param(halves ? DType::fp8_e4m3 : out.q.dtype);
  call.spec.values[scaling] = static_cast<std::int32_t>(out.scaling);
  call.spec.values[group] = quant.group;
  call.spec.values[scale_layout] = static_cast<std::int32_t>(quant.layout);
  call.spec.values[scale_format] = static_cast<std::int32_t>(quant.format);
  const bool blocks = block_of(out.scaling) > 0;
  call.spec.values[sf_layout] = blocks ? static_cast<std::int32_t>(out.sf_layout) : 0;
  if (residual != nullptr) {
    call.spec.values[residual_dtype] = host::to_param(residual->dtype);
  }
  call.set_arguments(RmsNormQuantKernelArgs{
      .x = x.data,
      .residual = residual != nullptr ? residual->data : nullptr,
      .weight = weight.data,
      .y = y.data,
      .q = out.q.data,
      .s = out.s.data,
      .scale =
          static_cast<const float*>(out.scaling == Scaling::nvfp4 ? out.global_scale.data : out.scale.data),
      .rows = checks.count(),
      .padded_rows = written_rows(out.scaling, quant.format, out.sf_layout, checks.count()),
      .x_stride = checks.stride(),
      .residual_stride = residual_stride,
      .y_stride = y_stride,
      .q_stride = q_stride,
      .s_stride = s_stride,
      .eps = arguments.eps,
      .weight_offset = arguments.weight_offset,
  });
  return call;
}

void describe_quantised_outputs(host::NamedArguments& named, Quantised& out) {
  named.optional_input("scale", out.scale, "[1], f32, positive: the scale of per_tensor");
  named.optional_input("global_scale", out.global_scale, "[1], f32: g of nvfp4");
  named.output(
      "q", out.q,
      "shape of x, q_dtype; mxfp4, nvfp4: [..., hidden / 2], u8, two e2m1 each, the first in the low "
      "nibble; rows may be strided");
  named.optional_output(
      "s", out.s,
      fmt::format(
          "per_token: [..., 1], f32; per_group: {}; mxfp8, mxfp4, nvfp4: [..., hidden / block], ue8m0 "
          "(nvfp4: fp8_e4m3), or swizzled: [T rounded up to 128, hidden / block rounded up to 4]",
          host::group_scales_doc));
  named.setting("scaling", out.scaling);
  named.setting("group", out.group);
  named.setting("scale_layout", out.layout);
  named.setting("scale_format", out.format);
  named.setting("sf_layout", out.sf_layout);
}

std::vector<TensorPlan> plan_quantised_inputs(const OpDefinition& op, const Bindings& bindings,
                                              std::int64_t rows, bool adds) {
  InputPlans plans(op, bindings, rows);
  plans.rows("x");
  if (adds) {
    plans.rows("residual", "residual_dtype");
  }
  plans.vector("weight", "has_weight");
  std::vector<TensorPlan> made = plans.take();
  if (static_cast<Scaling>(host::setting(op, bindings, "scaling").value_or(0)) == Scaling::per_tensor) {
    made.push_back({"scale", DType::f32, {1}, {}, {}});
  }
  if (static_cast<Scaling>(host::setting(op, bindings, "scaling").value_or(0)) == Scaling::nvfp4) {
    made.push_back({"global_scale", DType::f32, {1}, {}, {}});
  }
  return made;
}

std::vector<TensorPlan> plan_quantised_outputs(const OpDefinition& op, const Bindings& bindings) {
  const TensorView& x = bindings.require_tensor(op.name, "x");
  const std::vector<std::int64_t> shape(x.shape.begin(), x.shape.begin() + x.rank);
  const DType type = host::dtype_setting(op, bindings, "q_dtype", DType::fp8_e4m3);
  std::vector<TensorPlan> plans{{"q", type, shape, {}, {}}};
  const auto how = static_cast<Scaling>(host::setting(op, bindings, "scaling").value_or(0));
  if (how == Scaling::per_group) {
    const host::GroupQuant quant = host::group_quant_settings(op, bindings);
    host::require_groups(op.name, "the last dimension of x (hidden)", x.dim(-1), quant.group, max_hidden);
    plans.push_back(host::plan_group_scales(quant, shape));
  } else if (how == Scaling::per_token) {
    plans.push_back({"s", DType::f32, shape, {}, {}});
    plans.back().shape.back() = 1;
  } else if (block_of(how) > 0) {
    require_blocks(op.name, "the last dimension of x (hidden)", x.dim(-1), how);
    if (is_fp4(how)) {
      plans[0].dtype = DType::u8;
      plans[0].shape.back() /= 2;
    }
    const std::int64_t blocks = x.dim(-1) / block_of(how);
    plans.push_back({"s", byte_scale_type(how), shape, {}, {}});
    plans.back().shape.back() = blocks;
    if (static_cast<quant::SfLayout>(host::setting(op, bindings, "sf_layout").value_or(0)) ==
        quant::SfLayout::swizzled) {
      plans.back().shape = {host::round_up(host::contiguous_rows(op.name, "x", x).count, 128),
                            host::round_up(blocks, 4)};
    }
  }
  if (host::setting(op, bindings, "has_y").value_or(0) != 0) {
    plans.push_back(plan_y(op, bindings));
  }
  return plans;
}

std::vector<ModelCase> quantised_cases(const ModelConfig& model, bool adds) {
  std::vector<ModelCase> cases;
  const auto add = [&](const ModelNorm& norm, std::vector<std::pair<std::string, std::string>> params) {
    std::vector<ModelCase> made;
    add_rms_case(made, model, norm);
    for (ModelCase& item : made) {
      item.params.insert(item.params.end(), params.begin(), params.end());
      item.params.emplace_back("q_dtype", "fp8_e4m3");
      if (adds) {
        item.params.emplace_back("residual_dtype", std::string(name_of(model.dtype)));
      }
      cases.push_back(std::move(item));
    }
  };
  const auto add_grouped = [&](const ModelNorm& norm, const char* layout, const char* format) {
    if (norm.width > 0 && host::largest_group(norm.width) >= 16) {
      add(norm, {{"scaling", "per_group"},
                 {"group", std::to_string(host::largest_group(norm.width))},
                 {"scale_layout", layout},
                 {"scale_format", format}});
    }
  };
  for (const ModelNorm& norm : model.norms) {
    if (norm.kind != NormKind::rms || !norm.quantised || !(adds ? norm.added : norm.alone)) {
      continue;
    }
    if (model.deep_gemm) {
      // DeepGEMM's two forms: f32 scales on Hopper, packed exponents on Blackwell.
      for (const char* format : {"f32", "packed_ue8m0"}) {
        add_grouped(norm, "column_major_tma_aligned", format);
      }
    } else {
      add(norm, {{"scaling", "per_token"}});
      add(norm, {{"scaling", "per_tensor"}});
      add_grouped(norm, "row_major", "f32");
    }
    for (const Scaling how : {Scaling::mxfp8, Scaling::nvfp4}) {
      if (norm.width % block_of(how) == 0) {
        add(norm, {{"scaling", scaling_names[static_cast<std::size_t>(how)]}, {"sf_layout", "swizzled"}});
      }
    }
  }
  return cases;
}

void add_quantised_params(OpDefinition& op, bool adds) {
  add_row_params(op);
  op.formula = fmt::format(
      "{}q = sat(v / s) of v = {} * rsqrt(mean({}^2) + eps) * (weight + weight_offset), in f32 and rounded "
      "to nothing else; y = v, rounded once, where it is wanted. per_token, per_group: s = max(amax(v), "
      "1e-10) / MAX over a row or a group, MAX = 448 (e4m3), 57344 (e5m2), 127 (int8); ue8m0: s = "
      "2^ceil(log2(amax / MAX)). per_tensor: s is given. mxfp8, mxfp4: s = 2^ceil(log2(amax / MAX)) "
      "over blocks of 32, MAX = 6 (e2m1); nvfp4: s = e4m3(g * amax / 6) over blocks of 16, q = sat(v * g / "
      "s), or "
      "0 if s is 0. amax ignores NaN, which gives 0x7f (fp8), 0 (int8) or 6 (e2m1). mean + eps is at least "
      "2^-126 (Zhang and Sennrich 2019, arXiv:1910.07467; OCP MX 1.0 for "
      "ue8m0, mxfp8 and mxfp4; NVFP4 of cuBLAS and TensorRT-LLM)",
      adds ? "r = x + residual, stored over residual in its type, and normalised as it was before that "
             "rounding, or after it with round_residual; "
           : "",
      adds ? "r" : "x", adds ? "r" : "x");
  op.arguments_type = "kerncast::norm::RmsNormQuantKernelArgs";
  op.params[row_params::y_dtype].doc = "element type of y; x's dtype if there is no y";
  host::append(
      op.params, host::param<weight_dtype>(weight_dtype_param()), host::param<has_weight>(has_weight_param()),
      host::param<has_y>(host::flag_param(false, "store the result before quantisation too")),
      host::param<q_dtype>(host::quantised_dtype_param()),
      host::param<scaling>(
          host::choice_param(scaling_names,
                             "what shares a scale; per_tensor: a static one, given in scale; mxfp8, "
                             "mxfp4, nvfp4: blocks with a scale byte each")),
      host::param<group>(host::group_param()), host::param<scale_layout>(host::scale_layout_param()),
      host::param<scale_format>(host::scale_format_param()),
      host::param<sf_layout>(host::choice_param(
          quant::sf_layout_names,
          "layout of the scale bytes; swizzled: tiles of 128 rows and 4 blocks for block-scaled MMA")));
  if (adds) {
    host::append(op.params, host::param<residual_dtype>(float_dtype_param("element type of residual")),
                 host::param<round_residual>(round_residual_param()));
  }
  op.tunables =
      host::tunables(host::tunable_range<row_params::threads>("threads of a block", 32, 1024, 32),
                     host::tunable<row_params::rows_per_block>("rows that share a block", {1, 2, 4}));
  op.default_tunables = adds ? tunables_with_residual : tunables_alone;
  op.geometry = geometry;
  op.tunables_defect = adds ? tunables_defect_with_residual : tunables_defect_alone;
}

}  // namespace kerncast::norm
