#pragma once

#include <string_view>
#include <vector>

#include "kerncast/op_definition.hpp"

/// What packing and unpacking fp8 rows with their scales share on the host.
namespace kerncast::quant {

/// One of the two.
struct Fp8PackedKind {
  std::string_view name;  ///< "fp8_pack"
  std::string_view op;    ///< "quant.fp8_pack"
  std::string_view wide;  ///< the tensor that is not packed: "x" or "y"
  bool packs;
  std::string_view summary;
  std::string_view formula;
};

[[nodiscard]] Call fp8_packed_call(const Fp8PackedKind& kind, const TensorView& wide,
                                   const TensorView& packed);
[[nodiscard]] OpDefinition fp8_packed_definition_base(const Fp8PackedKind& kind);
void fp8_packed_validate(const Fp8PackedKind& kind, const Specialisation& spec);
[[nodiscard]] Call fp8_packed_bind(const Fp8PackedKind& kind, const Bindings& bindings);
[[nodiscard]] std::vector<TensorPlan> fp8_packed_inputs(const Fp8PackedKind& kind, const Bindings& bindings,
                                                        std::int64_t rows);
[[nodiscard]] std::vector<TensorPlan> fp8_packed_outputs(const Fp8PackedKind& kind, const Bindings& bindings);

template <const Fp8PackedKind& Kind>
[[nodiscard]] OpDefinition fp8_packed_definition() {
  OpDefinition op = fp8_packed_definition_base(Kind);
  op.validate = [](const Specialisation& spec) { fp8_packed_validate(Kind, spec); };
  op.bind = [](const Bindings& bindings) { return fp8_packed_bind(Kind, bindings); };
  op.plan_inputs = [](const Bindings& bindings, std::int64_t rows) {
    return fp8_packed_inputs(Kind, bindings, rows);
  };
  op.plan_outputs = [](const Bindings& bindings) { return fp8_packed_outputs(Kind, bindings); };
  return op;
}

}  // namespace kerncast::quant
