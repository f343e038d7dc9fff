#include <kerncast/ops/norm/fused_add_rms_norm.hpp>

#include "templates/host/define_op.hpp"
#include "templates/norm/fused_add_rms_norm/kernel_args.h"
#include "templates/norm/fused_add_rms_norm/spec_index.hpp"
#include "templates/norm/shared/rms_op.hpp"

namespace kerncast::norm {
namespace {

using namespace fused_add_rms_norm_params;

void describe(host::NamedArguments& named, FusedAddRmsNorm& call) {
  named.input("x", call.x, x_doc);
  named.in_place("residual", call.residual, residual_doc);
  describe_rms(named, call);
  named.setting("round_residual", call.round_residual);
}

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  std::vector<ModelCase> cases;
  for (const ModelNorm& norm : model.norms) {
    if (norm.kind == NormKind::rms && norm.added) {
      add_rms_case(cases, model, norm);
    }
  }
  for (ModelCase& item : cases) {
    item.params.emplace_back("residual_dtype", std::string(name_of(model.dtype)));
  }
  return cases;
}

}  // namespace

Call bind(const FusedAddRmsNorm& arguments) {
  NormChecks checks(FusedAddRmsNorm::op_name, arguments.x);
  const std::int64_t residual_stride = checks.output("residual", arguments.residual);
  const std::int64_t y_stride = checks.output("y", arguments.y);
  host::require_apart(FusedAddRmsNorm::op_name, {{"residual", arguments.residual}, {"y", arguments.y, "x"}},
                      {{"x", arguments.x}, {"weight", arguments.weight}});
  Call call = rms_call(checks, arguments);
  call.spec.values[residual_dtype] = host::to_param(arguments.residual.dtype);
  call.spec.values[round_residual] = arguments.round_residual ? 1 : 0;
  call.set_arguments(FusedAddRmsNormKernelArgs{
      .x = arguments.x.data,
      .residual = arguments.residual.data,
      .weight = arguments.weight.data,
      .y = arguments.y.data,
      .rows = checks.count(),
      .x_stride = checks.stride(),
      .residual_stride = residual_stride,
      .y_stride = y_stride,
      .eps = arguments.eps,
      .weight_offset = arguments.weight_offset,
  });
  return call;
}

}  // namespace kerncast::norm

KERNCAST_OP(norm, fused_add_rms_norm) {
  using namespace norm;
  OpDefinition op = define_rms_norm<FusedAddRmsNorm, describe>();
  op.validate = [](const Specialisation& spec) {
    validate_rows(FusedAddRmsNorm::op_name, spec, {row_params::y_dtype, residual_dtype});
  };
  op.summary = "Addition to the residual stream and root-mean-square normalisation of the sum";
  op.formula =
      "r = x + residual, stored over residual in its type; y = r * rsqrt(mean(r^2) + eps) * (weight + "
      "weight_offset) with r before that rounding, or after it with round_residual, in f32, rounded once; "
      "hf_rounding also rounds r * rsqrt(...) to x's dtype. mean + eps is at least 2^-126 (Zhang and "
      "Sennrich 2019, arXiv:1910.07467)";
  host::append(op.params, host::param<residual_dtype>(float_dtype_param("element type of residual")),
               host::param<round_residual>(round_residual_param()));
  op.default_tunables = [](const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
    return row_tunables(
        spec, device, rows,
        {.once = 70,
         .each = 92,
         .tensors = 4,
         .widest = widest_of<row_params::x_dtype, row_params::y_dtype, residual_dtype>(spec)});
  };
  op.tunables_defect = row_tunables_defect<row_params::x_dtype, row_params::y_dtype, residual_dtype>;
  op.plan_inputs = [](const Bindings& bindings, std::int64_t rows) {
    return InputPlans(definition_of<FusedAddRmsNorm>(), bindings, rows)
        .rows("x")
        .rows("residual", "residual_dtype")
        .vector("weight", "has_weight")
        .take();
  };
  op.model_cases = model_cases;
  return op;
}
