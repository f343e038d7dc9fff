#pragma once

#include <cstdint>
#include <string>

#include "templates/norm/shared/added_rms/added_rms_args.h"
#include "templates/norm/shared/added_rms/added_rms_params.hpp"
#include "templates/norm/shared/rms_op.hpp"

/// The host side of norm.fused_add_rms_norm and of the ops that end in it. Their argument structs have x,
/// residual, round_residual and the members that rms_op.hpp names.
namespace kerncast::norm {

template <class Arguments>
void describe_added_rms(host::NamedArguments& named, Arguments& call) {
  named.input("x", call.x, x_doc);
  named.in_place("residual", call.residual, residual_doc);
  describe_rms(named, call);
  named.setting("round_residual", call.round_residual);
}

/// Checks the arguments and makes the call; finish(call, rows) gives it its kernel's arguments.
template <class Arguments, class Finish>
[[nodiscard]] Call added_rms_call(const Arguments& arguments, const Finish& finish) {
  NormChecks checks(Arguments::op_name, arguments.x);
  const std::int64_t residual_stride = checks.output("residual", arguments.residual);
  const std::int64_t y_stride = checks.output("y", arguments.y);
  host::require_apart(Arguments::op_name, {{"residual", arguments.residual}, {"y", arguments.y, "x"}},
                      {{"x", arguments.x}, {"weight", arguments.weight}});
  Call call = rms_call(checks, arguments);
  call.spec.values[added_rms_params::residual_dtype] = host::to_param(arguments.residual.dtype);
  call.spec.values[added_rms_params::round_residual] = arguments.round_residual ? 1 : 0;
  finish(call, AddedRmsArgs{
                   .x = arguments.x.data,
                   .residual = arguments.residual.data,
                   .weight = arguments.weight.data,
                   .y = arguments.y.data,
                   .rows = checks.count(),
                   .x_stride = checks.stride(),
                   .residual_stride = residual_stride,
                   .y_stride = y_stride,
                   .eps = arguments.eps,
                   .weight_offset = arguments.weight_offset,
               });
  return call;
}

/// The instructions and tensors of a row.
[[nodiscard]] inline RowCost added_rms_cost(const Specialisation& spec) {
  return {
      .once = 70,
      .each = 92,
      .tensors = 4,
      .widest = widest_of<row_params::x_dtype, row_params::y_dtype, added_rms_params::residual_dtype>(spec)};
}

[[nodiscard]] inline std::string added_rms_defect(const Specialisation& spec, const Tunables& tunables,
                                                  const DeviceTraits& device) {
  return row_tunables_defect<row_params::x_dtype, row_params::y_dtype, added_rms_params::residual_dtype>(
      spec, tunables, device);
}

/// define_rms_norm with the parameters of added_rms_params.
template <TypedCall Arguments, host::Describe<Arguments> describe>
[[nodiscard]] OpDefinition define_added_rms_norm() {
  OpDefinition op = define_rms_norm<Arguments, describe>();
  host::append(op.params,
               host::param<added_rms_params::residual_dtype>(float_dtype_param("element type of residual")),
               host::param<added_rms_params::round_residual>(round_residual_param()));
  op.validate = [](const Specialisation& spec) {
    validate_rows(Arguments::op_name, spec, {row_params::y_dtype, added_rms_params::residual_dtype});
  };
  op.plan_inputs = [](const Bindings& bindings, std::int64_t rows) {
    return InputPlans(definition_of<Arguments>(), bindings, rows)
        .rows("x")
        .rows("residual", "residual_dtype")
        .vector("weight", "has_weight")
        .take();
  };
  return op;
}

}  // namespace kerncast::norm
