#include <kerncast/ops/norm/qk_norm.hpp>

#include "templates/host/define_op.hpp"
#include "templates/norm/shared/qk_norm_heads.hpp"

namespace kerncast::norm {

Call bind(const QkNorm& arguments) {
  HeadCall made = check_heads(QkNorm::op_name, arguments);
  made.call.set_arguments(made.arguments);
  return made.call;
}

}  // namespace kerncast::norm

KERNCAST_OP(norm, qk_norm) {
  using namespace norm;
  OpDefinition op = host::define<QkNorm, describe_heads>();
  op.summary = "Root-mean-square normalisation of the q and k heads of a packed qkv, in place";
  op.formula =
      "each q and k head x: x * rsqrt(mean(x^2) + eps) * weight (unit_offset: weight + 1), in f32, rounded "
      "once; mean + eps is at least 2^-126; v heads are left alone (Henry et al. 2020, arXiv:2010.04245; "
      "Qwen3 technical report)";
  add_head_params(op);
  op.validate = [](const Specialisation& spec) { validate_heads(QkNorm::op_name, spec); };
  op.plan_inputs = [](const Bindings& bindings, std::int64_t rows) {
    return plan_heads(definition_of<QkNorm>(), bindings, rows);
  };
  op.model_cases = [](const ModelConfig& model) { return head_cases(model, false); };
  return op;
}
