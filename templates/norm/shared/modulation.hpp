#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include <kerncast/ops/norm/scale_shift.hpp>
#include "templates/norm/scale_shift/kernel_args.h"
#include "templates/norm/shared/row_norm.hpp"

/// What norm.scale_shift and norm.gate_residual_scale_shift have in common.
namespace kerncast::norm {

/// scale_shift's definition under another name, without what its call has of its own.
[[nodiscard]] OpDefinition modulation_definition(std::string_view name);

/// A checked call, but for its kernel's arguments.
struct ModulationCall {
  Call call;
  ScaleShiftKernelArgs arguments;
};

/// Ends the checks that `rows` began; `modulation_type` is that of all that modulates.
[[nodiscard]] ModulationCall check_modulation(std::string_view op, RowTensors& rows,
                                              const ScaleShift& arguments, DType modulation_type);

/// The arguments that both ops have, from names.
[[nodiscard]] ScaleShift modulation_from(const OpDefinition& op, const Bindings& bindings);

/// Takes the more general settings that a caller names, and checks the others.
void apply_modulation_settings(const OpDefinition& op, Call& call, const Bindings& bindings);

/// weight, bias, scale and shift as the settings want them.
void plan_modulation(RowPlans& plans);

/// A case of `model` for each of `forms`, where scale and shift take it.
void add_modulation_cases(std::vector<ModelCase>& cases, const ModelConfig& model, const std::string& label,
                          std::initializer_list<const char*> forms);

}  // namespace kerncast::norm
