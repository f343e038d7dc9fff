#include <kerncast/ops/norm/rms_norm_quant.hpp>

#include "templates/norm/shared/rms_norm_quant_definition.hpp"
#include "templates/norm/shared/row_norm.hpp"

namespace kerncast {
namespace {

constexpr std::string_view op_name = "norm.rms_norm_quant";

OpDefinition make_definition() {
  OpDefinition op = norm::quantised_definition(op_name, false);
  op.summary = "Root-mean-square normalisation of rows, quantised to fp8 or int8";
  op.include = "norm/rms_norm_quant/kernel.cuh";
  op.kernel = "kerncast::norm::rms_norm_quant_kernel";
  op.validate = [](const Specialisation& spec) { norm::validate_quantised(op_name, spec); };
  op.bind = [](const Bindings& bindings) {
    const OpDefinition& self = norm::rms_norm_quant_op();
    Call call = norm::quantised_call(op_name, norm::quantised_arguments(self, bindings), nullptr);
    norm::apply_settings(self, call, bindings);
    return call;
  };
  op.plan_outputs = [](const Bindings& bindings) {
    return norm::plan_quantised_outputs(norm::rms_norm_quant_op(), bindings);
  };
  op.plan_inputs = [](const Bindings& bindings, std::int64_t rows) {
    return norm::plan_quantised_inputs(norm::rms_norm_quant_op(), bindings, rows, false);
  };
  op.model_cases = [](const ModelConfig& model) { return norm::quantised_cases(model, false); };
  return op;
}

}  // namespace

namespace ops {
OpDefinition norm_rms_norm_quant_definition();
OpDefinition norm_rms_norm_quant_definition() {
  return make_definition();
}
}  // namespace ops

namespace norm {

const OpDefinition& rms_norm_quant_op() {
  static const OpDefinition& op = OpRegistry::instance().require(op_name);
  return op;
}

Call rms_norm_quant_call(const RmsNormQuant& arguments) {
  return quantised_call(op_name, arguments, nullptr);
}

void rms_norm_quant(Runtime& runtime, const RmsNormQuant& arguments, Stream stream) {
  runtime.dispatch(rms_norm_quant_op(), rms_norm_quant_call(arguments), stream);
}

PreparedLaunch prepare_rms_norm_quant(Runtime& runtime, const RmsNormQuant& arguments) {
  return runtime.prepare(rms_norm_quant_op(), rms_norm_quant_call(arguments));
}

}  // namespace norm
}  // namespace kerncast
