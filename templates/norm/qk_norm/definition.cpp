#include <kerncast/ops/norm/qk_norm.hpp>

#include "templates/norm/shared/qk_norm_heads.hpp"

namespace kerncast {
namespace {

constexpr std::string_view op_name = "norm.qk_norm";

Call bind(const Bindings& bindings) {
  const OpDefinition& op = norm::qk_norm_op();
  Call call = norm::qk_norm_call(norm::heads_from(op, bindings));
  norm::agree(op, call, bindings);
  return call;
}

}  // namespace

namespace ops {
OpDefinition norm_qk_norm_definition();
OpDefinition norm_qk_norm_definition() {
  OpDefinition op = norm::qk_norm_definition(op_name);
  op.summary = "Root-mean-square normalisation of the q and k heads of a packed qkv, in place";
  op.formula =
      "each q and k head x: x * rsqrt(mean(x^2) + eps) * weight (unit_offset: weight + 1), in f32, rounded "
      "once; mean + eps is at least 2^-126; v heads are left alone (Henry et al. 2020, arXiv:2010.04245; "
      "Qwen3 technical report)";
  op.include = "norm/qk_norm/kernel.cuh";
  op.kernel = "kerncast::norm::qk_norm_kernel";
  op.arguments_type = "kerncast::norm::QkNormKernelArgs";
  op.validate = [](const Specialisation& spec) { norm::validate_heads(op_name, spec); };
  op.bind = bind;
  op.plan_inputs = [](const Bindings& bindings, std::int64_t rows) {
    return norm::plan_heads(norm::qk_norm_op(), bindings, rows);
  };
  op.model_cases = norm::head_cases;
  return op;
}
}  // namespace ops

namespace norm {

const OpDefinition& qk_norm_op() {
  static const OpDefinition& op = OpRegistry::instance().require(op_name);
  return op;
}

Call qk_norm_call(const QkNorm& arguments) {
  HeadCall made = check_heads(op_name, arguments);
  made.call.set_arguments(made.arguments);
  return made.call;
}

void qk_norm(Runtime& runtime, const QkNorm& arguments, Stream stream) {
  runtime.dispatch(qk_norm_op(), qk_norm_call(arguments), stream);
}

PreparedLaunch prepare_qk_norm(Runtime& runtime, const QkNorm& arguments) {
  return runtime.prepare(qk_norm_op(), qk_norm_call(arguments));
}

}  // namespace norm
}  // namespace kerncast
