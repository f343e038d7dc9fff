#include "templates/quant/per_token_group.hpp"

#include <fmt/format.h>

#include <numeric>

#include "templates/host/checks.hpp"
#include "templates/quant/per_token_group_args.h"
#include "templates/quant/per_token_group_params.hpp"

namespace kerncast {
namespace {

using namespace quant::per_token_group_params;
using quant::ScaleFormat;
using quant::ScaleLayout;

constexpr std::string_view op_name = "quant.per_token_group";
constexpr std::int64_t max_hidden = 65536;
/// What the grid can hold, far past any device's memory.
constexpr std::int64_t max_elements = std::int64_t{1} << 44;

ScaleLayout layout_of(const Specialisation& spec) {
  return static_cast<ScaleLayout>(spec[scale_layout]);
}
ScaleFormat format_of(const Specialisation& spec) {
  return static_cast<ScaleFormat>(spec[scale_format]);
}

std::int64_t rounded_up_to_4(std::int64_t rows) {
  return (rows + 3) / 4 * 4;
}

[[noreturn]] void refuse_group(int group) {
  int nearest = 16;
  for (const int valid : {16, 32, 64, 128}) {
    nearest = std::abs(valid - group) < std::abs(nearest - group) ? valid : nearest;
  }
  host::refuse(op_name,
               fmt::format("group is {}, but must be 16, 32, 64 or 128; nearest valid: {}", group, nearest));
}

[[noreturn]] void refuse_width(std::int64_t width, int group) {
  const int fits = std::gcd(static_cast<int>(width % 128) + 128, 128);
  host::refuse(
      op_name,
      fmt::format(
          "the last dimension of x (hidden) is {}, but must be a multiple of group = {} from {} "
          "to {}; {}",
          width, group, group, max_hidden,
          width >= 1 && width <= max_hidden && fits >= 16
              ? fmt::format("the largest group that divides it is {}", fits)
              : fmt::format("nearest valid: {}", std::clamp<std::int64_t>((width + group / 2) / group * group,
                                                                          group, max_hidden))));
}

void validate(const Specialisation& spec) {
  const std::int64_t x_bytes = size_of(host::dtype(spec[x_dtype]));
  if (spec[hidden] % spec[group] != 0) {
    refuse_width(spec[hidden], spec[group]);
  }
  if (spec[alignment] < x_bytes) {
    host::refuse(op_name, fmt::format("alignment = {} must be at least an element of x ({} bytes)",
                                      spec[alignment], x_bytes));
  }
  if (format_of(spec) == ScaleFormat::packed_ue8m0 &&
      layout_of(spec) != ScaleLayout::column_major_tma_aligned) {
    host::refuse(op_name,
                 "scale_format = packed_ue8m0 needs scale_layout = column_major_tma_aligned; set it");
  }
}

/// Lanes that share a group: as the kernel divides it.
std::int32_t lanes_of(const Specialisation& spec, const Tunables& tunables) {
  const auto width = static_cast<std::int32_t>(spec[alignment] / size_of(host::dtype(spec[x_dtype])));
  const std::int32_t share = std::min(std::max(width * tunables[vectors], spec[group] / 32), spec[group]);
  return spec[group] / share;
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
  const std::int64_t per_block = tunables[threads] / lanes_of(spec, tunables);
  const std::int64_t groups = spec[hidden] / spec[group];
  const bool padded = format_of(spec) == ScaleFormat::packed_ue8m0;
  const std::int64_t blocks = host::divide_up((padded ? rounded_up_to_4(rows) : rows) * groups, per_block);
  // Where the grid spills into y, x must end where blocks and rows realign.
  const std::int64_t period = groups / std::gcd(groups, per_block);
  LaunchGeometry made = host::linear_grid(blocks, 0x7fffffff / period * period);
  made.block[0] = static_cast<std::uint32_t>(tunables[threads]);
  return made;
}

Call bind(const Bindings& bindings) {
  const OpDefinition& op = quant::per_token_group_op();
  quant::PerTokenGroup arguments;
  arguments.x = bindings.require_tensor(op_name, "x");
  arguments.q = bindings.require_tensor(op_name, "q");
  arguments.s = bindings.require_tensor(op_name, "s");
  arguments.group = host::setting(op, bindings, "group").value_or(128);
  arguments.layout = static_cast<ScaleLayout>(host::setting(op, bindings, "scale_layout").value_or(0));
  arguments.format = static_cast<ScaleFormat>(host::setting(op, bindings, "scale_format").value_or(0));
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
  const host::Rows rows = host::contiguous_rows(op_name, "x", x);
  const int size = host::setting(op, bindings, "group").value_or(128);
  const auto layout = static_cast<ScaleLayout>(host::setting(op, bindings, "scale_layout").value_or(0));
  const auto format = static_cast<ScaleFormat>(host::setting(op, bindings, "scale_format").value_or(0));
  if (x.dim(-1) < 1 || x.dim(-1) % size != 0) {
    refuse_width(x.dim(-1), size);
  }
  std::int64_t columns = x.dim(-1) / size;
  TensorPlan q;
  q.name = "q";
  q.dtype = host::dtype(host::setting(op, bindings, "q_dtype").value_or(host::number(DType::fp8_e4m3)));
  q.shape.assign(x.shape.begin(), x.shape.begin() + x.rank);
  TensorPlan s;
  s.name = "s";
  s.dtype = DType::f32;
  if (format == ScaleFormat::packed_ue8m0) {
    s.dtype = DType::i32;
    columns = host::divide_up(columns, 4);
  }
  if (layout == ScaleLayout::row_major) {
    s.shape = q.shape;
    s.shape.back() = columns;
  } else {
    const std::int64_t stride =
        layout == ScaleLayout::column_major_tma_aligned ? rounded_up_to_4(rows.count) : rows.count;
    s.shape = {rows.count, columns};
    s.strides = {1, stride};
    s.storage_shape = {columns, stride};
  }
  return {q, s};
}

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  std::vector<ModelCase> cases;
  if (!host::is_float(model.dtype)) {
    return cases;
  }
  const auto add = [&](const std::string& label, std::int64_t width, const char* layout, const char* format) {
    const int size = std::gcd(static_cast<int>(width % 128) + 128, 128);
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
      host::dtype_param("q_dtype", {DType::fp8_e4m3, DType::fp8_e5m2, DType::i8}, DType::fp8_e4m3,
                        "element type of q"),
      host::integer_param("hidden", 16, max_hidden, std::nullopt, "elements of a row; a multiple of group"),
      host::listed_param("group", {16, 32, 64, 128}, 128, "neighbours that share a scale"),
      host::choice_param(
          "scale_layout", {"row_major", "column_major", "column_major_tma_aligned"},
          "where scales lie; column_major: token stride 1; tma_aligned: group stride T rounded up to 4"),
      host::choice_param(
          "scale_format", {"f32", "ue8m0", "packed_ue8m0"},
          "f32; ue8m0: f32 rounded up to a power of two; packed_ue8m0: 4 exponent bytes per int32, "
          "column_major_tma_aligned only"),
      host::listed_param("alignment", {2, 4, 8, 16}, 16,
                         "bytes of x per access; derived from the tensors' pointers and strides"),
  };
  op.params[hidden].multiple_of = 16;
  op.tunables = {
      {"threads", "threads of a block", {128, 256, 512}},
      {"vectors", "vectors of x per thread", {1, 2, 4}},
  };
  op.tensors = {
      {"x", Direction::in, false, "[..., hidden], x_dtype; rows may be strided"},
      {"q", Direction::out, false, "shape of x, q_dtype; rows may be strided"},
      {"s", Direction::out, false,
       "[..., hidden / group], f32, with the strides of scale_layout; packed_ue8m0: [T, ceil(hidden / group "
       "/ 4)] i32, "
       "strides (1, T rounded up to 4)"},
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

/// Checks s against its layout and returns the kernel's s_stride.
std::int64_t scale_stride(const quant::PerTokenGroup& arguments, std::int64_t rows, std::int64_t groups) {
  const TensorView& s = arguments.s;
  const bool packed = arguments.format == ScaleFormat::packed_ue8m0;
  const DType wanted = packed ? DType::i32 : DType::f32;
  if (s.dtype != wanted) [[unlikely]] {
    host::refuse_dtype(op_name, "s", s.dtype, packed ? "i32 (four ue8m0 exponents)" : "f32");
  }
  const std::int64_t columns = packed ? (groups + 3) / 4 : groups;
  const host::Rows s_rows = host::flatten(op_name, "s", s);
  if (s_rows.count != rows || s.dim(-1) != columns) [[unlikely]] {
    host::refuse_shape(op_name, "s", s,
                       fmt::format("{} rows of {} (the rows of x, one {} per {} elements)", rows, columns,
                                   packed ? "int32" : "scale", arguments.group * (packed ? 4 : 1)));
  }
  host::require_data(op_name, "s", s, rows);
  const auto address = reinterpret_cast<std::uintptr_t>(s.data);
  if (address % 4 != 0) [[unlikely]] {
    host::refuse_misaligned(op_name, "s", s);
  }
  if (arguments.layout == ScaleLayout::row_major) {
    if ((columns > 1 && s.stride(-1) != 1) || (rows > 1 && s_rows.stride < columns)) [[unlikely]] {
      host::refuse_shape(op_name, "s", s,
                         fmt::format("strides [>= {}, 1] for scale_layout = row_major", columns));
    }
    return s_rows.stride;
  }
  if (rows > 1 && s_rows.stride != 1) [[unlikely]] {
    host::refuse_shape(op_name, "s", s, "a token stride of 1 for a column-major scale_layout");
  }
  if (arguments.layout == ScaleLayout::column_major) {
    if (columns > 1 && s.stride(-1) < rows) [[unlikely]] {
      host::refuse_shape(op_name, "s", s,
                         fmt::format("strides [1, >= {}] for scale_layout = column_major", rows));
    }
    return s.stride(-1);
  }
  const std::int64_t padded = rounded_up_to_4(rows);
  if ((columns > 1 && s.stride(-1) != padded) || address % 16 != 0) [[unlikely]] {
    host::refuse_shape(
        op_name, "s", s,
        fmt::format("strides [1, {}] (T rounded up to 4) and a pointer that is a multiple of 16 for "
                    "scale_layout = column_major_tma_aligned; the pointer is {}",
                    padded, s.data));
  }
  return padded;
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
  if (q.dtype != DType::fp8_e4m3 && q.dtype != DType::fp8_e5m2 && q.dtype != DType::i8) [[unlikely]] {
    host::refuse_dtype(op_name, "q", q.dtype, "fp8_e4m3, fp8_e5m2 or i8");
  }
  const int size = arguments.group;
  if (size != 128 && size != 64 && size != 32 && size != 16) [[unlikely]] {
    refuse_group(size);
  }
  const host::Rows x_rows = host::contiguous_rows(op_name, "x", x);
  const host::Rows q_rows = host::output_rows(op_name, "q", q);
  const std::int64_t width = x.dim(-1);
  if (width < 1 || width > max_hidden || width % size != 0) [[unlikely]] {
    refuse_width(width, size);
  }
  if (!host::same_shape(x, q)) [[unlikely]] {
    host::refuse_shape(op_name, "q", q, fmt::format("the shape of x, {}", host::shape_text(x)));
  }
  if (x_rows.count > max_elements / width) [[unlikely]] {
    host::refuse_range(op_name, "the row count of x", x_rows.count, 0, max_elements / width);
  }
  host::require_data(op_name, "x", x, x_rows.count);
  host::require_data(op_name, "q", q, x_rows.count);
  host::require_device(op_name, "q", q, "x", x.device);
  host::require_device(op_name, "s", arguments.s, "x", x.device);
  if (arguments.format == ScaleFormat::packed_ue8m0 &&
      arguments.layout != ScaleLayout::column_major_tma_aligned) [[unlikely]] {
    host::refuse(op_name,
                 "scale_format = packed_ue8m0 needs scale_layout = column_major_tma_aligned; set it");
  }
  const std::int64_t s_stride = scale_stride(arguments, x_rows.count, width / size);

  const auto x_bytes = static_cast<std::int32_t>(size_of(x.dtype));
  std::int32_t aligned = host::alignment_of(host::misalignment(x, x_rows));
  if (aligned < x_bytes) [[unlikely]] {
    host::refuse_misaligned(op_name, "x", x);
  }
  // The widest class stores q by 16 bytes; the others store as many elements of q as they load of x.
  const std::int32_t q_aligned = host::alignment_of(host::misalignment(q, q_rows));
  aligned = q_aligned == 16 ? aligned : std::min({aligned, q_aligned * x_bytes, 8});

  Call call;
  call.spec.values[x_dtype] = host::number(x.dtype);
  call.spec.values[q_dtype] = host::number(q.dtype);
  call.spec.values[hidden] = static_cast<std::int32_t>(width);
  call.spec.values[group] = size;
  call.spec.values[scale_layout] = static_cast<std::int32_t>(arguments.layout);
  call.spec.values[scale_format] = static_cast<std::int32_t>(arguments.format);
  call.spec.values[alignment] = aligned;
  call.rows = x_rows.count;
  call.device = x.device;
  const std::int64_t padded =
      arguments.format == ScaleFormat::packed_ue8m0 ? rounded_up_to_4(x_rows.count) : x_rows.count;
  call.set_arguments(PerTokenGroupKernelArgs{x.data, q.data, arguments.s.data, x_rows.count, padded,
                                             x_rows.stride, q_rows.stride, s_stride});
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
