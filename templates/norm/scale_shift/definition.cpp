#include <kerncast/ops/norm/scale_shift.hpp>

#include "templates/norm/scale_shift/spec_index.hpp"
#include "templates/norm/shared/modulation.hpp"

namespace kerncast {
namespace {

constexpr std::string_view op_name = "norm.scale_shift";

Call bind(const Bindings& bindings) {
  const OpDefinition& op = norm::scale_shift_op();
  Call call = norm::scale_shift_call(norm::modulation_from(op, bindings));
  norm::apply_modulation_settings(op, call, bindings);
  return call;
}

std::vector<TensorPlan> plan_inputs(const Bindings& bindings, std::int64_t rows) {
  norm::RowPlans plans(norm::scale_shift_op(), bindings, rows);
  plans.rows("x");
  norm::plan_modulation(plans);
  return plans.take();
}

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  std::vector<ModelCase> cases;
  if (model.layer_norm) {
    norm::add_modulation_cases(cases, model, "norm1, norm_out of one image", {"shared"});
    norm::add_modulation_cases(cases, model, "norm1, norm_out of a batch", {"grouped"});
    if (norm::is_wan(model)) {
      norm::add_modulation_cases(cases, model, "norm1, norm_out with a time step for each token", {"token"});
    }
  }
  return cases;
}

}  // namespace

namespace ops {
OpDefinition norm_scale_shift_definition();
OpDefinition norm_scale_shift_definition() {
  OpDefinition op = norm::modulation_definition(op_name);
  op.summary = "Normalisation of rows, scaled and shifted: adaptive layer normalisation";
  op.formula =
      "y = (n * weight + bias) * (1 + scale) + shift; n = (x - m) * rsqrt(mean((x - m)^2) + eps), m = "
      "mean(x) "
      "(layer), or x * rsqrt(mean(x^2) + eps) (rms); in f32, rounded once; scale and shift are spread over "
      "the rows (Peebles and Xie 2022, arXiv:2212.09748)";
  op.include = "norm/scale_shift/kernel.cuh";
  op.kernel = "kerncast::norm::scale_shift_kernel";
  op.arguments_type = "kerncast::norm::ScaleShiftKernelArgs";
  // Not by the cost model: more vectors to a thread, of operands as wide as here, take longer to compile than
  // a kernel may.
  op.default_tunables = [](const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
    namespace params = norm::scale_shift_params;
    const std::int64_t bytes = size_of(host::dtype(spec[norm::row_params::x_dtype]));
    const bool wider = size_of(host::dtype(spec[params::modulation_dtype])) > bytes;
    const bool few = host::bucket_ceiling(rows) <= device.sm_count;
    const std::int64_t taken = wider || few ? 1 : norm::default_row_vectors(spec);
    const std::int64_t vectors = spec[norm::row_params::hidden] * bytes / spec[norm::row_params::alignment];
    const std::int32_t lanes = host::power_of_two_above(host::divide_up(vectors, taken));
    return norm::row_tunables(device, rows, std::clamp(lanes, few ? 32 : 1, 1024));
  };
  op.validate = [](const Specialisation& spec) { norm::validate_rows(op_name, spec); };
  op.bind = bind;
  op.plan_outputs = [](const Bindings& bindings) {
    return std::vector{norm::plan_y(norm::scale_shift_op(), bindings)};
  };
  op.plan_inputs = plan_inputs;
  op.model_cases = model_cases;
  return op;
}
}  // namespace ops

namespace norm {

const OpDefinition& scale_shift_op() {
  static const OpDefinition& op = OpRegistry::instance().require(op_name);
  return op;
}

Call scale_shift_call(const ScaleShift& arguments) {
  RowTensors rows(op_name, arguments.x);
  host::require_present(op_name, "scale", arguments.scale);
  host::require_present(op_name, "shift", arguments.shift);
  ModulationCall made = check_modulation(op_name, rows, arguments, arguments.scale.dtype);
  made.call.set_arguments(made.arguments);
  return made.call;
}

void scale_shift(Runtime& runtime, const ScaleShift& arguments, Stream stream) {
  runtime.dispatch(scale_shift_op(), scale_shift_call(arguments), stream);
}

PreparedLaunch prepare_scale_shift(Runtime& runtime, const ScaleShift& arguments) {
  return runtime.prepare(scale_shift_op(), scale_shift_call(arguments));
}

}  // namespace norm
}  // namespace kerncast
