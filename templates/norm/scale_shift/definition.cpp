#include <kerncast/ops/norm/scale_shift.hpp>

#include "templates/host/define_op.hpp"
#include "templates/norm/scale_shift/spec_index.hpp"
#include "templates/norm/shared/modulation.hpp"

namespace kerncast::norm {
namespace {

void describe(host::NamedArguments& named, ScaleShift& call) {
  describe_modulation(named, call);
}

/// The cost model is not asked: more vectors of operands as wide as here take longer to compile than a kernel
/// may.
Tunables default_tunables(const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
  const std::int64_t bytes = size_of(host::dtype_from_param(spec[row_params::x_dtype]));
  const bool wider = size_of(host::dtype_from_param(spec[scale_shift_params::modulation_dtype])) > bytes;
  const bool few = host::bucket_ceiling(rows) <= device.sm_count;
  const std::int64_t taken = wider || few ? 1 : default_row_vectors(spec);
  const std::int64_t vectors = spec[row_params::hidden] * bytes / spec[row_params::alignment];
  const std::int32_t lanes = host::power_of_two_above(host::divide_up(vectors, taken));
  return row_tunables(device, rows, std::clamp(lanes, few ? 32 : 1, 1024));
}

std::vector<TensorPlan> plan_inputs(const Bindings& bindings, std::int64_t rows) {
  InputPlans plans(definition_of<ScaleShift>(), bindings, rows);
  plans.rows("x");
  plan_modulation(plans);
  return plans.take();
}

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  std::vector<ModelCase> cases;
  for (const ModelModulation& modulation : model.modulations) {
    if (modulation.gate.empty()) {
      add_modulation_case(cases, model, modulation);
    }
  }
  return cases;
}

}  // namespace

Call bind(const ScaleShift& arguments) {
  NormChecks checks(ScaleShift::op_name, arguments.x);
  ModulationCall made = check_modulation(ScaleShift::op_name, checks, arguments, modulation_type(arguments));
  host::require_apart(ScaleShift::op_name, {{"y", arguments.y, "x"}},
                      {{"x", arguments.x},
                       {"weight", arguments.weight},
                       {"bias", arguments.bias},
                       {"scale", arguments.scale},
                       {"shift", arguments.shift}});
  made.call.set_arguments(made.arguments);
  return made.call;
}

}  // namespace kerncast::norm

KERNCAST_OP(norm, scale_shift) {
  using namespace norm;
  OpDefinition op = define_row_norm<ScaleShift, describe, generalise_modulation>();
  op.summary = "Normalisation of rows, scaled and shifted: adaptive layer normalisation";
  op.formula =
      "y = (n * weight + bias) * (1 + scale) + shift; n = (x - m) * rsqrt(mean((x - m)^2) + eps), m = "
      "mean(x) (layer), or x * rsqrt(mean(x^2) + eps) (rms); in f32, rounded once, or after every "
      "operator of eager torch with aten_rounding; scale and shift are spread over the rows (Peebles and Xie "
      "2022, arXiv:2212.09748)";
  add_modulation_params(op);
  op.validate = [](const Specialisation& spec) {
    validate_rows(ScaleShift::op_name, spec, {row_params::y_dtype});
    require_rounding(ScaleShift::op_name, spec);
  };
  op.default_tunables = default_tunables;
  op.plan_inputs = plan_inputs;
  op.model_cases = model_cases;
  return op;
}
