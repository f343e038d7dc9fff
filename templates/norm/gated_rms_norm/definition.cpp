#include <kerncast/ops/norm/gated_rms_norm.hpp>

#include "templates/host/define_op.hpp"
#include "templates/norm/gated_rms_norm/kernel_args.h"
#include "templates/norm/gated_rms_norm/spec_index.hpp"
#include "templates/norm/shared/rms_op.hpp"

namespace kerncast::norm {
namespace {

using namespace gated_rms_norm_params;

void describe(host::NamedArguments& named, GatedRmsNorm& call) {
  named.input("x", call.x, x_doc);
  named.input("z", call.z, "shape of x, z_dtype; rows may be strided");
  describe_rms(named, call);
  named.setting("gate", call.gate);
}

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  std::vector<ModelCase> cases;
  for (const ModelNorm& norm : model.norms) {
    const bool is_sigmoid = norm.kind == NormKind::sigmoid_gated_rms;
    if (norm.kind != NormKind::gated_rms && !is_sigmoid) {
      continue;
    }
    const std::size_t before = cases.size();
    add_weighted_row_case(cases, model, norm.place, norm.width);
    if (cases.size() > before && is_sigmoid) {
      cases.back().params.emplace_back("gate", "sigmoid");
    }
  }
  for (ModelCase& item : cases) {
    item.params.emplace_back("z_dtype", std::string(name_of(model.dtype)));
    // Unlike the model's other norms this one adds nothing to its weight.
    item.scalars.emplace_back("weight_offset", 0.0);
  }
  return cases;
}

}  // namespace

Call bind(const GatedRmsNorm& arguments) {
  NormChecks checks(GatedRmsNorm::op_name, arguments.x);
  const std::int64_t z_stride = checks.input("z", arguments.z);
  const std::int64_t y_stride = checks.output("y", arguments.y);
  host::require_apart(GatedRmsNorm::op_name, {{"y", arguments.y, "x", "z"}},
                      {{"x", arguments.x}, {"z", arguments.z}, {"weight", arguments.weight}});
  Call call = rms_call(checks, arguments);
  call.spec.values[z_dtype] = host::to_param(arguments.z.dtype);
  call.spec.values[gate] = static_cast<std::int32_t>(arguments.gate);
  call.set_arguments(GatedRmsNormKernelArgs{
      .x = arguments.x.data,
      .z = arguments.z.data,
      .weight = arguments.weight.data,
      .y = arguments.y.data,
      .rows = checks.count(),
      .x_stride = checks.stride(),
      .z_stride = z_stride,
      .y_stride = y_stride,
      .eps = arguments.eps,
      .weight_offset = arguments.weight_offset,
  });
  return call;
}

}  // namespace kerncast::norm

KERNCAST_OP(norm, gated_rms_norm) {
  using namespace norm;
  OpDefinition op = define_rms_norm<GatedRmsNorm, describe>();
  op.validate = [](const Specialisation& spec) {
    validate_rows(GatedRmsNorm::op_name, spec, {row_params::y_dtype, z_dtype});
  };
  op.summary = "Root-mean-square normalisation of rows, gated by silu(z) or sigmoid(z)";
  op.formula =
      "y = x * rsqrt(mean(x^2) + eps) * (weight + weight_offset) * g; gate = silu: g = z / (1 + exp(-z)) "
      "(Gated DeltaNet, Yang, Kautz and Hatamizadeh 2024, arXiv:2412.06464), sigmoid: g = 1 / (1 + exp(-z)) "
      "(Kimi Delta Attention, arXiv:2510.26692); in f32, rounded once; hf_rounding also rounds x * "
      "rsqrt(...) "
      "to x's dtype, and its product with a weight of that dtype. mean + eps is at least 2^-126";
  host::append(op.params, host::param<z_dtype>(float_dtype_param("element type of z")),
               host::param<gate>(
                   host::choice_param({"silu", "sigmoid"}, "the function of z that multiplies the row")));
  op.default_tunables = [](const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
    return row_tunables(spec, device, rows,
                        {.once = 70,
                         .each = 140,
                         .tensors = 3,
                         .widest = widest_of<row_params::x_dtype, row_params::y_dtype, z_dtype>(spec)});
  };
  op.tunables_defect = row_tunables_defect<row_params::x_dtype, row_params::y_dtype, z_dtype>;
  op.plan_inputs = [](const Bindings& bindings, std::int64_t rows) {
    return InputPlans(definition_of<GatedRmsNorm>(), bindings, rows)
        .rows("x")
        .rows("z", "z_dtype")
        .vector("weight", "has_weight")
        .take();
  };
  op.model_cases = model_cases;
  return op;
}
