#pragma once

#include <string_view>
#include <vector>

#include "kerncast/op.hpp"

/// What packing and unpacking fp8 rows with their scales share on the host.
namespace kerncast::quant {

/// One of the two.
struct PackedRowsVariant {
  std::string_view name;  ///< "fp8_pack"
  std::string_view op;    ///< "quant.fp8_pack"
  std::string_view wide;  ///< the tensor that is not packed: "x" or "y"
  bool packs;
  std::string_view summary;
  std::string_view formula;
};

[[nodiscard]] Call packed_rows_call(const PackedRowsVariant& variant, const TensorView& wide,
                                    const TensorView& packed);
[[nodiscard]] OpDefinition packed_rows_definition_base(const PackedRowsVariant& variant);
void packed_rows_validate(const PackedRowsVariant& variant, const Specialisation& spec);
[[nodiscard]] Call packed_rows_bind(const PackedRowsVariant& variant, const Bindings& bindings);
[[nodiscard]] std::vector<TensorPlan> packed_rows_inputs(const PackedRowsVariant& variant,
                                                         const Bindings& bindings, std::int64_t rows);
[[nodiscard]] std::vector<TensorPlan> packed_rows_outputs(const PackedRowsVariant& variant,
                                                          const Bindings& bindings);

template <const PackedRowsVariant& Variant>
[[nodiscard]] OpDefinition packed_rows_definition() {
  OpDefinition op = packed_rows_definition_base(Variant);
  op.validate = [](const Specialisation& spec) { packed_rows_validate(Variant, spec); };
  op.bind = [](const Bindings& bindings) { return packed_rows_bind(Variant, bindings); };
  op.plan_inputs = [](const Bindings& bindings, std::int64_t rows) {
    return packed_rows_inputs(Variant, bindings, rows);
  };
  op.plan_outputs = [](const Bindings& bindings) { return packed_rows_outputs(Variant, bindings); };
  return op;
}

}  // namespace kerncast::quant
