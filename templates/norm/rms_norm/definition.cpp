#include <kerncast/ops/norm/rms_norm.hpp>

#include "templates/host/define_op.hpp"
#include "templates/norm/rms_norm/kernel_args.h"
#include "templates/norm/shared/rms_op.hpp"

namespace kerncast::norm {
namespace {

void describe(host::NamedArguments& named, RmsNorm& call) {
  named.input("x", call.x, x_doc);
  describe_rms(named, call);
}

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  std::vector<ModelCase> cases;
  for (const ModelNorm& norm : model.norms) {
    if (norm.kind == NormKind::rms && norm.alone) {
      add_rms_case(cases, model, norm);
    }
  }
  return cases;
}

}  // namespace

Call bind(const RmsNorm& arguments) {
  NormChecks checks(RmsNorm::op_name, arguments.x);
  const std::int64_t y_stride = checks.output("y", arguments.y, AccessLimit::several_16_byte);
  host::require_apart(RmsNorm::op_name, {{"y", arguments.y, "x"}},
                      {{"x", arguments.x}, {"weight", arguments.weight}});
  Call call = rms_call(checks, arguments);
  call.set_arguments(RmsNormKernelArgs{
      .x = arguments.x.data,
      .weight = arguments.weight.data,
      .y = arguments.y.data,
      .rows = checks.count(),
      .x_stride = checks.stride(),
      .y_stride = y_stride,
      .eps = arguments.eps,
      .weight_offset = arguments.weight_offset,
  });
  return call;
}

}  // namespace kerncast::norm

KERNCAST_OP(norm, rms_norm) {
  using namespace norm;
  OpDefinition op = define_rms_norm<RmsNorm, describe>();
  op.summary = "Root-mean-square normalisation of rows";
  op.formula =
      "y = x * rsqrt(mean(x^2) + eps) * (weight + weight_offset), in f32, rounded once; hf_rounding also "
      "rounds x * rsqrt(...) to x's dtype. mean + eps is at least 2^-126 (Zhang and Sennrich 2019, "
      "arXiv:1910.07467)";
  op.tunables_defect = row_tunables_defect<row_params::x_dtype>;
  op.plan_inputs = [](const Bindings& bindings, std::int64_t rows) {
    return InputPlans(definition_of<RmsNorm>(), bindings, rows)
        .rows("x")
        .vector("weight", "has_weight")
        .take();
  };
  op.model_cases = model_cases;
  return op;
}
