#pragma once

#include <string_view>
#include <vector>

#include "kerncast/op_definition.hpp"
#include "kerncast/tensor.hpp"
#include "templates/device/gate_order.h"
#include "templates/host/masked_rows.hpp"
#include "templates/host/typed_op.hpp"

/// The host side of the gated activations.
namespace kerncast::activation {

/// Constants that tell one gated activation from another.
struct GatedVariant {
  std::string_view op;         ///< "activation.silu_and_mul"
  std::string_view model_act;  ///< ModelMlp::activation of the MLPs that use it
  GateOrder order;
  bool limits_on_demand = false;  ///< limits gates and ups only if the call gives a limit
};

/// The tensors of a call, as GatedArguments names them.
struct GatedTensors {
  const TensorView& x;
  const TensorView& y;
  const TensorView& masked_m;
  float limit = 0.0F;  ///< 0: none
  float alpha = 0.0F;
};

/// Refuses a limit that is not finite and positive; 0 stands for none if `may_lack`.
void require_limit(std::string_view op, float given, bool may_lack);

/// The parameter that says whether gates and ups are limited.
[[nodiscard]] ParamSpec limit_param();

/// Checks the arguments and makes the call. Throws Error(invalid_argument).
[[nodiscard]] Call gated_call(const GatedVariant& variant, const GatedTensors& tensors);

/// Sets the parameters, the tunables and the name of the argument type.
void add_gated_params(OpDefinition& op, const GatedVariant& variant);
void gated_validate(const GatedVariant& variant, const Specialisation& spec);
[[nodiscard]] LaunchGeometry gated_geometry(const GatedVariant& variant, const Specialisation& spec,
                                            const Tunables& tunables, std::int64_t rows) noexcept;
[[nodiscard]] Tunables gated_tunables(const GatedVariant& variant, const Specialisation& spec,
                                      const DeviceTraits& device, std::int64_t rows);
[[nodiscard]] std::vector<TensorPlan> gated_inputs(const OpDefinition& op, const Bindings& bindings,
                                                   std::int64_t rows);
[[nodiscard]] std::vector<TensorPlan> gated_outputs(const OpDefinition& op, const Bindings& bindings);
[[nodiscard]] std::vector<ModelCase> gated_cases(const GatedVariant& variant, const ModelConfig& model);

inline constexpr const char* x_doc = "[..., 2 * hidden], x_dtype; rows may be strided";
inline constexpr const char* limit_doc = "L, finite and positive; 0: none";
inline constexpr const char* y_doc = "[..., hidden], y_dtype; rows may be strided";

template <class Arguments>
void describe_gated(host::NamedArguments& named, Arguments& call) {
  named.input("x", call.x, x_doc);
  named.optional_input("masked_m", call.masked_m, host::mask_doc);
  named.output("y", call.y, y_doc);
  if constexpr (requires { call.alpha; }) {
    named.scalar("limit", call.limit, "L, finite and positive");
    named.scalar("alpha", call.alpha, "factor within the sigmoid; finite");
  } else if constexpr (requires { call.limit; }) {
    named.scalar("limit", call.limit, limit_doc);
  }
}

/// The definition of the op that `Arguments` calls, without summary and formula.
template <class Arguments, const GatedVariant& variant>
[[nodiscard]] OpDefinition gated_definition() {
  OpDefinition op = host::define<Arguments, describe_gated<Arguments>>();
  add_gated_params(op, variant);
  op.validate = [](const Specialisation& spec) { gated_validate(variant, spec); };
  op.default_tunables = [](const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
    return gated_tunables(variant, spec, device, rows);
  };
  op.geometry = [](const Specialisation& spec, const Tunables& tunables, const DeviceTraits&,
                   std::int64_t rows) noexcept { return gated_geometry(variant, spec, tunables, rows); };
  op.plan_inputs = [](const Bindings& bindings, std::int64_t rows) {
    return gated_inputs(definition_of<Arguments>(), bindings, rows);
  };
  op.plan_outputs = [](const Bindings& bindings) {
    return gated_outputs(definition_of<Arguments>(), bindings);
  };
  op.model_cases = [](const ModelConfig& model) { return gated_cases(variant, model); };
  return op;
}

}  // namespace kerncast::activation
