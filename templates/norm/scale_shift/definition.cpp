#include <kerncast/ops/norm/scale_shift.hpp>

#include "templates/host/define_op.hpp"
#include "templates/norm/scale_shift/spec_index.hpp"
#include "templates/norm/shared/modulation/modulation.hpp"

namespace kerncast::norm {
namespace {

void describe(host::NamedArguments& named, ScaleShift& call) {
  describe_modulation(named, call);
}

/// The cost model is not asked: more vectors of operands as wide as here take longer to compile than a kernel
/// may.
Tunables default_tunables(const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
  // While a device holds a thread for each vector, further ones in a thread only lengthen it.
  constexpr std::int64_t held_threads = 1024;
  const std::int64_t bytes = size_of(host::dtype_from_param(spec[row_params::x_dtype]));
  const bool wider = size_of(host::dtype_from_param(spec[scale_shift_params::modulation_dtype])) > bytes;
  const std::int64_t vectors = spec[row_params::hidden] * bytes / spec[row_params::alignment];
  const std::int64_t most = host::bucket_ceiling(rows);
  const bool few = most <= device.sm_count;
  const bool held = few || most * vectors <= device.sm_count * held_threads;
  // Three vectors share the work of a thread beside them, and stay in registers.
  const std::int64_t taken = wider || held || default_row_vectors(spec) == 1 ? 1 : 2;
  const std::int64_t lanes = std::min<std::int64_t>(host::divide_up(vectors, taken), 1024);
  if (lanes > 96) {
    Tunables whole_warps;
    whole_warps.values[row_params::threads] = static_cast<std::int32_t>(host::round_up(lanes, 32));
    whole_warps.values[row_params::rows_per_block] = 1;
    if (row_tunables_defect<row_params::x_dtype, row_params::y_dtype>(spec, whole_warps, device).empty()) {
      return whole_warps;
    }
  }
  return row_tunables(device, rows, std::clamp(host::power_of_two_above(lanes), few ? 32 : 1, 1024));
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
