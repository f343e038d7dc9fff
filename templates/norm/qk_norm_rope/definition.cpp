#include <kerncast/ops/norm/qk_norm_rope.hpp>

#include <fmt/format.h>

#include <algorithm>

#include "templates/host/access.hpp"
#include "templates/norm/qk_norm/spec_index.hpp"
#include "templates/norm/qk_norm_rope/kernel_args.h"
#include "templates/norm/shared/qk_norm_heads.hpp"

namespace kerncast {
namespace {

using namespace norm::qk_norm_params;

constexpr std::string_view op_name = "norm.qk_norm_rope";

Call bind(const Bindings& bindings) {
  const OpDefinition& op = norm::qk_norm_rope_op();
  norm::QkNormRope arguments;
  arguments.norm = norm::heads_from(op, bindings);
  arguments.cos_sin = bindings.require_tensor(op_name, "cos_sin");
  arguments.positions = bindings.require_tensor(op_name, "positions");
  arguments.style = static_cast<norm::RopeStyle>(host::setting(op, bindings, "rope_style").value_or(0));
  Call call = norm::qk_norm_rope_call(arguments);
  norm::agree(op, call, bindings);
  return call;
}

std::vector<TensorPlan> plan_inputs(const Bindings& bindings, std::int64_t rows) {
  const OpDefinition& op = norm::qk_norm_rope_op();
  std::vector<TensorPlan> plans = norm::plan_heads(op, bindings, rows);
  TensorPlan table;
  table.name = "cos_sin";
  // Synthetic positions are small.
  table.shape = {64, norm::required_setting(op, bindings, "rotary_dim")};
  plans.push_back(table);
  TensorPlan positions;
  positions.name = "positions";
  positions.dtype =
      host::dtype(host::setting(op, bindings, "position_dtype").value_or(host::number(DType::i64)));
  positions.shape = {rows};
  plans.push_back(positions);
  return plans;
}

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  std::vector<ModelCase> cases = norm::head_cases(model);
  if (model.rotary_dim < 2 || model.rotary_dim > model.head_dim || model.rotary_dim % 2 != 0) {
    return {};
  }
  for (ModelCase& made : cases) {
    made.label += ", rope";
    made.params.emplace_back("rotary_dim", std::to_string(model.rotary_dim));
    made.params.emplace_back("rope_style", model.rope_interleaved ? "interleaved" : "neox");
  }
  return cases;
}

/// Checks that there is one position for each of `tokens`.
void check_positions(const TensorView& positions, std::int64_t tokens, int device) {
  if (positions.dtype != DType::i32 && positions.dtype != DType::i64) [[unlikely]] {
    host::refuse_dtype(op_name, "positions", positions.dtype, "i32 or i64");
  }
  const host::Rows rows = host::contiguous_rows(op_name, "positions", positions);
  if (rows.count * positions.dim(-1) != tokens || (rows.count > 1 && rows.stride != positions.dim(-1)))
      [[unlikely]] {
    host::refuse_shape(op_name, "positions", positions,
                       fmt::format("{} contiguous elements, one for each token of qkv", tokens));
  }
  host::require_data(op_name, "positions", positions, tokens);
  host::require_device(op_name, "positions", positions, "qkv", device);
  if (host::alignment_of(host::misalignment(positions, rows)) < size_of(positions.dtype)) [[unlikely]] {
    host::refuse_misaligned(op_name, "positions", positions);
  }
}

/// Checks the table and returns its rows.
host::Rows check_table(const TensorView& table, const TensorView& qkv, std::int64_t tokens) {
  if (table.dtype != DType::f32) [[unlikely]] {
    host::refuse_dtype(op_name, "cos_sin", table.dtype, "f32");
  }
  const host::Rows rows = host::contiguous_rows(op_name, "cos_sin", table);
  if (table.dim(-1) < 2 || table.dim(-1) > qkv.dim(-1) || table.dim(-1) % 2 != 0) [[unlikely]] {
    host::refuse_shape(op_name, "cos_sin", table,
                       fmt::format("a last dimension (rotary_dim) that is even and from 2 to {}, the last "
                                   "dimension of qkv",
                                   qkv.dim(-1)));
  }
  host::require_data(op_name, "cos_sin", table, tokens);
  host::require_device(op_name, "cos_sin", table, "qkv", qkv.device);
  return rows;
}

}  // namespace

namespace ops {
OpDefinition norm_qk_norm_rope_definition();
OpDefinition norm_qk_norm_rope_definition() {
  OpDefinition op = norm::qk_norm_definition(op_name);
  op.summary = "Root-mean-square normalisation and rotary embedding of q and k heads, in place";
  op.formula =
      "each q and k head x: n = x * rsqrt(mean(x^2) + eps) * weight (unit_offset: weight + 1); of its first "
      "rotary_dim elements the pairs (i, i + rotary_dim / 2) (neox) or (2i, 2i + 1) (interleaved) become "
      "(a * cos_i - b * sin_i, b * cos_i + a * sin_i), cos_i = cos_sin[position][i], sin_i = "
      "cos_sin[position][rotary_dim / 2 + i]; in f32, rounded once; outside of the table nothing turns; v "
      "heads are left alone (Su et al. 2021, arXiv:2104.09864; Qwen3 technical report)";
  op.include = "norm/qk_norm_rope/kernel.cuh";
  op.kernel = "kerncast::norm::qk_norm_rope_kernel";
  op.arguments_type = "kerncast::norm::QkNormRopeKernelArgs";
  op.params.push_back(host::integer_param("rotary_dim", 2, 1024, std::nullopt,
                                          "elements of a head that turn; even, at most head_dim"));
  op.params.back().multiple_of = 2;
  op.params.push_back(
      host::choice_param("rope_style", {"neox", "interleaved"}, "which elements turn together"));
  op.params.push_back(
      host::dtype_param("position_dtype", {DType::i32, DType::i64}, DType::i64, "element type of positions"));
  op.tensors.push_back(
      {"cos_sin", Direction::in, false, "[max_position, rotary_dim], f32: cosines, then sines"});
  op.tensors.push_back({"positions", Direction::in, false, "one per token, position_dtype"});
  op.validate = [](const Specialisation& spec) { norm::validate_heads(op_name, spec); };
  op.bind = bind;
  op.plan_inputs = plan_inputs;
  op.model_cases = model_cases;
  return op;
}
}  // namespace ops

namespace norm {

const OpDefinition& qk_norm_rope_op() {
  static const OpDefinition& op = OpRegistry::instance().require(op_name);
  return op;
}

Call qk_norm_rope_call(const QkNormRope& arguments) {
  const TensorView& qkv = arguments.norm.qkv;
  const TensorView& table = arguments.cos_sin;
  HeadCall made = check_heads(op_name, arguments.norm);
  Specialisation& spec = made.call.spec;
  const host::Rows rows = check_table(table, qkv, made.call.rows);
  check_positions(arguments.positions, made.call.rows, qkv.device);
  spec.values[rotary_dim] = static_cast<std::int32_t>(table.dim(-1));
  spec.values[rope_style] = static_cast<std::int32_t>(arguments.style);
  spec.values[position_dtype] = host::number(arguments.positions.dtype);
  spec.values[alignment] = rope_access(
      spec,
      std::min(spec[alignment], host::access_limit(op_name, "cos_sin", table, rows, size_of(qkv.dtype))));
  made.call.set_arguments(QkNormRopeKernelArgs{made.arguments, static_cast<const float*>(table.data),
                                               arguments.positions.data, rows.count, rows.stride});
  return made.call;
}

void qk_norm_rope(Runtime& runtime, const QkNormRope& arguments, Stream stream) {
  runtime.dispatch(qk_norm_rope_op(), qk_norm_rope_call(arguments), stream);
}

PreparedLaunch prepare_qk_norm_rope(Runtime& runtime, const QkNormRope& arguments) {
  return runtime.prepare(qk_norm_rope_op(), qk_norm_rope_call(arguments));
}

}  // namespace norm
}  // namespace kerncast
