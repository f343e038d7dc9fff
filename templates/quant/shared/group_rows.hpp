#pragma once

#include <string_view>
#include <vector>

#include "kerncast/op_definition.hpp"
#include "templates/host/group_quant.hpp"

/// What the ops that quantise rows by groups share on the host.
namespace kerncast::quant {

/// One of them.
struct GroupRowsKind {
  std::string_view name;  ///< "per_token_group"
  std::string_view op;    ///< "quant.per_token_group"
  bool gated;             ///< x holds gates and ups, twice the width of q
  std::string_view summary;
  std::string_view formula;
  std::vector<ModelCase> (*model_cases)(const ModelConfig& model);
};

struct GroupRows {
  TensorView x;
  TensorView q;
  TensorView s;
  TensorView masked_m;
  host::GroupQuant quant;
};

[[nodiscard]] Call group_rows_call(const GroupRowsKind& kind, const GroupRows& arguments);
[[nodiscard]] OpDefinition group_rows_definition_base(const GroupRowsKind& kind);
void group_rows_validate(const GroupRowsKind& kind, const Specialisation& spec);
[[nodiscard]] Call group_rows_bind(const GroupRowsKind& kind, const Bindings& bindings);
[[nodiscard]] std::vector<TensorPlan> group_rows_inputs(const GroupRowsKind& kind, const Bindings& bindings,
                                                        std::int64_t rows);
[[nodiscard]] std::vector<TensorPlan> group_rows_outputs(const GroupRowsKind& kind, const Bindings& bindings);

/// One case of `model`'s dtype for rows of `width`, in the largest group that divides it; none where no group
/// does, or where `cases` has it.
void add_group_case(std::vector<ModelCase>& cases, const ModelConfig& model, const char* label,
                    std::int64_t width, const char* layout, const char* format, std::int64_t experts = 0);

template <const GroupRowsKind& Kind>
[[nodiscard]] OpDefinition group_rows_definition() {
  OpDefinition op = group_rows_definition_base(Kind);
  op.validate = [](const Specialisation& spec) { group_rows_validate(Kind, spec); };
  op.bind = [](const Bindings& bindings) { return group_rows_bind(Kind, bindings); };
  op.plan_inputs = [](const Bindings& bindings, std::int64_t rows) {
    return group_rows_inputs(Kind, bindings, rows);
  };
  op.plan_outputs = [](const Bindings& bindings) { return group_rows_outputs(Kind, bindings); };
  op.model_cases = Kind.model_cases;
  return op;
}

}  // namespace kerncast::quant
