#include <kerncast/ops/norm/gated_rms_norm.hpp>

#include "templates/norm/gated_rms_norm/kernel_args.h"
#include "templates/norm/gated_rms_norm/spec_index.hpp"
#include "templates/norm/shared/row_norm.hpp"

namespace kerncast {
namespace {

constexpr std::string_view op_name = "norm.gated_rms_norm";

using namespace norm::gated_rms_norm_params;

Call bind(const Bindings& bindings) {
  const OpDefinition& op = norm::gated_rms_norm_op();
  Call call = norm::gated_rms_norm_call({
      .x = bindings.require_tensor(op_name, "x"),
      .z = bindings.require_tensor(op_name, "z"),
      .weight = bindings.tensor_or_absent("weight"),
      .y = bindings.require_tensor(op_name, "y"),
      .eps = norm::scalar_or(bindings, "eps", 1e-6),
      .weight_offset = norm::scalar_or(bindings, "weight_offset", 0.0),
      .hf_rounding = host::setting(op, bindings, "hf_rounding").value_or(0) != 0,
  });
  norm::apply_settings(op, call, bindings);
  return call;
}

std::vector<TensorPlan> plan_inputs(const Bindings& bindings, std::int64_t rows) {
  norm::RowPlans plans(norm::gated_rms_norm_op(), bindings, rows);
  plans.rows("x");
  plans.rows("z", "z_dtype");
  plans.vector("weight", "has_weight");
  return plans.take();
}

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  std::vector<ModelCase> cases;
  norm::add_row_case(cases, model, "norm of the linear attention's heads", model.linear_value_head_dim);
  for (ModelCase& item : cases) {
    item.params.emplace_back("z_dtype", std::string(name_of(model.dtype)));
    // Unlike the model's other norms this one has its weight as it is.
    item.scalars.emplace_back("weight_offset", 0.0);
  }
  return cases;
}

OpDefinition make_definition() {
  OpDefinition op = norm::rms_definition(
      op_name, norm::SecondTensor{{"z", Direction::in, false, "shape of x, z_dtype; rows may be strided"},
                                  host::dtype_param("z_dtype", {DType::bf16, DType::f16, DType::f32},
                                                    DType::bf16, "element type of z")});
  op.summary = "Root-mean-square normalisation of rows, gated by silu(z)";
  op.formula =
      "y = x * rsqrt(mean(x^2) + eps) * (weight + weight_offset) * silu(z), silu(z) = z / (1 + exp(-z)), in "
      "f32, rounded once; hf_rounding also rounds x * rsqrt(...) to x's dtype. mean + eps is at least 2^-126 "
      "(Gated DeltaNet, Yang, Kautz and Hatamizadeh 2024, arXiv:2412.06464)";
  op.include = "norm/gated_rms_norm/kernel.cuh";
  op.default_tunables = [](const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
    return norm::row_tunables(spec, device, rows, {.once = 70, .each = 140, .tensors = 3});
  };
  op.kernel = "kerncast::norm::gated_rms_norm_kernel";
  op.arguments_type = "kerncast::norm::GatedRmsNormKernelArgs";
  op.validate = [](const Specialisation& spec) { norm::validate_rows(op_name, spec); };
  op.bind = bind;
  op.plan_outputs = [](const Bindings& bindings) {
    return std::vector{norm::plan_y(norm::gated_rms_norm_op(), bindings)};
  };
  op.plan_inputs = plan_inputs;
  op.model_cases = model_cases;
  return op;
}

}  // namespace

namespace ops {
OpDefinition norm_gated_rms_norm_definition();
OpDefinition norm_gated_rms_norm_definition() {
  return make_definition();
}
}  // namespace ops

namespace norm {

const OpDefinition& gated_rms_norm_op() {
  static const OpDefinition& op = OpRegistry::instance().require(op_name);
  return op;
}

Call gated_rms_norm_call(const GatedRmsNorm& arguments) {
  const TensorView& x = arguments.x;
  const TensorView& weight = arguments.weight;
  RowTensors rows(op_name, x);
  const std::int64_t z_stride = rows.input("z", arguments.z);
  const std::int64_t y_stride = rows.output("y", arguments.y);
  require_eps(op_name, arguments.eps);
  rows.vector("weight", weight);
  require_offset(op_name, weight, arguments.weight_offset);

  Call call = rows.call(weight.absent() ? x.dtype : weight.dtype, arguments.y.dtype);
  call.spec.values[has_weight] = weight.absent() ? 0 : 1;
  call.spec.values[hf_rounding] = arguments.hf_rounding ? 1 : 0;
  call.spec.values[z_dtype] = host::number(arguments.z.dtype);
  call.set_arguments(GatedRmsNormKernelArgs{x.data, arguments.z.data, weight.data, arguments.y.data,
                                            rows.count(), rows.stride(), z_stride, y_stride, arguments.eps,
                                            arguments.weight_offset});
  return call;
}

void gated_rms_norm(Runtime& runtime, const GatedRmsNorm& arguments, Stream stream) {
  runtime.dispatch(gated_rms_norm_op(), gated_rms_norm_call(arguments), stream);
}

PreparedLaunch prepare_gated_rms_norm(Runtime& runtime, const GatedRmsNorm& arguments) {
  return runtime.prepare(gated_rms_norm_op(), gated_rms_norm_call(arguments));
}

}  // namespace norm
}  // namespace kerncast
