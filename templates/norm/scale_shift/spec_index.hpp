#pragma once

#include "templates/norm/shared/row_params.hpp"

/// Places of the parameters in Specialisation past those of row_params; scale_shift has those before
/// gate_form.
namespace kerncast::norm::scale_shift_params {

enum Param : std::size_t {
  norm = row_params::count,
  has_weight,
  has_bias,
  modulation_dtype,
  scale_form,
  shift_form,
  gate_form,
  residual_dtype
};

}  // namespace kerncast::norm::scale_shift_params
