#pragma once

#include <string_view>

#include <kerncast/ops/quant/per_token_arguments.hpp>
#include "kerncast/op.hpp"

/// What the ops that quantise a row with one scale share on the host.
namespace kerncast::quant {

/// One of them.
struct RowScaledVariant {
  std::string_view name;  ///< "per_token_fp8"
  std::string_view op;    ///< "quant.per_token_fp8"
  DType q;
  std::string_view summary;
  std::string_view formula;
};

[[nodiscard]] Call row_scaled_call(const RowScaledVariant& variant, const PerToken& arguments);
[[nodiscard]] OpDefinition row_scaled_definition_base(const RowScaledVariant& variant);
void row_scaled_validate(const RowScaledVariant& variant, const Specialisation& spec);
[[nodiscard]] Call row_scaled_bind(const RowScaledVariant& variant, const Bindings& bindings);
[[nodiscard]] std::vector<TensorPlan> row_scaled_inputs(const RowScaledVariant& variant,
                                                        const Bindings& bindings, std::int64_t rows);
[[nodiscard]] std::vector<TensorPlan> row_scaled_outputs(const RowScaledVariant& variant,
                                                         const Bindings& bindings);

template <const RowScaledVariant& Variant>
[[nodiscard]] OpDefinition row_scaled_definition() {
  OpDefinition op = row_scaled_definition_base(Variant);
  op.validate = [](const Specialisation& spec) { row_scaled_validate(Variant, spec); };
  op.bind = [](const Bindings& bindings) { return row_scaled_bind(Variant, bindings); };
  op.plan_inputs = [](const Bindings& bindings, std::int64_t rows) {
    return row_scaled_inputs(Variant, bindings, rows);
  };
  op.plan_outputs = [](const Bindings& bindings) { return row_scaled_outputs(Variant, bindings); };
  return op;
}

}  // namespace kerncast::quant
