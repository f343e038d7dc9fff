#pragma once

#include "kerncast/dtype.hpp"

/// The roundings of eager torch.
namespace kerncast::reference {

/// The dtype of the result of an operator on tensors of two dtypes: theirs if it is one, else f32.
[[nodiscard]] DType promoted(DType one, DType other);

/// The result in `type` of an operator that computes in f32; `exact` is its value before it is rounded.
[[nodiscard]] double operator_result(DType type, double exact);

}  // namespace kerncast::reference
