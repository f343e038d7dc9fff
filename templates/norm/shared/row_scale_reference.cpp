#include "templates/norm/shared/row_scale_reference.hpp"

#include <cmath>
#include <limits>

namespace kerncast::reference {

double row_scale(double squares, double count, double eps) {
  constexpr double least = 0x1p-252;
  const double total = squares / count + eps;
  return 1.0 / std::sqrt(total < least ? least : total);
}

double within_f32(double value) {
  return std::fabs(value) > std::numeric_limits<float>::max()
             ? std::copysign(std::numeric_limits<double>::infinity(), value)
             : value;
}

}  // namespace kerncast::reference
