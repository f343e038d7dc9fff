#include <kerncast/ops/quant/dequant.hpp>

#include <fmt/format.h>

#include <string>
#include <utility>

#include "templates/host/define_op.hpp"
#include "templates/host/group_grid.hpp"
#include "templates/host/group_quant.hpp"
#include "templates/host/launch_cost.hpp"
#include "templates/host/overlap.hpp"
#include "templates/host/tensor_check.hpp"
#include "templates/host/typed_op.hpp"
#include "templates/quant/dequant/kernel_args.h"
#include "templates/quant/dequant/spec_index.hpp"
#include "templates/quant/shared/operand_checks.hpp"

namespace kerncast::quant {
namespace {

using namespace dequant_params;

constexpr std::string_view op_name = Dequant::op_name;

/// The arguments that settings choose.
void describe_settings(host::NamedArguments& named, Dequant& call) {
  named.setting("scheme", call.scheme);
  named.setting("group", call.group);
  named.setting("scale_layout", call.scale_layout);
  named.setting("scale_format", call.scale_format);
  named.setting("sf_layout", call.sf_layout);
}

void describe(host::NamedArguments& named, Dequant& call) {
  named.input("q", call.q, "[..., hidden], q_dtype; fp4: [..., hidden / 2], u8; rows may be strided");
  named.input("s", call.s, "the scales, as the op that quantised wrote them");
  named.optional_input("global_scale", call.global_scale, "nvfp4: [1], f32; other schemes do not read it");
  named.output("y", call.y, "[..., hidden], y_dtype; rows may be strided");
  describe_settings(named, call);
}

DequantScheme scheme_of(const Specialisation& spec) {
  return static_cast<DequantScheme>(spec[scheme]);
}

constexpr bool is_fp4(DequantScheme kind) {
  return kind == DequantScheme::nvfp4 || kind == DequantScheme::mxfp4;
}

/// Number of values that share a one-byte scale; 0 under a scheme without such scales.
constexpr std::int32_t block_of(DequantScheme kind) {
  return kind == DequantScheme::nvfp4                                   ? 16
         : kind == DequantScheme::mxfp4 || kind == DequantScheme::mxfp8 ? 32
                                                                        : 0;
}

/// Number of blocks in `width` values, under a scheme that has them.
constexpr std::int64_t blocks_in(std::int64_t width, DequantScheme kind) {
  return width / std::max(block_of(kind), 1);
}

void require_width(DequantScheme kind, std::int64_t width, int size) {
  if (kind == DequantScheme::per_token_group) {
    host::require_groups(op_name, "the last dimension of y (hidden)", width, size, max_hidden);
  }
  require_block_width(op_name, "y", width, std::max(block_of(kind), 1));
}

void require_q(DequantScheme kind, DType type) {
  const bool fp8 = type == DType::fp8_e4m3 || type == DType::fp8_e5m2;
  const bool good =
      is_fp4(kind) ? type == DType::u8 : fp8 || (type == DType::i8 && kind != DequantScheme::mxfp8);
  if (!good) [[unlikely]] {
    host::refuse_dtype(op_name, "q", type,
                       is_fp4(kind)                   ? "u8 (two e2m1 each)"
                       : kind == DequantScheme::mxfp8 ? "fp8_e4m3 or fp8_e5m2"
                                                      : "fp8_e4m3, fp8_e5m2 or i8");
  }
}

void validate(const Specialisation& spec) {
  const DequantScheme kind = scheme_of(spec);
  require_width(kind, spec[hidden], spec[group]);
  require_q(kind, host::dtype_from_param(spec[q_dtype]));
  host::validate_alignment(op_name, spec[alignment], spec[hidden], host::dtype_from_param(spec[y_dtype]));
  host::require_format(op_name, {spec[group], static_cast<ScaleLayout>(spec[scale_layout]),
                                 static_cast<ScaleFormat>(spec[scale_format])});
}

/// Number of values that a thread takes; the kernel computes the same.
std::int32_t share_of(const Specialisation& spec) {
  const auto width =
      static_cast<std::int32_t>(spec[alignment] / size_of(host::dtype_from_param(spec[y_dtype])));
  return is_fp4(scheme_of(spec)) ? std::max(width, 2) : width;
}

/// Values of a unit of templates/quant/dequant/kernel.cuh, whose threads share a place of the grid.
std::int32_t unit_of(const Specialisation& spec) {
  const std::int32_t block = block_of(scheme_of(spec));
  return block > 0 ? block : scheme_of(spec) == DequantScheme::per_token_group ? spec[group] : share_of(spec);
}

std::string tunables_defect(const Specialisation& spec, const Tunables& tunables, const DeviceTraits&) {
  const std::int32_t lanes = unit_of(spec) / share_of(spec);
  return tunables[threads] % lanes == 0
             ? std::string()
             : fmt::format("a block of {} threads is no multiple of the {} threads that share a group",
                           tunables[threads], lanes);
}

LaunchGeometry geometry(const Specialisation& spec, const Tunables& tunables, const DeviceTraits&,
                        std::int64_t rows) noexcept {
  const std::int32_t unit = unit_of(spec);
  const std::int32_t lanes = unit / share_of(spec);
  const std::int32_t block = block_of(scheme_of(spec));
  if (block > 0 && static_cast<SfLayout>(spec[sf_layout]) == SfLayout::swizzled) {
    return host::group_grid(host::divide_up(rows, 128) * 16, host::round_up(spec[hidden] / block, 4) * 8,
                            tunables[threads], lanes, tunables[vectors]);
  }
  return host::group_grid(rows, spec[hidden] / unit, tunables[threads], lanes, tunables[vectors]);
}

Tunables default_tunables(const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
  const std::int64_t most = host::bucket_ceiling(rows);
  const std::int64_t elements = most * spec[hidden];
  // In the order of Tunable: threads, vectors.
  constexpr Tunables least{{128, 1}};
  constexpr Tunables more{{256, 2}};
  // If there are many elements, warps that take few of them read the scale of the tensor too often.
  if (elements > std::int64_t{device.sm_count} * 1536) {
    return more;
  }
  // A thousand elements do not fill a multiprocessor unless every thread takes as little as possible.
  const bool few = elements <= std::int64_t{device.sm_count} * 1024;
  const host::LaunchWork work{.vectors = elements / share_of(spec),
                              .bytes = elements * (1 + size_of(host::dtype_from_param(spec[y_dtype]))),
                              .once = 65,
                              .each = 15 * share_of(spec)};
  return host::quicker_tiles(
      few ? least : more, few ? more : least,
      [&](const Tunables& tunables) { return geometry(spec, tunables, device, most); }, work, device);
}

/// The arguments that the settings of `bindings` choose.
Dequant settings_of(const Bindings& bindings) {
  Dequant made;
  host::NamedArguments named(definition_of<Dequant>(), bindings);
  describe_settings(named, made);
  return made;
}

/// Plans the scales as the op that quantises does.
TensorPlan plan_scales(const Dequant& how, std::int64_t rows, std::int64_t width) {
  switch (how.scheme) {
    case DequantScheme::per_tensor:
      return {"s", DType::f32, {1}, {}, {}};
    case DequantScheme::per_token:
      return {"s", DType::f32, {rows, 1}, {}, {}};
    case DequantScheme::per_token_group:
      return host::plan_group_scales({how.group, how.scale_layout, how.scale_format}, {rows, width});
    default:
      break;
  }
  const DType type = how.scheme == DequantScheme::nvfp4 ? DType::fp8_e4m3 : DType::ue8m0;
  const std::int64_t blocks = blocks_in(width, how.scheme);
  return how.sf_layout == SfLayout::swizzled
             ? TensorPlan{"s", type, {host::round_up(rows, 128), host::round_up(blocks, 4)}, {}, {}}
             : TensorPlan{"s", type, {rows, blocks}, {}, {}};
}

std::vector<TensorPlan> plan_inputs(const Bindings& bindings, std::int64_t rows) {
  const OpDefinition& op = definition_of<Dequant>();
  const std::int64_t width = host::required_param(op, bindings, "hidden");
  const Dequant how = settings_of(bindings);
  require_width(how.scheme, width, how.group);
  const DType type =
      is_fp4(how.scheme) ? DType::u8 : host::dtype_setting(op, bindings, "q_dtype", DType::fp8_e4m3);
  std::vector<TensorPlan> plans{{"q", type, {rows, width / (is_fp4(how.scheme) ? 2 : 1)}, {}, {}},
                                plan_scales(how, rows, width)};
  if (how.scheme == DequantScheme::nvfp4) {
    plans.push_back({"global_scale", DType::f32, {1}, {}, {}});
  }
  return plans;
}

std::vector<TensorPlan> plan_outputs(const Bindings& bindings) {
  const TensorView& q = bindings.require_tensor(op_name, "q");
  static_cast<void>(host::contiguous_rows(op_name, "q", q));
  const DType type = host::dtype_setting(definition_of<Dequant>(), bindings, "y_dtype", DType::bf16);
  TensorPlan y{"y", type, {q.shape.begin(), q.shape.begin() + q.rank}, {}, {}};
  y.shape.back() *= is_fp4(settings_of(bindings).scheme) ? 2 : 1;
  return {y};
}

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  std::vector<ModelCase> cases;
  if (!host::is_float(model.dtype)) {
    return cases;
  }
  const auto add = [&](const char* label, std::int64_t multiple,
                       std::vector<std::pair<std::string, std::string>> params) {
    if (model.hidden < 1 || model.hidden > max_hidden || model.hidden % multiple != 0) {
      return;
    }
    params.emplace_back("y_dtype", std::string(name_of(model.dtype)));
    params.emplace_back("hidden", std::to_string(model.hidden));
    cases.push_back({label, std::move(params), {}});
  };
  const std::int64_t size = host::largest_group(model.hidden);
  add("fp8 activations, groups", 16, {{"scheme", "per_token_group"}, {"group", std::to_string(size)}});
  add("nvfp4 activations", 16, {{"scheme", "nvfp4"}, {"q_dtype", "u8"}, {"sf_layout", "swizzled"}});
  add("mxfp4 weights", 32, {{"scheme", "mxfp4"}, {"q_dtype", "u8"}});
  return cases;
}

/// The way in which the kernel walks the scales.
struct ScaleRows {
  std::int64_t stride = 0;  ///< along the dimension that is not contiguous
  std::int64_t count = 0;   ///< of swizzled scales, including padding
};

/// Checks the block scales of nvfp4, mxfp4 or mxfp8.
ScaleRows block_scale_rows(const Dequant& arguments, const host::TensorCheck& check, std::int64_t rows,
                           std::int64_t width) {
  const DType type = arguments.scheme == DequantScheme::nvfp4 ? DType::fp8_e4m3 : DType::ue8m0;
  const host::Rows given = check.has_dtype(type).contiguous_rows();
  const std::int64_t blocks = blocks_in(width, arguments.scheme);
  if (arguments.sf_layout == SfLayout::linear) {
    check.has_rows_like("y", arguments.y, blocks);
    return {.stride = given.stride};
  }
  const std::int64_t tall = host::round_up(rows, 128);
  const std::int64_t wide = host::round_up(blocks, 4);
  if (arguments.s.dim(-1) != wide || given.count != tall || (tall > 1 && given.stride != wide)) [[unlikely]] {
    host::refuse_shape(op_name, "s", arguments.s,
                       fmt::format("shape [{}, {}], contiguous, for sf_layout = swizzled", tall, wide));
  }
  return {.count = tall};
}

/// Checks the shape and the strides of s.
ScaleRows scale_rows(const Dequant& arguments, const host::TensorCheck& check, std::int64_t rows,
                     std::int64_t width) {
  const TensorView& s = arguments.s;
  switch (arguments.scheme) {
    case DequantScheme::per_tensor:
      require_vector(op_name, "s", s, DType::f32, 1, "y", arguments.y, rows);
      return {};
    case DequantScheme::per_token: {
      const std::int64_t stride = check.has_dtype(DType::f32).contiguous_rows().stride;
      check.has_rows_like("y", arguments.y, 1);
      return {.stride = stride};
    }
    case DequantScheme::per_token_group: {
      const host::GroupQuant quant{arguments.group, arguments.scale_layout, arguments.scale_format};
      host::require_format(op_name, quant);
      return {.stride = host::group_scale_stride(op_name, quant, s, rows, width)};
    }
    default:
      return block_scale_rows(arguments, check, rows, width);
  }
}

}  // namespace

Call bind(const Dequant& arguments) {
  const TensorView& q = arguments.q;
  const TensorView& y = arguments.y;
  const host::TensorCheck q_check(op_name, "q", q);
  const host::TensorCheck y_check(op_name, "y", y);
  const bool fp4 = is_fp4(arguments.scheme);
  y_check.is_float();
  require_q(arguments.scheme, q.dtype);
  const host::Rows q_rows = q_check.contiguous_rows();
  const host::Rows y_rows = y_check.output_rows();
  const std::int64_t width = y.dim(-1);
  require_width(arguments.scheme, width, arguments.group);
  q_check.has_rows_like("y", y, fp4 ? width / 2 : width);
  require_row_count(op_name, "y", y_rows.count, width);
  y_check.has_data(y_rows.count);
  q_check.has_data(y_rows.count).is_on_device_of("y", y);

  const host::TensorCheck s_check(op_name, "s", arguments.s);
  const ScaleRows scales = scale_rows(arguments, s_check, y_rows.count, width);
  // Only the pointer needs checking: f32 strides keep its alignment.
  s_check.has_data(y_rows.count).is_on_device_of("y", y).is_aligned({});
  const bool is_nvfp4 = arguments.scheme == DequantScheme::nvfp4;
  if (is_nvfp4) {
    require_vector(op_name, "global_scale", arguments.global_scale, DType::f32, 1, "y", y, y_rows.count);
  }
  host::require_apart(op_name, {{"y", y}},
                      {{"q", q}, {"s", arguments.s}, {"global_scale", arguments.global_scale}});
  const auto bytes = static_cast<std::int32_t>(size_of(y.dtype));
  y_check.is_aligned(y_rows);
  const auto row_bytes = static_cast<std::uint64_t>(width * bytes);

  Call call;
  call.spec.values[scheme] = static_cast<std::int32_t>(arguments.scheme);
  call.spec.values[q_dtype] = host::to_param(q.dtype);
  call.spec.values[y_dtype] = host::to_param(y.dtype);
  call.spec.values[hidden] = static_cast<std::int32_t>(width);
  // Parameters that the scheme does not use keep their defaults, so that one kernel serves all their values.
  const bool groups = arguments.scheme == DequantScheme::per_token_group;
  call.spec.values[group] = groups ? arguments.group : 128;
  call.spec.values[scale_layout] = groups ? static_cast<std::int32_t>(arguments.scale_layout) : 0;
  call.spec.values[scale_format] = groups ? static_cast<std::int32_t>(arguments.scale_format) : 0;
  call.spec.values[sf_layout] =
      block_of(arguments.scheme) > 0 ? static_cast<std::int32_t>(arguments.sf_layout) : 0;
  call.spec.values[alignment] =
      std::min(host::alignment_of(host::misalignment(y, y_rows) | row_bytes),
               host::alignment_of(host::misalignment(q, q_rows)) * bytes * (fp4 ? 2 : 1));
  call.rows = y_rows.count;
  call.device = y.device;
  call.set_arguments(DequantKernelArgs{
      .q = q.data,
      .s = arguments.s.data,
      .global_scale = is_nvfp4 ? static_cast<const float*>(arguments.global_scale.data) : nullptr,
      .y = y.data,
      .rows = y_rows.count,
      .sf_rows = scales.count,
      .q_stride = q_rows.stride,
      .sf_stride = scales.stride,
      .y_stride = y_rows.stride});
  return call;
}

}  // namespace kerncast::quant

KERNCAST_OP(quant, dequant) {
  using namespace quant;
  using namespace dequant_params;
  OpDefinition op = host::define<Dequant, describe>();
  op.summary = "The inverse of every quantisation of this family";
  op.formula =
      "y = q * s with the scale of q's tensor, row, group or block; nvfp4: y = q * s / g; rounded once from "
      "f32 "
      "(the formats' own definitions: OCP Microscaling Formats 1.0, NVFP4)";
  ParamSpec scheme_param = host::choice_param(dequant_scheme_names, "the op that quantised");
  scheme_param.default_value = static_cast<std::int32_t>(DequantScheme::per_token_group);
  op.params = host::params(
      host::param<scheme>(std::move(scheme_param)),
      host::param<q_dtype>(host::dtype_param({DType::fp8_e4m3, DType::fp8_e5m2, DType::i8, DType::u8},
                                             DType::fp8_e4m3, "element type of q; u8 for two e2m1 each")),
      host::param<y_dtype>(
          host::dtype_param({DType::bf16, DType::f16, DType::f32}, DType::bf16, "element type of y")),
      host::param<hidden>(host::integer_param(1, max_hidden, std::nullopt, "elements of a row of y")),
      host::param<group>(host::group_param()), host::param<scale_layout>(host::scale_layout_param()),
      host::param<scale_format>(host::scale_format_param()),
      host::param<sf_layout>(host::choice_param(sf_layout_names, "layout of scales of one byte")),
      host::param<alignment>(host::listed_param(
          {2, 4, 8, 16}, 16,
          "bytes of y per access; derived from the tensors' pointers, strides and width")));
  op.tunables = host::tunables(host::tunable_range<threads>("threads of a block", 32, 1024, 32),
                               host::tunable<vectors>("vectors that a thread has in flight", {1, 2, 4}));
  op.validate = validate;
  op.default_tunables = default_tunables;
  op.geometry = geometry;
  op.tunables_defect = tunables_defect;
  op.plan_outputs = plan_outputs;
  op.plan_inputs = plan_inputs;
  op.model_cases = model_cases;
  return op;
}
