#pragma once

#include "templates/norm/shared/row_params.hpp"

/// The parameters of norm.scale_shift and norm.gate_residual_scale_shift past those of row_params.
/// scale_shift has those before gate_form.
namespace kerncast::norm::scale_shift_params {

enum Param : std::size_t {
  weight_dtype = row_params::count,
  norm,
  has_weight,
  has_bias,
  modulation_dtype,
  scale_form,
  shift_form,
  aten_rounding,
  gate_form,
  residual_dtype
};

}  // namespace kerncast::norm::scale_shift_params
