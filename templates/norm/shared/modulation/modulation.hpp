#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include <kerncast/ops/norm/scale_shift.hpp>
#include "templates/norm/scale_shift/kernel_args.h"
#include "templates/norm/shared/row_norm.hpp"

/// The host side that norm.scale_shift and norm.gate_residual_scale_shift share.
namespace kerncast::norm {

/// Names the arguments that both ops have.
void describe_modulation(host::NamedArguments& named, ScaleShift& call);

/// Adds the parameters that both ops have past those of row_params.
void add_modulation_params(OpDefinition& op);

/// Refuses an aten_rounding that the other parameters contradict.
void require_rounding(std::string_view op, const Specialisation& spec);

/// A checked call without its kernel's arguments.
struct ModulationCall {
  Call call;
  ScaleShiftKernelArgs arguments;
};

/// The dtype of scale and shift: that of the first that is given, x's if neither is.
[[nodiscard]] DType modulation_type(const ScaleShift& arguments);

/// Ends the checks that `checks` began. `type` is the dtype of all operands that modulate.
[[nodiscard]] ModulationCall check_modulation(std::string_view op, NormChecks& checks,
                                              const ScaleShift& arguments, DType type);

/// Takes the more general forms of scale and shift that a caller names.
void generalise_modulation(const OpDefinition& op, Call& call, const Bindings& bindings);

/// Adds weight, bias, scale and shift as the settings want them.
void plan_modulation(InputPlans& plans);

/// Adds the case of one modulated norm of `model`, unless no op takes its width.
void add_modulation_case(std::vector<ModelCase>& cases, const ModelConfig& model,
                         const ModelModulation& modulation);

}  // namespace kerncast::norm
