#include "templates/norm/rms_norm.hpp"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "templates/host/checks.hpp"
#include "templates/norm/rms_norm_args.h"
#include "templates/norm/rms_norm_params.hpp"

namespace kerncast {
namespace {

constexpr std::string_view op_name = "norm.rms_norm";
constexpr std::int64_t max_hidden = 65536;

using namespace norm::rms_norm_params;

void validate(const Specialisation& spec) {
  const std::int64_t x_bytes = size_of(host::dtype(spec[x_dtype]));
  if (spec[alignment] < x_bytes || spec[hidden] * x_bytes % spec[alignment] != 0) {
    const std::int32_t widest = host::alignment_of(static_cast<std::uint64_t>(spec[hidden] * x_bytes));
    host::refuse(
        op_name,
        fmt::format("alignment = {} must be at least an element ({} bytes) and divide a row of {} {} "
                    "({} bytes); widest valid: {}",
                    spec[alignment], x_bytes, spec[hidden], name_of(host::dtype(spec[x_dtype])),
                    spec[hidden] * x_bytes, widest));
  }
}

std::int64_t vectors_of(const Specialisation& spec) {
  return spec[hidden] * size_of(host::dtype(spec[x_dtype])) / spec[alignment];
}

Tunables default_tunables(const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
  const std::int64_t vectors = vectors_of(spec);
  std::int32_t lanes = 0;
  std::int32_t block = 0;
  if (host::bucket_ceiling(rows) <= device.sm_count) {
    // Latency counts: a row takes as many threads as it has vectors.
    lanes = std::clamp(host::power_of_two_above(vectors), 32, 1024);
    block = lanes;
  } else {
    // Throughput counts: two vectors in flight per thread, one where the exact arithmetic of f32 output makes
    // much of each element, and enough rows in a block to fill warps.
    const std::int64_t width = spec[hidden] / vectors;
    const std::int64_t taken = host::dtype(spec[y_dtype]) == DType::f32 && width > 4 ? 1 : 2;
    lanes = std::clamp(host::power_of_two_above(host::divide_up(vectors, taken)), 1, 1024);
    block = std::min(std::max(lanes, 256), lanes * 32);
  }
  Tunables tunables;
  tunables.values[threads] = std::max(block, 32);
  tunables.values[rows_per_block] = tunables.values[threads] / lanes;
  return tunables;
}

LaunchGeometry geometry(const Specialisation&, const Tunables& tunables, const DeviceTraits&,
                        std::int64_t rows) noexcept {
  LaunchGeometry made = host::linear_grid(host::divide_up(rows, tunables[rows_per_block]));
  made.block[0] = static_cast<std::uint32_t>(tunables[threads]);
  return made;
}

Call bind(const Bindings& bindings) {
  const OpDefinition& op = norm::rms_norm_op();
  norm::RmsNorm arguments;
  arguments.x = bindings.require_tensor(op_name, "x");
  arguments.y = bindings.require_tensor(op_name, "y");
  arguments.weight = bindings.tensor_or_absent("weight");
  arguments.eps = static_cast<float>(bindings.scalar("eps").value_or(1e-6));
  arguments.weight_offset = static_cast<float>(bindings.scalar("weight_offset").value_or(0.0));
  arguments.hf_rounding = host::setting(op, bindings, "hf_rounding").value_or(0) != 0;
  Call call = norm::rms_norm_call(arguments);
  // The narrowest kernel a caller names serves better aligned tensors too.
  if (const auto wanted = host::setting(op, bindings, "alignment");
      wanted && *wanted < call.spec[alignment]) {
    call.spec.values[alignment] = *wanted;
    validate(call.spec);
  }
  check_settings_agree(op, call.spec, bindings);
  return call;
}

std::vector<TensorPlan> plan_inputs(const Bindings& bindings, std::int64_t rows) {
  const OpDefinition& op = norm::rms_norm_op();
  const std::optional<std::int32_t> width = host::setting(op, bindings, "hidden");
  if (!width) {
    host::refuse(op_name, "parameter hidden is required to make inputs; give it as hidden=VALUE");
  }
  const std::int32_t x_type = host::setting(op, bindings, "x_dtype").value_or(host::number(DType::bf16));
  const std::int32_t weight_type = host::setting(op, bindings, "weight_dtype").value_or(x_type);
  std::vector<TensorPlan> plans(1);
  plans[0].name = "x";
  plans[0].dtype = host::dtype(x_type);
  plans[0].shape = {rows, *width};
  if (host::setting(op, bindings, "has_weight").value_or(1) != 0) {
    plans.emplace_back();
    plans[1].name = "weight";
    plans[1].dtype = host::dtype(weight_type);
    plans[1].shape = {*width};
  }
  return plans;
}

std::vector<TensorPlan> plan_outputs(const Bindings& bindings) {
  const TensorView& x = bindings.require_tensor(op_name, "x");
  const std::optional<std::int32_t> type = host::setting(norm::rms_norm_op(), bindings, "y_dtype");
  TensorPlan y;
  y.name = "y";
  y.dtype = type ? host::dtype(*type) : x.dtype;
  y.shape.assign(x.shape.begin(), x.shape.begin() + x.rank);
  return {y};
}

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  std::vector<ModelCase> cases;
  const auto add = [&](std::string label, std::int64_t width) {
    if (width < 1 || width > max_hidden) {
      return;
    }
    const std::string type(name_of(model.dtype));
    ModelCase made;
    made.label = std::move(label);
    made.params = {
        {"x_dtype", type}, {"weight_dtype", type}, {"y_dtype", type}, {"hidden", std::to_string(width)}};
    if (const std::int32_t aligned =
            host::alignment_of(static_cast<std::uint64_t>(width * size_of(model.dtype)));
        aligned < 16) {
      made.params.emplace_back("alignment", std::to_string(aligned));
    }
    made.scalars = {{"eps", model.norm_eps}, {"weight_offset", model.norm_weight_offset}};
    cases.push_back(std::move(made));
  };
  if (!host::is_float(model.dtype)) {
    return cases;
  }
  if (model.layer_norm) {
    // Wan normalises q and k over all heads at once; the other diffusion transformers per head, another op.
    if (model.name.find("Wan") != std::string::npos || model.architecture.find("Wan") != std::string::npos) {
      add("attention norm_q, norm_k", model.hidden);
    }
    return cases;
  }
  add("input_layernorm, post_attention_layernorm", model.hidden);
  add("q_a_layernorm", model.q_lora_rank);
  add("kv_a_layernorm", model.kv_lora_rank);
  return cases;
}

OpDefinition make_definition() {
  OpDefinition op;
  op.name = op_name;
  op.summary = "Root-mean-square normalisation of rows";
  op.formula =
      "y = x * rsqrt(mean(x^2) + eps) * (weight + weight_offset), in f32, rounded once; hf_rounding also "
      "rounds "
      "x * rsqrt(...) to x's dtype. mean + eps is at least 2^-126 (Zhang and Sennrich 2019, "
      "arXiv:1910.07467)";
  op.include = "norm/rms_norm.cuh";
  op.kernel = "kerncast::norm::rms_norm_kernel";
  op.arguments_type = "kerncast::norm::RmsNormKernelArgs";
  const auto floats = {DType::bf16, DType::f16, DType::f32};
  op.params = {
      host::dtype_param("x_dtype", floats, DType::bf16, "element type of x"),
      host::dtype_param("weight_dtype", floats, DType::bf16,
                        "element type of weight; x's where there is no weight"),
      host::dtype_param("y_dtype", floats, DType::bf16, "element type of y"),
      host::integer_param("hidden", 1, max_hidden, std::nullopt, "elements of a row"),
      host::listed_param("alignment", {2, 4, 8, 16}, 16,
                         "bytes of x per access; derived from the tensors' pointers, strides and width"),
      host::flag_param("has_weight", true, "multiply by weight + weight_offset"),
      host::flag_param("hf_rounding", false, "round the normalised row to x's dtype before the weight"),
  };
  op.tunables = {
      {"threads", "threads of a block", {32, 64, 128, 256, 512, 1024}},
      {"rows_per_block", "rows that share a block", {1, 2, 4, 8, 16, 32}},
  };
  op.tensors = {
      {"x", Direction::in, false, "[..., hidden], x_dtype; rows may be strided"},
      {"weight", Direction::in, true, "[hidden], weight_dtype"},
      {"y", Direction::out, false, "shape of x, y_dtype; rows may be strided; may be x itself"},
  };
  op.scalars = {
      {"eps", 1e-6, "added to the mean square; not negative"},
      {"weight_offset", 0.0, "added to the weight (1: Gemma)"},
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

/// Most bytes of x per access under which equally many elements of `view` are accessed aligned; an element
/// wider than x's needs no more than 16 bytes.
std::int32_t vector_limit(std::string_view name, const TensorView& view, const host::Rows& rows,
                          std::int64_t x_bytes) {
  const std::int32_t aligned = host::alignment_of(host::misalignment(view, rows));
  const std::int64_t bytes = size_of(view.dtype);
  if (aligned < bytes) [[unlikely]] {
    host::refuse_misaligned(op_name, name, view);
  }
  return aligned == 16 ? 16 : static_cast<std::int32_t>(aligned * x_bytes / bytes);
}

}  // namespace

namespace ops {
OpDefinition norm_rms_norm_definition();
OpDefinition norm_rms_norm_definition() {
  return make_definition();
}
}  // namespace ops

namespace norm {

const OpDefinition& rms_norm_op() {
  static const OpDefinition& op = OpRegistry::instance().require(op_name);
  return op;
}

Call rms_norm_call(const RmsNorm& arguments) {
  const TensorView& x = arguments.x;
  const TensorView& y = arguments.y;
  const TensorView& weight = arguments.weight;
  host::require_float(op_name, "x", x);
  host::require_float(op_name, "y", y);
  const host::Rows x_rows = host::contiguous_rows(op_name, "x", x);
  const host::Rows y_rows = host::output_rows(op_name, "y", y);
  const std::int64_t width = x.dim(-1);
  if (width < 1 || width > max_hidden) [[unlikely]] {
    host::refuse_range(op_name, "the last dimension of x (hidden)", width, 1, max_hidden);
  }
  if (!host::same_shape(x, y)) [[unlikely]] {
    host::refuse_shape(op_name, "y", y, fmt::format("the shape of x, {}", host::shape_text(x)));
  }
  host::require_data(op_name, "x", x, x_rows.count);
  host::require_data(op_name, "y", y, x_rows.count);
  host::require_device(op_name, "y", y, "x", x.device);
  if (!(arguments.eps >= 0.0F) || arguments.eps > std::numeric_limits<float>::max()) [[unlikely]] {
    host::refuse(op_name,
                 fmt::format("eps is {}, but must be finite and not negative; 1e-6 is usual", arguments.eps));
  }

  const std::int64_t x_bytes = size_of(x.dtype);
  std::int32_t aligned =
      std::min({host::alignment_of(static_cast<std::uint64_t>(width * x_bytes)),
                vector_limit("x", x, x_rows, x_bytes), vector_limit("y", y, y_rows, x_bytes)});
  const bool weighted = !weight.absent();
  if (weighted) {
    host::require_float(op_name, "weight", weight);
    if (weight.rank != 1 || weight.dim(0) != width) [[unlikely]] {
      host::refuse_shape(op_name, "weight", weight,
                         fmt::format("shape [{}], the last dimension of x", width));
    }
    const host::Rows weight_rows = host::contiguous_rows(op_name, "weight", weight);
    host::require_data(op_name, "weight", weight, x_rows.count);
    host::require_device(op_name, "weight", weight, "x", x.device);
    aligned = std::min(aligned, vector_limit("weight", weight, weight_rows, x_bytes));
  } else if (arguments.weight_offset != 0.0F) [[unlikely]] {
    host::refuse(
        op_name,
        fmt::format("weight_offset is {}, but there is no weight to add it to; give a weight or leave "
                    "the offset at 0",
                    arguments.weight_offset));
  }
  Call call;
  call.spec.values[x_dtype] = host::number(x.dtype);
  call.spec.values[weight_dtype] = host::number(weighted ? weight.dtype : x.dtype);
  call.spec.values[y_dtype] = host::number(y.dtype);
  call.spec.values[hidden] = static_cast<std::int32_t>(width);
  call.spec.values[alignment] = aligned;
  call.spec.values[has_weight] = weighted ? 1 : 0;
  call.spec.values[hf_rounding] = arguments.hf_rounding ? 1 : 0;
  call.rows = x_rows.count;
  call.device = x.device;
  call.set_arguments(RmsNormKernelArgs{x.data, weight.data, y.data, x_rows.count, x_rows.stride,
                                       y_rows.stride, arguments.eps, arguments.weight_offset});
  return call;
}

void rms_norm(Runtime& runtime, const RmsNorm& arguments, Stream stream) {
  runtime.dispatch(rms_norm_op(), rms_norm_call(arguments), stream);
}

PreparedLaunch prepare_rms_norm(Runtime& runtime, const RmsNorm& arguments) {
  return runtime.prepare(rms_norm_op(), rms_norm_call(arguments));
}

}  // namespace norm
}  // namespace kerncast
