#include "templates/norm/shared/qk_norm_heads.hpp"
#include "templates/host/overlap.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "templates/host/checks.hpp"
#include "templates/norm/qk_norm/spec_index.hpp"

namespace kerncast::norm {
namespace {

using namespace qk_norm_params;

constexpr std::int32_t max_heads = 1024;
constexpr std::int32_t max_head_dim = 1024;

std::int32_t element_bytes(const Specialisation& spec) {
  return static_cast<std::int32_t>(size_of(host::dtype_from_param(spec[qkv_dtype])));
}

/// Lanes that share a head, as the kernel divides it: two vectors for each lane if there are enough lanes.
std::int32_t lanes_of(const Specialisation& spec) {
  const std::int32_t vectors = spec[head_dim] * element_bytes(spec) / spec[alignment];
  const std::int32_t width = spec[alignment] / element_bytes(spec);
  const std::int32_t turning = spec[rope_style] == 0 ? spec[rotary_dim] / 2 / width : 0;
  return std::min(host::power_of_two_above(turning + (vectors - 2 * turning + 1) / 2), 32);
}

Tunables default_tunables(const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
  const std::int32_t heads = spec[q_heads] + spec[kv_heads];
  const std::int64_t lanes = lanes_of(spec);
  Tunables tunables;
  tunables.values[threads] = 128;
  // If latency counts: as many groups of lanes as there are heads.
  tunables.values[slots] = std::min(host::power_of_two_above(heads), 128);
  // If throughput counts: a row of the table, once loaded, serves several heads, and no group idles for long.
  std::int32_t least_idle = std::numeric_limits<std::int32_t>::max();
  for (std::int32_t count = 64; count >= 1; count /= 2) {
    const auto turns = static_cast<std::int32_t>(host::divide_up(heads, count));
    const std::int32_t idle = turns * count - heads;
    const bool busy = host::bucket_ceiling(rows) * count * lanes >= std::int64_t{device.sm_count} * 1024;
    if (turns >= 3 && turns <= 16 && busy && idle < least_idle) {
      least_idle = idle;
      tunables.values[slots] = count;
    }
  }
  return tunables;
}

LaunchGeometry geometry(const Specialisation& spec, const Tunables& tunables, const DeviceTraits&,
                        std::int64_t rows) noexcept {
  const std::int64_t per_block = tunables[threads] / lanes_of(spec);
  LaunchGeometry made = host::linear_grid(host::divide_up(rows * tunables[slots], per_block));
  made.block[0] = static_cast<std::uint32_t>(tunables[threads]);
  return made;
}

std::vector<TensorPlan> no_outputs(const Bindings&) {
  return {};
}

/// The tokens of qkv. Refuses tokens or heads that overlap or do not have one stride.
host::Rows token_rows(std::string_view op, const TensorView& qkv) {
  if (qkv.rank < 2 || qkv.rank > TensorView::max_rank) [[unlikely]] {
    host::refuse_shape(op, "qkv", qkv, "the dimensions [..., q_heads + 2 * kv_heads, head_dim]");
  }
  TensorView heads = qkv;
  --heads.rank;
  const host::Rows tokens = host::flatten(op, "qkv", heads);
  if (qkv.stride(-1) != 1 && qkv.dim(-1) > 1) [[unlikely]] {
    host::refuse_last_stride(op, "qkv", qkv);
  }
  const std::int64_t width = qkv.dim(-1);
  const std::int64_t step = heads.dim(-1) > 1 ? heads.stride(-1) : width;
  const std::int64_t token_extent = (heads.dim(-1) - 1) * step + width;
  const bool token_major = step >= width && (tokens.count <= 1 || tokens.stride >= token_extent);
  const bool head_major = tokens.stride >= width && step >= (tokens.count - 1) * tokens.stride + width;
  if (!token_major && !head_major) [[unlikely]] {
    host::refuse_overlap(op, "qkv", qkv);
  }
  return tokens;
}

std::int32_t weight_access(std::string_view op, std::string_view name, const TensorView& weight,
                           const QkNorm& arguments, std::int64_t tokens) {
  const TensorView& qkv = arguments.qkv;
  host::require_float(op, name, weight);
  if (weight.dtype != arguments.q_weight.dtype) [[unlikely]] {
    host::refuse_dtype(op, name, weight.dtype,
                       fmt::format("{}, as q_weight is", name_of(arguments.q_weight.dtype)));
  }
  if (weight.rank != 1 || weight.dim(0) != qkv.dim(-1)) [[unlikely]] {
    host::refuse_shape(op, name, weight, fmt::format("shape [{}], the last dimension of qkv", qkv.dim(-1)));
  }
  const host::Rows rows = host::contiguous_rows(op, name, weight);
  host::require_data(op, name, weight, tokens);
  host::require_device(op, name, weight, "qkv", qkv.device);
  return host::aligned_access_bytes(op, name, weight, rows, size_of(qkv.dtype));
}

}  // namespace

std::int32_t rope_access(const Specialisation& spec, std::int32_t aligned) {
  const std::int32_t bytes = element_bytes(spec);
  if (spec[rotary_dim] == 0) {
    return aligned;
  }
  // Neox: a vector of the first half turns with one of the second half. Interleaved: pairs lie in a vector,
  // or two vectors of one element are a pair.
  const std::int32_t together = spec[rope_style] == 0 ? spec[rotary_dim] / 2 : spec[rotary_dim];
  return std::min(aligned, host::alignment_of(static_cast<std::uint64_t>(std::int64_t{together} * bytes)));
}

void validate_heads(std::string_view op, const Specialisation& spec) {
  if (spec[rotary_dim] > spec[head_dim] || spec[rotary_dim] % 2 != 0) {
    host::refuse(op, fmt::format("rotary_dim is {}, but must be even and at most the head_dim of {}; "
                                 "nearest valid: {}",
                                 spec[rotary_dim], spec[head_dim],
                                 std::max(2, std::min(spec[rotary_dim], spec[head_dim]) / 2 * 2)));
  }
  const std::int32_t row = spec[head_dim] * element_bytes(spec);
  const std::int32_t widest = rope_access(spec, host::alignment_of(static_cast<std::uint64_t>(row)));
  if (spec[alignment] < element_bytes(spec) || spec[alignment] > widest) {
    host::refuse(op, fmt::format("alignment = {} must be at least an element ({} bytes), divide a head of {} "
                                 "bytes and keep apart what turns together; widest valid: {}",
                                 spec[alignment], element_bytes(spec), row, widest));
  }
}

HeadCall check_heads(std::string_view op, const QkNorm& arguments) {
  const TensorView& qkv = arguments.qkv;
  host::require_float(op, "qkv", qkv);
  const host::Rows tokens = token_rows(op, qkv);
  const std::int64_t width = qkv.dim(-1);
  if (width < 1 || width > max_head_dim) [[unlikely]] {
    host::refuse_range(op, "the last dimension of qkv (head_dim)", width, 1, max_head_dim);
  }
  if (arguments.q_heads < 1 || arguments.q_heads > max_heads) [[unlikely]] {
    host::refuse_range(op, "q_heads", arguments.q_heads, 1, max_heads);
  }
  if (arguments.kv_heads < 1 || arguments.kv_heads > max_heads) [[unlikely]] {
    host::refuse_range(op, "kv_heads", arguments.kv_heads, 1, max_heads);
  }
  if (const std::int64_t heads = arguments.q_heads + 2 * arguments.kv_heads; qkv.dim(-2) != heads)
      [[unlikely]] {
    host::refuse_shape(op, "qkv", qkv,
                       fmt::format("{} heads in the dimension before the last (q_heads = {} and twice "
                                   "kv_heads = {})",
                                   heads, arguments.q_heads, arguments.kv_heads));
  }
  host::require_data(op, "qkv", qkv, tokens.count);
  if (!(arguments.eps >= 0.0F) || arguments.eps > std::numeric_limits<float>::max()) [[unlikely]] {
    host::refuse(op,
                 fmt::format("eps is {}, but must be finite and not negative; 1e-6 is usual", arguments.eps));
  }
  host::require_apart(op, {{"qkv", qkv}},
                      {{"q_weight", arguments.q_weight}, {"k_weight", arguments.k_weight}});
  const auto bytes = static_cast<std::uint64_t>(size_of(qkv.dtype));
  const std::int32_t aligned = host::alignment_of(host::misalignment(qkv, tokens) |
                                                  static_cast<std::uint64_t>(qkv.stride(-2)) * bytes |
                                                  static_cast<std::uint64_t>(width) * bytes);
  if (aligned < size_of(qkv.dtype)) [[unlikely]] {
    host::refuse_misaligned(op, "qkv", qkv);
  }
  HeadCall made;
  Specialisation& spec = made.call.spec;
  spec.values[qkv_dtype] = host::to_param(qkv.dtype);
  spec.values[weight_dtype] = host::to_param(arguments.q_weight.dtype);
  spec.values[q_heads] = arguments.q_heads;
  spec.values[kv_heads] = arguments.kv_heads;
  spec.values[head_dim] = static_cast<std::int32_t>(width);
  spec.values[alignment] =
      std::min({aligned, weight_access(op, "q_weight", arguments.q_weight, arguments, tokens.count),
                weight_access(op, "k_weight", arguments.k_weight, arguments, tokens.count)});
  spec.values[unit_offset] = arguments.unit_offset ? 1 : 0;
  made.call.rows = tokens.count;
  made.call.device = qkv.device;
  made.arguments = {
      .qkv = qkv.data,
      .q_weight = arguments.q_weight.data,
      .k_weight = arguments.k_weight.data,
      .tokens = tokens.count,
      .token_stride = tokens.stride,
      .head_stride = qkv.stride(-2),
      .eps = arguments.eps,
  };
  return made;
}

void describe_heads(host::NamedArguments& named, QkNorm& call) {
  named.in_place("qkv", call.qkv,
                 "[..., q_heads + 2 * kv_heads, head_dim], qkv_dtype; tokens and heads may be strided");
  named.input("q_weight", call.q_weight, "[head_dim], weight_dtype");
  named.input("k_weight", call.k_weight, "[head_dim], weight_dtype");
  named.required_setting("q_heads", call.q_heads);
  named.required_setting("kv_heads", call.kv_heads);
  named.scalar("eps", call.eps, "added to the mean square; not negative");
  named.setting("unit_offset", call.unit_offset);
}

std::vector<TensorPlan> plan_heads(const OpDefinition& op, const Bindings& bindings, std::int64_t rows) {
  const std::int32_t width = host::required_param(op, bindings, "head_dim");
  const std::int32_t heads =
      host::required_param(op, bindings, "q_heads") + 2 * host::required_param(op, bindings, "kv_heads");
  const DType type = host::dtype_setting(op, bindings, "qkv_dtype", DType::bf16);
  const DType weight_type = host::dtype_setting(op, bindings, "weight_dtype", type);
  std::vector<TensorPlan> plans(3);
  plans[0].name = "qkv";
  plans[0].dtype = type;
  plans[0].shape = {rows, heads, width};
  plans[1].name = "q_weight";
  plans[2].name = "k_weight";
  for (std::size_t i = 1; i < 3; ++i) {
    plans[i].dtype = weight_type;
    plans[i].shape = {width};
  }
  return plans;
}

std::vector<ModelCase> head_cases(const ModelConfig& model, bool rope) {
  std::vector<ModelCase> cases;
  const std::string type(name_of(model.dtype));
  for (const ModelHeadNorm& norm : model.head_norms) {
    const bool there = rope ? norm.rotary_dim > 0 && norm.rotary_dim <= norm.head_dim : norm.alone;
    const auto within = [](std::int64_t value, std::int64_t most) { return value >= 1 && value <= most; };
    if (!there || norm.rotary_dim % 2 != 0 || !host::is_float(model.dtype) ||
        !within(norm.q_heads, max_heads) || !within(norm.kv_heads, max_heads) ||
        !within(norm.head_dim, max_head_dim)) {
      continue;
    }
    ModelCase made;
    made.label = rope ? norm.place + ", rope" : norm.place;
    made.params = {{"qkv_dtype", type},
                   {"weight_dtype", type},
                   {"q_heads", std::to_string(norm.q_heads)},
                   {"kv_heads", std::to_string(norm.kv_heads)},
                   {"head_dim", std::to_string(norm.head_dim)},
                   {"unit_offset", norm.unit_offset ? "true" : "false"}};
    Specialisation spec;
    spec.values[qkv_dtype] = host::to_param(model.dtype);
    spec.values[head_dim] = static_cast<std::int32_t>(norm.head_dim);
    if (rope) {
      made.params.emplace_back("rotary_dim", std::to_string(norm.rotary_dim));
      made.params.emplace_back("rope_style", norm.rope_interleaved ? "interleaved" : "neox");
      spec.values[rotary_dim] = static_cast<std::int32_t>(norm.rotary_dim);
      spec.values[rope_style] = norm.rope_interleaved ? 1 : 0;
    }
    const std::int32_t row =
        host::alignment_of(static_cast<std::uint64_t>(norm.head_dim * size_of(model.dtype)));
    if (const std::int32_t aligned = rope_access(spec, std::min(row, 16)); aligned < 16) {
      made.params.emplace_back("alignment", std::to_string(aligned));
    }
    made.scalars = {{"eps", model.norm_eps}};
    cases.push_back(std::move(made));
  }
  return cases;
}

void add_head_params(OpDefinition& op) {
  const auto floats = {DType::bf16, DType::f16, DType::f32};
  op.params = host::params(
      host::param<qkv_dtype>(host::dtype_param(floats, DType::bf16, "element type of qkv")),
      host::param<weight_dtype>(
          host::dtype_param(floats, DType::bf16, "element type of q_weight and k_weight")),
      host::param<q_heads>(host::integer_param(1, max_heads, std::nullopt, "q heads of a token")),
      host::param<kv_heads>(
          host::integer_param(1, max_heads, std::nullopt, "k heads of a token, and v heads")),
      host::param<head_dim>(host::integer_param(1, max_head_dim, std::nullopt, "elements of a head")),
      host::param<alignment>(host::listed_param(
          {2, 4, 8, 16}, 16, "bytes of qkv per access; derived from pointers, strides and widths")),
      host::param<unit_offset>(host::flag_param(false, "multiply by weight + 1 (Gemma)")));
  op.tunables = host::tunables(
      host::tunable_range<threads>("threads of a block", 32, 512, 32),
      host::tunable<slots>("groups of lanes that share the heads of a token", {1, 2, 4, 8, 16, 32, 64, 128}));
  op.default_tunables = default_tunables;
  op.geometry = geometry;
  op.plan_outputs = no_outputs;
}

}  // namespace kerncast::norm
