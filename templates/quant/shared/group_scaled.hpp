#pragma once

#include <string_view>
#include <vector>

#include "kerncast/op_definition.hpp"
#include "templates/host/group_quant.hpp"

/// Host side of the ops that quantise rows by groups.
namespace kerncast::quant {

/// Constants that tell one op that quantises by groups from another.
struct GroupScaledVariant {
  std::string_view op;  ///< "quant.per_token_group"
  bool gated = false;   ///< x holds gates and ups: its rows are twice as wide as those of q
};

/// The arguments of every variant.
struct GroupScaled {
  TensorView x;
  TensorView q;
  TensorView s;
  TensorView masked_m = {};
  host::GroupQuant quant;
  float limit = 0.0F;  ///< of gates and ups; 0: none
};

[[nodiscard]] Call group_scaled_call(const GroupScaledVariant& variant, const GroupScaled& arguments);
void group_scaled_validate(const GroupScaledVariant& variant, const Specialisation& spec);
[[nodiscard]] std::vector<TensorPlan> group_scaled_inputs(const GroupScaledVariant& variant,
                                                          const Bindings& bindings, std::int64_t rows);
[[nodiscard]] std::vector<TensorPlan> group_scaled_outputs(const GroupScaledVariant& variant,
                                                           const Bindings& bindings);

/// Adds a case of `model`'s dtype for rows of `width` in the largest group that divides it. Adds nothing if
/// no group divides it or if `cases` already has this case.
void add_group_case(std::vector<ModelCase>& cases, const ModelConfig& model, const char* label,
                    std::int64_t width, const char* layout, const char* format, std::int64_t experts = 0,
                    double limit = 0.0);

/// Sets parameters, tunables and geometry.
void complete_group_scaled(OpDefinition& op, const GroupScaledVariant& variant);

/// Completes a definition that already describes the arguments.
template <const GroupScaledVariant& Variant>
void complete_group_scaled(OpDefinition& op) {
  complete_group_scaled(op, Variant);
  op.validate = [](const Specialisation& spec) { group_scaled_validate(Variant, spec); };
  op.plan_inputs = [](const Bindings& bindings, std::int64_t rows) {
    return group_scaled_inputs(Variant, bindings, rows);
  };
  op.plan_outputs = [](const Bindings& bindings) { return group_scaled_outputs(Variant, bindings); };
}

}  // namespace kerncast::quant
