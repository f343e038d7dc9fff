#pragma once

#include <string_view>
#include <vector>

#include "kerncast/op.hpp"
#include "templates/host/group_quant.hpp"

/// What the ops that quantise rows by groups share on the host.
namespace kerncast::quant {

/// One of them.
struct GroupScaledVariant {
  std::string_view name;  ///< "per_token_group"
  std::string_view op;    ///< "quant.per_token_group"
  bool gated;             ///< x holds gates and ups, twice the width of q
  std::string_view summary;
  std::string_view formula;
  std::vector<ModelCase> (*model_cases)(const ModelConfig& model);
};

struct GroupScaled {
  TensorView x;
  TensorView q;
  TensorView s;
  TensorView masked_m;
  host::GroupQuant quant;
};

[[nodiscard]] Call group_scaled_call(const GroupScaledVariant& variant, const GroupScaled& arguments);
[[nodiscard]] OpDefinition group_scaled_definition_base(const GroupScaledVariant& variant);
void group_scaled_validate(const GroupScaledVariant& variant, const Specialisation& spec);
[[nodiscard]] Call group_scaled_bind(const GroupScaledVariant& variant, const Bindings& bindings);
[[nodiscard]] std::vector<TensorPlan> group_scaled_inputs(const GroupScaledVariant& variant,
                                                          const Bindings& bindings, std::int64_t rows);
[[nodiscard]] std::vector<TensorPlan> group_scaled_outputs(const GroupScaledVariant& variant,
                                                           const Bindings& bindings);

/// One case of `model`'s dtype for rows of `width`, in the largest group that divides it; none where no group
/// does, or where `cases` has it.
void add_group_case(std::vector<ModelCase>& cases, const ModelConfig& model, const char* label,
                    std::int64_t width, const char* layout, const char* format, std::int64_t experts = 0);

template <const GroupScaledVariant& Variant>
[[nodiscard]] OpDefinition group_scaled_definition() {
  OpDefinition op = group_scaled_definition_base(Variant);
  op.validate = [](const Specialisation& spec) { group_scaled_validate(Variant, spec); };
  op.bind = [](const Bindings& bindings) { return group_scaled_bind(Variant, bindings); };
  op.plan_inputs = [](const Bindings& bindings, std::int64_t rows) {
    return group_scaled_inputs(Variant, bindings, rows);
  };
  op.plan_outputs = [](const Bindings& bindings) { return group_scaled_outputs(Variant, bindings); };
  op.model_cases = Variant.model_cases;
  return op;
}

}  // namespace kerncast::quant
