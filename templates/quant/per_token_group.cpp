#include "templates/quant/per_token_group.hpp"

#include <fmt/format.h>

#include "templates/host/group_grid.hpp"
#include "templates/host/group_quant.hpp"
#include "templates/quant/per_token_group_args.h"
#include "templates/quant/per_token_group_params.hpp"

namespace kerncast {
namespace {

using namespace quant::per_token_group_params;
using quant::ScaleFormat;
using quant::ScaleLayout;

constexpr std::string_view op_name = "quant.per_token_group";
constexpr std::string_view x_width = "the last dimension of x (hidden)";
constexpr std::int64_t max_hidden = 65536;
/// What the grid can hold, far past any device's memory.
constexpr std::int64_t max_elements = std::int64_t{1} << 44;

host::GroupQuant quant_of(const Specialisation& spec) {
  return {spec[group], static_cast<ScaleLayout>(spec[scale_layout]),
          static_cast<ScaleFormat>(spec[scale_format])};
}

void validate(const Specialisation& spec) {
  const std::int64_t x_bytes = size_of(host::dtype(spec[x_dtype]));
  host::require_groups(op_name, x_width, spec[hidden], spec[group], max_hidden);
  if (spec[alignment] < x_bytes) {
    host::refuse(op_name, fmt::format("alignment = {} must be at least an element of x ({} bytes)",
                                      spec[alignment], x_bytes));
  }
  host::require_format(op_name, quant_of(spec));
}

Tunables default_tunables(const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
  const auto width = static_cast<std::int32_t>(spec[alignment] / size_of(host::dtype(spec[x_dtype])));
  Tunables tunables;
  // A few thousand elements per multiprocessor leave it idle unless every thread takes as little as it can.
  const bool few = host::bucket_ceiling(rows) * spec[hidden] <= std::int64_t{device.sm_count} * 16384;
  tunables.values[threads] = few ? 128 : 256;
  tunables.values[vectors] = few ? 1 : std::clamp(16 / width, 1, 4);
  return tunables;
}

LaunchGeometry geometry(const Specialisation& spec, const Tunables& tunables, const DeviceTraits&,
                        std::int64_t rows) noexcept {
  const auto width = static_cast<std::int32_t>(spec[alignment] / size_of(host::dtype(spec[x_dtype])));
  return host::group_grid(host::scale_rows(quant_of(spec).format, rows), spec[hidden] / spec[group],
                          tunables[threads], host::group_lanes(width, spec[group]), tunables[vectors]);
}

Call bind(const Bindings& bindings) {
  const OpDefinition& op = quant::per_token_group_op();
  quant::PerTokenGroup arguments;
  arguments.x = bindings.require_tensor(op_name, "x");
  arguments.q = bindings.require_tensor(op_name, "q");
  arguments.s = bindings.require_tensor(op_name, "s");
  const host::GroupQuant quant = host::group_quant_settings(op, bindings);
  arguments.group = quant.group;
  arguments.layout = quant.layout;
  arguments.format = quant.format;
  Call call = quant::per_token_group_call(arguments);
  // A kernel for narrower access serves better aligned tensors too.
  if (const auto wanted = host::setting(op, bindings, "alignment");
      wanted && *wanted < call.spec[alignment]) {
    call.spec.values[alignment] = *wanted;
    validate(call.spec);
  }
  check_settings_agree(op, call.spec, bindings);
  return call;
}

std::vector<TensorPlan> plan_inputs(const Bindings& bindings, std::int64_t rows) {
  const OpDefinition& op = quant::per_token_group_op();
  const std::optional<std::int32_t> width = host::setting(op, bindings, "hidden");
  if (!width) {
    host::refuse(op_name, "parameter hidden is required to make inputs; give it as hidden=VALUE");
  }
  TensorPlan x;
  x.name = "x";
  x.dtype = host::dtype(host::setting(op, bindings, "x_dtype").value_or(host::number(DType::bf16)));
  x.shape = {rows, *width};
  return {x};
}

std::vector<TensorPlan> plan_outputs(const Bindings& bindings) {
  const OpDefinition& op = quant::per_token_group_op();
  const TensorView& x = bindings.require_tensor(op_name, "x");
  static_cast<void>(host::contiguous_rows(op_name, "x", x));
  const host::GroupQuant quant = host::group_quant_settings(op, bindings);
  host::require_groups(op_name, x_width, x.dim(-1), quant.group, max_hidden);
  TensorPlan q;
  q.name = "q";
  q.dtype = host::dtype(host::setting(op, bindings, "q_dtype").value_or(host::number(DType::fp8_e4m3)));
  q.shape.assign(x.shape.begin(), x.shape.begin() + x.rank);
  TensorPlan s = host::plan_group_scales(quant, q.shape);
  return {std::move(q), std::move(s)};
}

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  std::vector<ModelCase> cases;
  if (!host::is_float(model.dtype)) {
    return cases;
  }
  const auto add = [&](const std::string& label, std::int64_t width, const char* layout, const char* format) {
    const std::int64_t size = host::largest_group(width);
    if (width < 16 || width > max_hidden || size < 16) {
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
    for (const ModelCase& other : cases) {
      if (other.params == made.params) {
        return;
      }
    }
    cases.push_back(std::move(made));
  };
  const auto add_all = [&](const char* layout, const char* format) {
    add("attention and MLP input", model.hidden, layout, format);
    add("q_b_proj input", model.q_lora_rank, layout, format);
    add("kv_b_proj input", model.kv_lora_rank, layout, format);
    add("o_proj input", model.heads * model.head_dim, layout, format);
    add("experts' down_proj input", model.moe_intermediate, layout, format);
    add("dense down_proj input", model.intermediate, layout, format);
  };
  add_all("row_major", "f32");
  if (model.q_lora_rank > 0) {
    // DeepGEMM's two forms: f32 scales on Hopper, packed exponents on Blackwell.
    add_all("column_major_tma_aligned", "f32");
    add_all("column_major_tma_aligned", "packed_ue8m0");
  }
  return cases;
}

OpDefinition make_definition() {
  OpDefinition op;
  op.name = op_name;
  op.summary = "Quantisation to fp8 or int8 with one scale per group of a row";
  op.formula =
      "s = max(amax(group), 1e-10) / MAX; q = sat(x * (MAX / amax)), MAX = 448 (e4m3), 57344 (e5m2), 127 "
      "(int8). "
      "ue8m0, packed_ue8m0: s = 2^ceil(log2(amax / MAX)), q = sat(x / s). NaN is passed over by amax and "
      "gives 0x7f "
      "(fp8) or 0 (int8) (DeepSeek-V3 technical report; OCP MX 1.0 for ue8m0)";
  op.include = "quant/per_token_group.cuh";
  op.kernel = "kerncast::quant::per_token_group_kernel";
  op.arguments_type = "kerncast::quant::PerTokenGroupKernelArgs";
  op.params = {
      host::dtype_param("x_dtype", {DType::bf16, DType::f16, DType::f32}, DType::bf16, "element type of x"),
      host::quantised_dtype_param(),
      host::integer_param("hidden", 16, max_hidden, std::nullopt, "elements of a row; a multiple of group"),
      host::group_param(),
      host::scale_layout_param(),
      host::scale_format_param(),
      host::listed_param("alignment", {2, 4, 8, 16}, 16,
                         "bytes of x per access; derived from the tensors' pointers and strides"),
  };
  op.params[hidden].multiple_of = 16;
  op.tunables = {
      {"threads", "threads of a block", {128, 256, 512}},
      {"vectors", "groups whose vectors a thread has in flight", {1, 2, 4}},
  };
  op.tensors = {
      {"x", Direction::in, false, "[..., hidden], x_dtype; rows may be strided"},
      {"q", Direction::out, false, "shape of x, q_dtype; rows may be strided"},
      {"s", Direction::out, false, host::group_scales_doc},
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

}  // namespace

namespace ops {
OpDefinition quant_per_token_group_definition();
OpDefinition quant_per_token_group_definition() {
  return make_definition();
}
}  // namespace ops

namespace quant {

const OpDefinition& per_token_group_op() {
  static const OpDefinition& op = OpRegistry::instance().require(op_name);
  return op;
}

Call per_token_group_call(const PerTokenGroup& arguments) {
  const TensorView& x = arguments.x;
  const TensorView& q = arguments.q;
  host::require_float(op_name, "x", x);
  host::require_quantised(op_name, "q", q);
  const host::Rows x_rows = host::contiguous_rows(op_name, "x", x);
  const host::Rows q_rows = host::output_rows(op_name, "q", q);
  const std::int64_t width = x.dim(-1);
  host::require_groups(op_name, x_width, width, arguments.group, max_hidden);
  host::require_rows_like(op_name, "q", q, "x", x, width);
  if (x_rows.count > max_elements / width) [[unlikely]] {
    host::refuse_range(op_name, "the row count of x", x_rows.count, 0, max_elements / width);
  }
  host::require_data(op_name, "x", x, x_rows.count);
  host::require_data(op_name, "q", q, x_rows.count);
  host::require_device(op_name, "q", q, "x", x.device);
  host::require_device(op_name, "s", arguments.s, "x", x.device);
  const host::GroupQuant quant{arguments.group, arguments.layout, arguments.format};
  host::require_format(op_name, quant);
  const std::int64_t s_stride = host::group_scale_stride(op_name, quant, arguments.s, x_rows.count, width);

  const auto x_bytes = static_cast<std::int32_t>(size_of(x.dtype));
  std::int32_t aligned = host::alignment_of(host::misalignment(x, x_rows));
  if (aligned < x_bytes) [[unlikely]] {
    host::refuse_misaligned(op_name, "x", x);
  }
  aligned = std::min(aligned, host::alignment_of(host::misalignment(q, q_rows)) * x_bytes);

  Call call;
  call.spec.values[x_dtype] = host::number(x.dtype);
  call.spec.values[q_dtype] = host::number(q.dtype);
  call.spec.values[hidden] = static_cast<std::int32_t>(width);
  call.spec.values[group] = arguments.group;
  call.spec.values[scale_layout] = static_cast<std::int32_t>(arguments.layout);
  call.spec.values[scale_format] = static_cast<std::int32_t>(arguments.format);
  call.spec.values[alignment] = aligned;
  call.rows = x_rows.count;
  call.device = x.device;
  call.set_arguments(PerTokenGroupKernelArgs{x.data, q.data, arguments.s.data, x_rows.count,
                                             host::scale_rows(arguments.format, x_rows.count), x_rows.stride,
                                             q_rows.stride, s_stride});
  return call;
}

void per_token_group(Runtime& runtime, const PerTokenGroup& arguments, Stream stream) {
  runtime.dispatch(per_token_group_op(), per_token_group_call(arguments), stream);
}

PreparedLaunch prepare_per_token_group(Runtime& runtime, const PerTokenGroup& arguments) {
  return runtime.prepare(per_token_group_op(), per_token_group_call(arguments));
}

}  // namespace quant
}  // namespace kerncast
