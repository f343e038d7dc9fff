#include <kerncast/ops/norm/qk_norm_rope.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "templates/host/checks.hpp"
#include "templates/host/define_op.hpp"
#include "templates/host/overlap.hpp"
#include "templates/host/tensor_check.hpp"
#include "templates/norm/qk_norm/spec_index.hpp"
#include "templates/norm/qk_norm_rope/kernel_args.h"
#include "templates/norm/shared/qk_norm_heads.hpp"

namespace kerncast::norm {
namespace {

using namespace qk_norm_params;

constexpr std::string_view op_name = QkNormRope::op_name;

/// The values of the parameter `angles`.
enum class RopeAngles : std::uint8_t {
  table,     ///< rows of cos_sin
  computed,  ///< positions times inv_freq
};

void describe(host::NamedArguments& named, QkNormRope& call) {
  describe_heads(named, call.norm);
  named.optional_input("cos_sin", call.cos_sin, "[max_position, rotary_dim], f32: cosines, then sines");
  named.input("positions", call.positions, "one per token, position_dtype");
  named.setting("rope_style", call.style);
  named.optional_input("inv_freq", call.inv_freq, "[rotary_dim / 2], f32: in place of cos_sin");
  named.scalar("attention_factor", call.attention_factor,
               "multiplies the cosines and sines that inv_freq gives; finite");
}

std::vector<TensorPlan> plan_inputs(const Bindings& bindings, std::int64_t rows) {
  const OpDefinition& op = definition_of<QkNormRope>();
  std::vector<TensorPlan> plans = plan_heads(op, bindings, rows);
  const std::int64_t rotary = host::required_param(op, bindings, "rotary_dim");
  TensorPlan source;
  source.name = "cos_sin";
  // Synthetic positions are small.
  source.shape = {64, rotary};
  if (host::setting(op, bindings, "angles") == static_cast<std::int32_t>(RopeAngles::computed)) {
    source.name = "inv_freq";
    source.shape = {rotary / 2};
  }
  plans.push_back(source);
  TensorPlan positions;
  positions.name = "positions";
  positions.dtype = host::dtype_setting(op, bindings, "position_dtype", DType::i64);
  positions.shape = {rows};
  plans.push_back(positions);
  return plans;
}

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  return head_cases(model, true);
}

/// Checks that there is one position for each of `tokens`.
void check_positions(const TensorView& positions, const TensorView& qkv, std::int64_t tokens) {
  if (positions.dtype != DType::i32 && positions.dtype != DType::i64) [[unlikely]] {
    host::refuse_dtype(op_name, "positions", positions.dtype, "i32 or i64");
  }
  const host::TensorCheck check(op_name, "positions", positions);
  const host::Rows rows = check.contiguous_rows();
  if (rows.count * positions.dim(-1) != tokens || (rows.count > 1 && rows.stride != positions.dim(-1)))
      [[unlikely]] {
    host::refuse_shape(op_name, "positions", positions,
                       fmt::format("{} contiguous elements, one for each token of qkv", tokens));
  }
  check.has_data(tokens).is_on_device_of("qkv", qkv).is_aligned(rows);
}

/// Checks the table and returns its rows.
host::Rows check_table(const TensorView& table, const TensorView& qkv, std::int64_t tokens) {
  const host::TensorCheck check(op_name, "cos_sin", table);
  const host::Rows rows = check.has_dtype(DType::f32).contiguous_rows();
  if (table.dim(-1) < 2 || table.dim(-1) > qkv.dim(-1) || table.dim(-1) % 2 != 0) [[unlikely]] {
    host::refuse_shape(op_name, "cos_sin", table,
                       fmt::format("a last dimension (rotary_dim) that is even and from 2 to {}, the last "
                                   "dimension of qkv",
                                   qkv.dim(-1)));
  }
  check.has_data(tokens).is_on_device_of("qkv", qkv);
  return rows;
}

/// Checks the inverse frequencies and returns them as one row.
host::Rows check_frequencies(const QkNormRope& arguments, std::int64_t tokens) {
  const TensorView& frequencies = arguments.inv_freq;
  const TensorView& qkv = arguments.norm.qkv;
  const host::TensorCheck check(op_name, "inv_freq", frequencies);
  const host::Rows rows = check.has_dtype(DType::f32).contiguous_rows();
  if (frequencies.rank != 1 || frequencies.dim(0) < 1 || frequencies.dim(0) > qkv.dim(-1) / 2) [[unlikely]] {
    host::refuse_shape(
        op_name, "inv_freq", frequencies,
        fmt::format("one dimension (rotary_dim / 2) from 1 to {}, half of the last dimension of "
                    "qkv",
                    qkv.dim(-1) / 2));
  }
  if (!std::isfinite(arguments.attention_factor)) [[unlikely]] {
    host::refuse(op_name, fmt::format("attention_factor is {}, but must be finite; 1 is usual",
                                      arguments.attention_factor));
  }
  check.has_data(tokens).is_on_device_of("qkv", qkv);
  return rows;
}

/// The parameter rotary_dim.
ParamSpec rotary_dim_param() {
  ParamSpec param =
      host::integer_param(2, 1024, std::nullopt, "elements of a head that turn; even, at most head_dim");
  param.multiple_of = 2;
  return param;
}

}  // namespace

Call bind(const QkNormRope& arguments) {
  const TensorView& qkv = arguments.norm.qkv;
  const bool computes = !arguments.inv_freq.absent();
  if (computes && !arguments.cos_sin.absent()) [[unlikely]] {
    host::refuse(op_name, "both cos_sin and inv_freq are given; give one of them");
  }
  const char* name = computes ? "inv_freq" : "cos_sin";
  const TensorView& source = computes ? arguments.inv_freq : arguments.cos_sin;
  HeadCall made = check_heads(op_name, arguments.norm);
  Specialisation& spec = made.call.spec;
  const host::Rows rows =
      computes ? check_frequencies(arguments, made.call.rows) : check_table(source, qkv, made.call.rows);
  check_positions(arguments.positions, qkv, made.call.rows);
  host::require_apart(op_name, {{"qkv", qkv}}, {{name, source}, {"positions", arguments.positions}});
  spec.values[rotary_dim] = static_cast<std::int32_t>(source.dim(-1) * (computes ? 2 : 1));
  spec.values[rope_style] = static_cast<std::int32_t>(arguments.style);
  spec.values[position_dtype] = host::to_param(arguments.positions.dtype);
  spec.values[angles] = static_cast<std::int32_t>(computes ? RopeAngles::computed : RopeAngles::table);
  spec.values[alignment] = rope_access(
      spec,
      std::min(spec[alignment], host::aligned_access_bytes(op_name, name, source, rows, size_of(qkv.dtype))));
  const auto* data = static_cast<const float*>(source.data);
  made.call.set_arguments(QkNormRopeKernelArgs{
      .norm = made.arguments,
      .cos_sin = computes ? nullptr : data,
      .positions = arguments.positions.data,
      .table_rows = rows.count,
      .table_stride = rows.stride,
      .inverse_frequencies = computes ? data : nullptr,
      .attention_factor = arguments.attention_factor,
  });
  return made.call;
}

}  // namespace kerncast::norm

KERNCAST_OP(norm, qk_norm_rope) {
  using namespace norm;
  OpDefinition op = host::define<QkNormRope, norm::describe>();
  op.summary = "Root-mean-square normalisation and rotary embedding of q and k heads, in place";
  op.formula =
      "each q and k head x: n = x * rsqrt(mean(x^2) + eps) * weight (unit_offset: weight + 1); of its first "
      "rotary_dim elements the pairs (i, i + rotary_dim / 2) (neox) or (2i, 2i + 1) (interleaved) become "
      "(a * cos_i - b * sin_i, b * cos_i + a * sin_i), cos_i = cos_sin[position][i], sin_i = "
      "cos_sin[position][rotary_dim / 2 + i], or the cosine and sine of position * inv_freq[i], times "
      "attention_factor; in f32, rounded once; outside of the table nothing turns; v heads are left alone "
      "(Su et al. 2021, arXiv:2104.09864; Qwen3 technical report)";
  add_head_params(op);
  host::append(
      op.params, host::param<rotary_dim>(rotary_dim_param()),
      host::param<rope_style>(host::choice_param({"neox", "interleaved"}, "which elements turn together")),
      host::param<position_dtype>(
          host::dtype_param({DType::i32, DType::i64}, DType::i64, "element type of positions")),
      host::param<angles>(host::choice_param({"table", "computed"}, "source of cosines and sines")));
  op.validate = [](const Specialisation& spec) { validate_heads(QkNormRope::op_name, spec); };
  op.plan_inputs = plan_inputs;
  op.model_cases = model_cases;
  return op;
}
