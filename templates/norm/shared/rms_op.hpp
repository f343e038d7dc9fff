#pragma once

#include <cstdint>

#include "templates/norm/shared/rms_params.hpp"
#include "templates/norm/shared/row_norm.hpp"

/// The root-mean-square norms that give y in a float type: norm.rms_norm, fused_add_rms_norm, gated_rms_norm.
/// Their argument structs all have weight, y, eps, weight_offset and hf_rounding.
namespace kerncast::norm {

template <class Arguments>
void describe_rms(host::NamedArguments& named, Arguments& call) {
  named.optional_input("weight", call.weight, weight_doc);
  named.output("y", call.y, y_doc);
  named.scalar("eps", call.eps, eps_doc);
  named.scalar("weight_offset", call.weight_offset, weight_offset_doc);
  named.setting("hf_rounding", call.hf_rounding);
}

/// Ends the checks that the op began, and makes the call but for its kernel arguments.
template <class Arguments>
[[nodiscard]] Call rms_call(NormChecks& checks, const Arguments& arguments) {
  const TensorView& weight = arguments.weight;
  require_eps(Arguments::op_name, arguments.eps);
  checks.vector("weight", weight);
  require_offset(Arguments::op_name, weight, arguments.weight_offset);
  Call call = checks.call(arguments.y.dtype);
  call.spec.values[rms_params::weight_dtype] =
      host::to_param(weight.absent() ? arguments.x.dtype : weight.dtype);
  call.spec.values[rms_params::has_weight] = weight.absent() ? 0 : 1;
  call.spec.values[rms_params::hf_rounding] = arguments.hf_rounding ? 1 : 0;
  return call;
}

/// The parameters weight_dtype and has_weight, which the norms that quantise have too.
[[nodiscard]] inline ParamSpec weight_dtype_param() {
  return float_dtype_param("element type of weight; x's dtype if there is no weight");
}
[[nodiscard]] inline ParamSpec has_weight_param() {
  return host::flag_param(true, "multiply by weight + weight_offset");
}

/// define_row_norm with the parameters of rms_params.
template <TypedCall Arguments, host::Describe<Arguments> describe>
[[nodiscard]] OpDefinition define_rms_norm() {
  OpDefinition op = define_row_norm<Arguments, describe>();
  host::append(op.params, host::param<rms_params::weight_dtype>(weight_dtype_param()),
               host::param<rms_params::has_weight>(has_weight_param()),
               host::param<rms_params::hf_rounding>(
                   host::flag_param(false, "round the normalised row to x's dtype before the weight")));
  return op;
}

}  // namespace kerncast::norm
