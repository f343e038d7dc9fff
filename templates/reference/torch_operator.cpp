#include "templates/reference/torch_operator.hpp"

#include "templates/reference/host_float.hpp"

namespace kerncast::reference {

DType promoted(DType one, DType other) {
  return one == other ? one : DType::f32;
}

double operator_result(DType type, double exact) {
  return rounded(type, rounded(DType::f32, exact));
}

}  // namespace kerncast::reference
