#pragma once

#include <string_view>

#include <kerncast/ops/norm/rms_norm_quant.hpp>
#include "kerncast/op.hpp"

/// What rms_norm_quant and fused_add_rms_norm_quant share: they differ by a residual.
namespace kerncast::norm {

/// The definition but for name, summary, include and kernel.
[[nodiscard]] OpDefinition quantised_definition(std::string_view name, bool adds);

/// Checks what several parameters decide together.
void validate_quantised(std::string_view op, const Specialisation& spec);

/// Checks the arguments and fills the call; `residual` is null where nothing is added.
[[nodiscard]] Call quantised_call(std::string_view op, const RmsNormQuant& arguments,
                                  const TensorView* residual);

/// The arguments that `bindings` name, but for the residual.
[[nodiscard]] RmsNormQuant quantised_arguments(const OpDefinition& op, const Bindings& bindings);

[[nodiscard]] std::vector<TensorPlan> plan_quantised_inputs(const OpDefinition& op, const Bindings& bindings,
                                                            std::int64_t rows, bool adds);
[[nodiscard]] std::vector<TensorPlan> plan_quantised_outputs(const OpDefinition& op,
                                                             const Bindings& bindings);
[[nodiscard]] std::vector<ModelCase> quantised_cases(const ModelConfig& model, bool adds);

}  // namespace kerncast::norm
