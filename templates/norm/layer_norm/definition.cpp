#include <kerncast/ops/norm/layer_norm.hpp>

#include "templates/host/define_op.hpp"
#include "templates/norm/layer_norm/kernel_args.h"
#include "templates/norm/layer_norm/spec_index.hpp"
#include "templates/norm/shared/row_norm.hpp"

namespace kerncast::norm {
namespace {

using namespace layer_norm_params;

void describe(host::NamedArguments& named, LayerNorm& call) {
  named.input("x", call.x, x_doc);
  named.optional_input("weight", call.weight, weight_doc);
  named.optional_input("bias", call.bias, bias_doc);
  named.output("y", call.y, y_doc);
  named.scalar("eps", call.eps, "added to the variance; not negative");
}

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  std::vector<ModelCase> cases;
  for (const ModelNorm& norm : model.norms) {
    if (norm.kind != NormKind::layer || norm.weight_offset != 0) {
      continue;
    }
    const std::size_t before = cases.size();
    add_weighted_row_case(cases, model, norm.place, norm.width);
    if (cases.size() > before && !norm.weight) {
      cases.back().params.emplace_back("has_weight", "false");
    }
    if (cases.size() > before && !norm.bias) {
      cases.back().params.emplace_back("has_bias", "false");
    }
  }
  return cases;
}

}  // namespace

Call bind(const LayerNorm& arguments) {
  NormChecks checks(LayerNorm::op_name, arguments.x);
  const std::int64_t y_stride = checks.output("y", arguments.y);
  host::require_apart(LayerNorm::op_name, {{"y", arguments.y, "x"}},
                      {{"x", arguments.x}, {"weight", arguments.weight}, {"bias", arguments.bias}});
  require_eps(LayerNorm::op_name, arguments.eps);
  const DType type = checks.affine(arguments.weight, arguments.bias);
  Call call = checks.call(arguments.y.dtype);
  call.spec.values[weight_dtype] = host::to_param(type);
  call.spec.values[has_weight] = arguments.weight.absent() ? 0 : 1;
  call.spec.values[has_bias] = arguments.bias.absent() ? 0 : 1;
  call.set_arguments(LayerNormKernelArgs{
      .x = arguments.x.data,
      .weight = arguments.weight.data,
      .bias = arguments.bias.data,
      .y = arguments.y.data,
      .rows = checks.count(),
      .x_stride = checks.stride(),
      .y_stride = y_stride,
      .eps = arguments.eps,
  });
  return call;
}

}  // namespace kerncast::norm

KERNCAST_OP(norm, layer_norm) {
  using namespace norm;
  OpDefinition op = define_row_norm<LayerNorm, describe>();
  op.validate = [](const Specialisation& spec) {
    validate_rows(LayerNorm::op_name, spec, {row_params::y_dtype});
  };
  op.summary = "Layer normalisation of rows";
  op.formula =
      "y = (x - m) * rsqrt(v + eps) * weight + bias, m = mean(x), v = mean((x - m)^2) in a second pass; in "
      "f32, rounded once. v + eps is at least 2^-126 (Ba, Kiros and Hinton 2016, arXiv:1607.06450)";
  host::append(op.params,
               host::param<weight_dtype>(
                   float_dtype_param("element type of weight and bias; x's dtype if there is neither")),
               host::param<has_weight>(host::flag_param(true, "multiply by weight")),
               host::param<has_bias>(host::flag_param(true, "add bias")));
  op.default_tunables = [](const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
    return row_tunables(spec, device, rows, {.once = 145, .each = 112, .reductions = 2});
  };
  op.plan_inputs = [](const Bindings& bindings, std::int64_t rows) {
    return InputPlans(definition_of<LayerNorm>(), bindings, rows)
        .rows("x")
        .vector("weight", "has_weight")
        .vector("bias", "has_bias")
        .take();
  };
  op.model_cases = model_cases;
  return op;
}
