#include <kerncast/ops/norm/fused_add_rms_norm_quant.hpp>

#include "templates/norm/shared/rms_norm_quant_definition.hpp"
#include "templates/norm/shared/row_norm.hpp"

namespace kerncast {
namespace {

constexpr std::string_view op_name = "norm.fused_add_rms_norm_quant";

OpDefinition make_definition() {
  OpDefinition op = norm::quantised_definition(op_name, true);
  op.summary = "Addition to the residual stream, root-mean-square normalisation, quantised to fp8 or int8";
  op.include = "norm/fused_add_rms_norm_quant/kernel.cuh";
  op.kernel = "kerncast::norm::fused_add_rms_norm_quant_kernel";
  op.validate = [](const Specialisation& spec) { norm::validate_quantised(op_name, spec); };
  op.bind = [](const Bindings& bindings) {
    const OpDefinition& self = norm::fused_add_rms_norm_quant_op();
    const TensorView& residual = bindings.require_tensor(op_name, "residual");
    Call call = norm::quantised_call(op_name, norm::quantised_arguments(self, bindings), &residual);
    norm::apply_settings(self, call, bindings);
    return call;
  };
  op.plan_outputs = [](const Bindings& bindings) {
    return norm::plan_quantised_outputs(norm::fused_add_rms_norm_quant_op(), bindings);
  };
  op.plan_inputs = [](const Bindings& bindings, std::int64_t rows) {
    return norm::plan_quantised_inputs(norm::fused_add_rms_norm_quant_op(), bindings, rows, true);
  };
  op.model_cases = [](const ModelConfig& model) { return norm::quantised_cases(model, true); };
  return op;
}

}  // namespace

namespace ops {
OpDefinition norm_fused_add_rms_norm_quant_definition();
OpDefinition norm_fused_add_rms_norm_quant_definition() {
  return make_definition();
}
}  // namespace ops

namespace norm {

const OpDefinition& fused_add_rms_norm_quant_op() {
  static const OpDefinition& op = OpRegistry::instance().require(op_name);
  return op;
}

Call fused_add_rms_norm_quant_call(const FusedAddRmsNormQuant& arguments) {
  return quantised_call(op_name,
                        {.x = arguments.x,
                         .weight = arguments.weight,
                         .y = arguments.y,
                         .out = arguments.out,
                         .eps = arguments.eps,
                         .weight_offset = arguments.weight_offset},
                        &arguments.residual);
}

void fused_add_rms_norm_quant(Runtime& runtime, const FusedAddRmsNormQuant& arguments, Stream stream) {
  runtime.dispatch(fused_add_rms_norm_quant_op(), fused_add_rms_norm_quant_call(arguments), stream);
}

PreparedLaunch prepare_fused_add_rms_norm_quant(Runtime& runtime, const FusedAddRmsNormQuant& arguments) {
  return runtime.prepare(fused_add_rms_norm_quant_op(), fused_add_rms_norm_quant_call(arguments));
}

}  // namespace norm
}  // namespace kerncast
