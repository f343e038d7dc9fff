#pragma once

#include <string_view>
#include <vector>

#include <kerncast/ops/activation/gated_arguments.hpp>
#include "kerncast/op.hpp"

/// What the gated activations share on the host.
namespace kerncast::activation {

/// One of them.
struct GatedKind {
  std::string_view name;       ///< "silu_and_mul"
  std::string_view op;         ///< "activation.silu_and_mul"
  std::string_view model_act;  ///< what ModelConfig::hidden_act says where a model uses it
  bool interleaved;
  std::string_view summary;
  std::string_view formula;
};

[[nodiscard]] Call gated_call(const GatedKind& kind, const Gated& arguments);

/// All of a definition but the functions.
[[nodiscard]] OpDefinition gated_definition_base(const GatedKind& kind);
void gated_validate(const GatedKind& kind, const Specialisation& spec);
[[nodiscard]] LaunchGeometry gated_geometry(const GatedKind& kind, const Specialisation& spec,
                                            const Tunables& tunables, std::int64_t rows) noexcept;
[[nodiscard]] Tunables gated_tunables(const GatedKind& kind, const Specialisation& spec,
                                      const DeviceTraits& device, std::int64_t rows);
[[nodiscard]] Call gated_bind(const GatedKind& kind, const Bindings& bindings);
[[nodiscard]] std::vector<TensorPlan> gated_inputs(const GatedKind& kind, const Bindings& bindings,
                                                   std::int64_t rows);
[[nodiscard]] std::vector<TensorPlan> gated_outputs(const GatedKind& kind, const Bindings& bindings);
[[nodiscard]] std::vector<ModelCase> gated_cases(const GatedKind& kind, const ModelConfig& model);

template <const GatedKind& Kind>
[[nodiscard]] OpDefinition gated_definition() {
  OpDefinition op = gated_definition_base(Kind);
  op.validate = [](const Specialisation& spec) { gated_validate(Kind, spec); };
  op.default_tunables = [](const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
    return gated_tunables(Kind, spec, device, rows);
  };
  op.geometry = [](const Specialisation& spec, const Tunables& tunables, const DeviceTraits&,
                   std::int64_t rows) noexcept { return gated_geometry(Kind, spec, tunables, rows); };
  op.bind = [](const Bindings& bindings) { return gated_bind(Kind, bindings); };
  op.plan_inputs = [](const Bindings& bindings, std::int64_t rows) {
    return gated_inputs(Kind, bindings, rows);
  };
  op.plan_outputs = [](const Bindings& bindings) { return gated_outputs(Kind, bindings); };
  op.model_cases = [](const ModelConfig& model) { return gated_cases(Kind, model); };
  return op;
}

}  // namespace kerncast::activation
