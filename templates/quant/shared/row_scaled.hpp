#pragma once

#include <string_view>
#include <vector>

#include "templates/host/define_op.hpp"
#include "templates/host/typed_op.hpp"
#include "templates/quant/shared/row_operands.hpp"

/// Host side of the ops that quantise each row with one scale. `Arguments` is a PerTokenArguments.
namespace kerncast::quant {

[[nodiscard]] Call row_scaled_call(std::string_view op, DType q_dtype, const TensorView& x,
                                   const TensorView& q, const TensorView& s);

template <class Arguments>
[[nodiscard]] Call row_scaled_call(const Arguments& arguments) {
  return row_scaled_call(Arguments::op_name, Arguments::q_dtype, arguments.x, arguments.q, arguments.s);
}

template <class Arguments>
void describe_row_scaled(host::NamedArguments& named, Arguments& call) {
  named.input("x", call.x, "[..., hidden], x_dtype; rows may be strided");
  named.output("q", call.q, "shape of x, q_dtype; rows may be strided");
  named.output("s", call.s, "[..., 1], f32; rows may be strided");
}

/// Sets everything in `op` that does not depend on `Arguments`.
void complete_row_scaled(OpDefinition& op, DType q_dtype);
void validate_row_scaled(std::string_view op, const Specialisation& spec);
[[nodiscard]] std::vector<TensorPlan> row_scaled_outputs(const OpDefinition& op, const Bindings& bindings,
                                                         DType q_dtype);

template <class Arguments>
[[nodiscard]] OpDefinition row_scaled_definition(std::string_view summary, std::string_view formula) {
  OpDefinition op = host::define<Arguments, describe_row_scaled<Arguments>>();
  op.summary = summary;
  op.formula = formula;
  complete_row_scaled(op, Arguments::q_dtype);
  op.validate = [](const Specialisation& spec) { validate_row_scaled(Arguments::op_name, spec); };
  op.plan_inputs = [](const Bindings& bindings, std::int64_t rows) {
    return std::vector{plan_row_input(definition_of<Arguments>(), bindings, rows)};
  };
  op.plan_outputs = [](const Bindings& bindings) {
    return row_scaled_outputs(definition_of<Arguments>(), bindings, Arguments::q_dtype);
  };
  return op;
}

}  // namespace kerncast::quant
