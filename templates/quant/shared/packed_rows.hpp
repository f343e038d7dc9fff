#pragma once

#include <string_view>
#include <vector>

#include "kerncast/op_definition.hpp"
#include "templates/host/define_op.hpp"
#include "templates/host/typed_op.hpp"

/// Host side of the ops that pack rows as fp8 bytes followed by their scale, and that unpack them.
namespace kerncast::quant {

/// Constants that tell packing from unpacking.
struct PackedRowsVariant {
  std::string_view op;  ///< "quant.fp8_pack"
  const char* wide;     ///< the tensor that is not packed: "x" or "y"
  bool packs = false;   ///< the packed tensor is the output
};

inline constexpr const char* wide_doc = "[..., hidden], wide_dtype; rows may be strided";
inline constexpr const char* packed_doc =
    "[..., hidden + 4], u8: hidden e4m3, then their scale, f32, little endian; rows may be strided";

[[nodiscard]] Call packed_rows_call(const PackedRowsVariant& variant, const TensorView& wide,
                                    const TensorView& packed);
void packed_rows_validate(const PackedRowsVariant& variant, const Specialisation& spec);
[[nodiscard]] std::vector<TensorPlan> packed_rows_inputs(const PackedRowsVariant& variant,
                                                         const Bindings& bindings, std::int64_t rows);
[[nodiscard]] std::vector<TensorPlan> packed_rows_outputs(const PackedRowsVariant& variant,
                                                          const Bindings& bindings);
/// Takes the packed_alignment that the caller names if it is narrower than that of the tensors.
void narrow_packed_alignment(const OpDefinition& op, Call& call, const Bindings& bindings);
/// Sets parameters, tunables, geometry and model cases.
void complete_packed_rows(OpDefinition& op, const PackedRowsVariant& variant);

template <class Arguments, const PackedRowsVariant& Variant, host::Describe<Arguments> describe>
[[nodiscard]] OpDefinition packed_rows_definition(std::string_view summary, std::string_view formula) {
  OpDefinition op = host::define<Arguments, describe, narrow_packed_alignment>();
  op.summary = summary;
  op.formula = formula;
  complete_packed_rows(op, Variant);
  op.validate = [](const Specialisation& spec) { packed_rows_validate(Variant, spec); };
  op.plan_inputs = [](const Bindings& bindings, std::int64_t rows) {
    return packed_rows_inputs(Variant, bindings, rows);
  };
  op.plan_outputs = [](const Bindings& bindings) { return packed_rows_outputs(Variant, bindings); };
  return op;
}

}  // namespace kerncast::quant
