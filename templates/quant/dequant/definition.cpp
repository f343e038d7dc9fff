#include <kerncast/ops/quant/dequant.hpp>

#include <fmt/format.h>

#include <string>
#include <utility>

#include "templates/host/group_grid.hpp"
#include "templates/host/group_quant.hpp"
#include "templates/host/launch_cost.hpp"
#include "templates/quant/dequant/kernel_args.h"
#include "templates/quant/dequant/spec_index.hpp"

namespace kerncast {
namespace quant {
namespace {

using namespace dequant_params;

constexpr std::string_view op_name = "quant.dequant";
constexpr std::int64_t max_hidden = 65536;
/// What the grid can hold, far past any device's memory.
constexpr std::int64_t max_elements = std::int64_t{1} << 44;

DequantScheme scheme_of(const Specialisation& spec) {
  return static_cast<DequantScheme>(spec[scheme]);
}

constexpr bool is_fp4(DequantScheme kind) {
  return kind == DequantScheme::nvfp4 || kind == DequantScheme::mxfp4;
}

/// Values that share a scale of a byte; 0 where scales are no such bytes.
constexpr std::int32_t block_of(DequantScheme kind) {
  return kind == DequantScheme::nvfp4                                   ? 16
         : kind == DequantScheme::mxfp4 || kind == DequantScheme::mxfp8 ? 32
                                                                        : 0;
}

constexpr std::int64_t rounded_up(std::int64_t value, std::int64_t to) noexcept {
  return host::divide_up(value, to) * to;
}

void require_width(DequantScheme kind, std::int64_t width, int size) {
  if (kind == DequantScheme::per_token_group) {
    host::require_groups(op_name, "the last dimension of y (hidden)", width, size, max_hidden);
  }
  const std::int32_t block = std::max(block_of(kind), 1);
  if (width < 1 || width > max_hidden || width % block != 0) [[unlikely]] {
    host::refuse(
        op_name,
        fmt::format("the last dimension of y (hidden) is {}, but must be a multiple of {} up "
                    "to {}; nearest valid: {}",
                    width, block, max_hidden,
                    std::clamp<std::int64_t>((width + block / 2) / block * block, block, max_hidden)));
  }
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
  require_q(kind, host::dtype(spec[q_dtype]));
  const std::int64_t bytes = size_of(host::dtype(spec[y_dtype]));
  const std::int64_t row = spec[hidden] * bytes;
  if (spec[alignment] < bytes || row % spec[alignment] != 0) {
    host::refuse(
        op_name,
        fmt::format("alignment = {} must be at least an element of y ({} bytes) and divide a "
                    "row of {} bytes; widest valid: {}",
                    spec[alignment], bytes, row, host::alignment_of(static_cast<std::uint64_t>(row))));
  }
  host::require_format(op_name, {spec[group], static_cast<ScaleLayout>(spec[scale_layout]),
                                 static_cast<ScaleFormat>(spec[scale_format])});
}

/// Values that a thread takes, as the kernel has it.
std::int32_t share_of(const Specialisation& spec) {
  const auto width = static_cast<std::int32_t>(spec[alignment] / size_of(host::dtype(spec[y_dtype])));
  return is_fp4(scheme_of(spec)) ? std::max(width, 2) : width;
}

LaunchGeometry geometry(const Specialisation& spec, const Tunables& tunables, const DeviceTraits&,
                        std::int64_t rows) noexcept {
  const std::int32_t share = share_of(spec);
  const std::int32_t block = block_of(scheme_of(spec));
  if (block > 0 && static_cast<SfLayout>(spec[sf_layout]) == SfLayout::swizzled) {
    return host::group_grid(host::divide_up(rows, 128) * 16, rounded_up(spec[hidden] / block, 4) * 8,
                            tunables[threads], block / share, tunables[vectors]);
  }
  const std::int32_t unit = block > 0                                           ? block
                            : scheme_of(spec) == DequantScheme::per_token_group ? spec[group]
                                                                                : share;
  return host::group_grid(rows, spec[hidden] / unit, tunables[threads], unit / share, tunables[vectors]);
}

Tunables default_tunables(const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
  const std::int64_t most = host::bucket_ceiling(rows);
  const std::int64_t elements = most * spec[hidden];
  constexpr Tunables least{{128, 1}};
  constexpr Tunables more{{256, 2}};
  // Of many, warps that take little read the tensor's own scale too often.
  if (elements > std::int64_t{device.sm_count} * 1536) {
    return more;
  }
  // A thousand elements per multiprocessor leave it idle unless every thread takes as little as it can.
  const bool few = elements <= std::int64_t{device.sm_count} * 1024;
  const host::LaunchWork work{.vectors = elements / share_of(spec),
                              .bytes = elements * (1 + size_of(host::dtype(spec[y_dtype]))),
                              .once = 65,
                              .each = 15 * share_of(spec)};
  return host::quicker_tiles(
      few ? least : more, few ? more : least,
      [&](const Tunables& tunables) { return geometry(spec, tunables, device, most); }, work, device);
}

/// The arguments' settings.
Dequant settings_of(const Bindings& bindings) {
  const OpDefinition& op = dequant_op();
  Dequant made;
  made.scheme =
      static_cast<DequantScheme>(host::setting(op, bindings, "scheme")
                                     .value_or(static_cast<std::int32_t>(DequantScheme::per_token_group)));
  const host::GroupQuant quant = host::group_quant_settings(op, bindings);
  made.group = quant.group;
  made.layout = quant.layout;
  made.format = quant.format;
  made.sf_layout = static_cast<SfLayout>(host::setting(op, bindings, "sf_layout").value_or(0));
  return made;
}

Call bind(const Bindings& bindings) {
  Dequant arguments = settings_of(bindings);
  arguments.q = bindings.require_tensor(op_name, "q");
  arguments.s = bindings.require_tensor(op_name, "s");
  arguments.y = bindings.require_tensor(op_name, "y");
  arguments.global_scale = bindings.tensor_or_absent("global_scale");
  Call call = dequant_call(arguments);
  // A kernel for narrower access serves better aligned tensors too.
  if (const auto wanted = host::setting(dequant_op(), bindings, "alignment");
      wanted && *wanted < call.spec[alignment]) {
    call.spec.values[alignment] = *wanted;
    validate(call.spec);
  }
  check_settings_agree(dequant_op(), call.spec, bindings);
  return call;
}

/// Scales as the op that quantises plans them.
TensorPlan plan_scales(const Dequant& how, std::int64_t rows, std::int64_t width) {
  switch (how.scheme) {
    case DequantScheme::per_tensor:
      return {"s", DType::f32, {1}, {}, {}};
    case DequantScheme::per_token:
      return {"s", DType::f32, {rows, 1}, {}, {}};
    case DequantScheme::per_token_group:
      return host::plan_group_scales({how.group, how.layout, how.format}, {rows, width});
    default:
      break;
  }
  const DType type = how.scheme == DequantScheme::nvfp4 ? DType::fp8_e4m3 : DType::ue8m0;
  const std::int64_t blocks = width / block_of(how.scheme);
  return how.sf_layout == SfLayout::swizzled
             ? TensorPlan{"s", type, {rounded_up(rows, 128), rounded_up(blocks, 4)}, {}, {}}
             : TensorPlan{"s", type, {rows, blocks}, {}, {}};
}

std::vector<TensorPlan> plan_inputs(const Bindings& bindings, std::int64_t rows) {
  const OpDefinition& op = dequant_op();
  const std::optional<std::int32_t> width = host::setting(op, bindings, "hidden");
  if (!width) {
    host::refuse(op_name, "parameter hidden is required to make inputs; give it as hidden=VALUE");
  }
  const Dequant how = settings_of(bindings);
  require_width(how.scheme, *width, how.group);
  const DType type =
      is_fp4(how.scheme)
          ? DType::u8
          : host::dtype(host::setting(op, bindings, "q_dtype").value_or(host::number(DType::fp8_e4m3)));
  std::vector<TensorPlan> plans{{"q", type, {rows, *width / (is_fp4(how.scheme) ? 2 : 1)}, {}, {}},
                                plan_scales(how, rows, *width)};
  if (how.scheme == DequantScheme::nvfp4) {
    plans.push_back({"global_scale", DType::f32, {1}, {}, {}});
  }
  return plans;
}

std::vector<TensorPlan> plan_outputs(const Bindings& bindings) {
  const TensorView& q = bindings.require_tensor(op_name, "q");
  static_cast<void>(host::contiguous_rows(op_name, "q", q));
  const DType type =
      host::dtype(host::setting(dequant_op(), bindings, "y_dtype").value_or(host::number(DType::bf16)));
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

OpDefinition make_definition() {
  OpDefinition op;
  op.name = op_name;
  op.summary = "The inverse of every quantisation of this family";
  op.formula =
      "y = q * s with the scale of q's tensor, row, group or block; nvfp4: y = q * s / g; rounded once from "
      "f32 "
      "(the formats' own definitions: OCP Microscaling Formats 1.0, NVFP4)";
  op.include = "quant/dequant/kernel.cuh";
  op.kernel = "kerncast::quant::dequant_kernel";
  op.arguments_type = "kerncast::quant::DequantKernelArgs";
  op.params = {
      host::choice_param("scheme", dequant_scheme_names, "the op that quantised"),
      host::dtype_param("q_dtype", {DType::fp8_e4m3, DType::fp8_e5m2, DType::i8, DType::u8}, DType::fp8_e4m3,
                        "element type of q; u8 for two e2m1 each"),
      host::dtype_param("y_dtype", {DType::bf16, DType::f16, DType::f32}, DType::bf16, "element type of y"),
      host::integer_param("hidden", 1, max_hidden, std::nullopt, "elements of a row of y"),
      host::group_param(),
      host::scale_layout_param(),
      host::scale_format_param(),
      host::choice_param("sf_layout", sf_layout_names, "where scales of a byte lie"),
      host::listed_param("alignment", {2, 4, 8, 16}, 16,
                         "bytes of y per access; derived from the tensors' pointers, strides and width"),
  };
  op.params[scheme].default_value = static_cast<std::int32_t>(DequantScheme::per_token_group);
  op.tunables = {
      {"threads", "threads of a block", {128, 256, 512}},
      {"vectors", "vectors that a thread has in flight", {1, 2, 4}},
  };
  op.tensors = {
      {"q", Direction::in, false, "[..., hidden], q_dtype; fp4: [..., hidden / 2], u8; rows may be strided"},
      {"s", Direction::in, false, "the scales, as the op that quantised left them"},
      {"global_scale", Direction::in, true, "nvfp4: [1], f32"},
      {"y", Direction::out, false, "[..., hidden], y_dtype; rows may be strided"},
  };
  op.validate = validate;
  op.default_tunables = default_tunables;
  op.geometry = geometry;
  op.bind = bind;
  op.plan_outputs = plan_outputs;
  op.plan_inputs = plan_inputs;
  op.model_cases = model_cases;
  return op;
}

/// Checks an f32 tensor of one element.
void require_one(std::string_view name, const TensorView& view) {
  if (view.absent()) [[unlikely]] {
    host::refuse_rank(op_name, name, view);
  }
  if (view.dtype != DType::f32) [[unlikely]] {
    host::refuse_dtype(op_name, name, view.dtype, "f32");
  }
  if (view.rank != 1 || view.dim(0) != 1) [[unlikely]] {
    host::refuse_shape(op_name, name, view, "shape [1]");
  }
}

/// Checks s; sets what the kernel knows of it.
void bind_scales(const Dequant& arguments, DequantKernelArgs& kernel, std::int64_t width) {
  const TensorView& s = arguments.s;
  switch (arguments.scheme) {
    case DequantScheme::per_tensor:
      require_one("s", s);
      break;
    case DequantScheme::per_token:
      if (s.dtype != DType::f32) [[unlikely]] {
        host::refuse_dtype(op_name, "s", s.dtype, "f32");
      }
      kernel.sf_stride = host::contiguous_rows(op_name, "s", s).stride;
      host::require_rows_like(op_name, "s", s, "y", arguments.y, 1);
      break;
    case DequantScheme::per_token_group: {
      const host::GroupQuant quant{arguments.group, arguments.layout, arguments.format};
      host::require_format(op_name, quant);
      kernel.sf_stride = host::group_scale_stride(op_name, quant, s, kernel.rows, width);
      break;
    }
    default: {
      const DType type = arguments.scheme == DequantScheme::nvfp4 ? DType::fp8_e4m3 : DType::ue8m0;
      if (s.dtype != type) [[unlikely]] {
        host::refuse_dtype(op_name, "s", s.dtype, name_of(type));
      }
      const host::Rows rows = host::contiguous_rows(op_name, "s", s);
      const std::int64_t blocks = width / block_of(arguments.scheme);
      if (arguments.sf_layout == SfLayout::linear) {
        host::require_rows_like(op_name, "s", s, "y", arguments.y, blocks);
        kernel.sf_stride = rows.stride;
      } else {
        const std::int64_t tall = rounded_up(kernel.rows, 128);
        const std::int64_t wide = rounded_up(blocks, 4);
        if (s.dim(-1) != wide || rows.count != tall || (tall > 1 && rows.stride != wide)) [[unlikely]] {
          host::refuse_shape(op_name, "s", s,
                             fmt::format("shape [{}, {}], contiguous, for sf_layout = swizzled", tall, wide));
        }
        kernel.sf_rows = tall;
      }
    }
  }
  host::require_data(op_name, "s", s, kernel.rows);
  host::require_device(op_name, "s", s, "y", arguments.y.device);
  if (reinterpret_cast<std::uintptr_t>(s.data) % static_cast<std::uint64_t>(size_of(s.dtype)) != 0)
      [[unlikely]] {
    host::refuse_misaligned(op_name, "s", s);
  }
}

}  // namespace

const OpDefinition& dequant_op() {
  static const OpDefinition& op = OpRegistry::instance().require(op_name);
  return op;
}

Call dequant_call(const Dequant& arguments) {
  const TensorView& q = arguments.q;
  const TensorView& y = arguments.y;
  const bool fp4 = is_fp4(arguments.scheme);
  host::require_float(op_name, "y", y);
  require_q(arguments.scheme, q.dtype);
  const host::Rows q_rows = host::contiguous_rows(op_name, "q", q);
  const host::Rows y_rows = host::output_rows(op_name, "y", y);
  const std::int64_t width = y.dim(-1);
  require_width(arguments.scheme, width, arguments.group);
  host::require_rows_like(op_name, "q", q, "y", y, fp4 ? width / 2 : width);
  if (y_rows.count > max_elements / width) [[unlikely]] {
    host::refuse_range(op_name, "the row count of y", y_rows.count, 0, max_elements / width);
  }
  host::require_data(op_name, "q", q, y_rows.count);
  host::require_data(op_name, "y", y, y_rows.count);
  host::require_device(op_name, "q", q, "y", y.device);

  DequantKernelArgs kernel{};
  kernel.q = q.data;
  kernel.s = arguments.s.data;
  kernel.y = y.data;
  kernel.rows = y_rows.count;
  kernel.q_stride = q_rows.stride;
  kernel.y_stride = y_rows.stride;
  bind_scales(arguments, kernel, width);
  if (arguments.scheme == DequantScheme::nvfp4) {
    require_one("global_scale", arguments.global_scale);
    host::require_data(op_name, "global_scale", arguments.global_scale, y_rows.count);
    host::require_device(op_name, "global_scale", arguments.global_scale, "y", y.device);
    kernel.global_scale = static_cast<const float*>(arguments.global_scale.data);
  }
  const auto bytes = static_cast<std::int32_t>(size_of(y.dtype));
  const std::int32_t aligned =
      host::alignment_of(host::misalignment(y, y_rows) | static_cast<std::uint64_t>(width * bytes));
  if (aligned < bytes) [[unlikely]] {
    host::refuse_misaligned(op_name, "y", y);
  }

  Call call;
  call.spec.values[scheme] = static_cast<std::int32_t>(arguments.scheme);
  call.spec.values[q_dtype] = host::number(q.dtype);
  call.spec.values[y_dtype] = host::number(y.dtype);
  call.spec.values[hidden] = static_cast<std::int32_t>(width);
  // What a scheme has no use for keeps its default: one kernel serves.
  const bool groups = arguments.scheme == DequantScheme::per_token_group;
  call.spec.values[group] = groups ? arguments.group : 128;
  call.spec.values[scale_layout] = groups ? static_cast<std::int32_t>(arguments.layout) : 0;
  call.spec.values[scale_format] = groups ? static_cast<std::int32_t>(arguments.format) : 0;
  call.spec.values[sf_layout] =
      block_of(arguments.scheme) > 0 ? static_cast<std::int32_t>(arguments.sf_layout) : 0;
  call.spec.values[alignment] =
      std::min(aligned, host::alignment_of(host::misalignment(q, q_rows)) * bytes * (fp4 ? 2 : 1));
  call.rows = y_rows.count;
  call.device = y.device;
  call.set_arguments(kernel);
  return call;
}

void dequant(Runtime& runtime, const Dequant& arguments, Stream stream) {
  runtime.dispatch(dequant_op(), dequant_call(arguments), stream);
}

PreparedLaunch prepare_dequant(Runtime& runtime, const Dequant& arguments) {
  return runtime.prepare(dequant_op(), dequant_call(arguments));
}

}  // namespace quant

namespace ops {
OpDefinition quant_dequant_definition();
OpDefinition quant_dequant_definition() {
  return quant::make_definition();
}
}  // namespace ops
}  // namespace kerncast
