#pragma once

#include <string_view>

#include <kerncast/ops/quant/per_token_arguments.hpp>
#include "kerncast/op_definition.hpp"

/// What the ops that quantise a row with one scale share on the host.
namespace kerncast::quant {

/// One of them.
struct PerTokenKind {
  std::string_view name;  ///< "per_token_fp8"
  std::string_view op;    ///< "quant.per_token_fp8"
  DType q;
  std::string_view summary;
  std::string_view formula;
};

[[nodiscard]] Call per_token_call(const PerTokenKind& kind, const PerToken& arguments);
[[nodiscard]] OpDefinition per_token_definition_base(const PerTokenKind& kind);
void per_token_validate(const PerTokenKind& kind, const Specialisation& spec);
[[nodiscard]] Call per_token_bind(const PerTokenKind& kind, const Bindings& bindings);
[[nodiscard]] std::vector<TensorPlan> per_token_inputs(const PerTokenKind& kind, const Bindings& bindings,
                                                       std::int64_t rows);
[[nodiscard]] std::vector<TensorPlan> per_token_outputs(const PerTokenKind& kind, const Bindings& bindings);

template <const PerTokenKind& Kind>
[[nodiscard]] OpDefinition per_token_definition() {
  OpDefinition op = per_token_definition_base(Kind);
  op.validate = [](const Specialisation& spec) { per_token_validate(Kind, spec); };
  op.bind = [](const Bindings& bindings) { return per_token_bind(Kind, bindings); };
  op.plan_inputs = [](const Bindings& bindings, std::int64_t rows) {
    return per_token_inputs(Kind, bindings, rows);
  };
  op.plan_outputs = [](const Bindings& bindings) { return per_token_outputs(Kind, bindings); };
  return op;
}

}  // namespace kerncast::quant
