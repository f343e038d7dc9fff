#include "templates/norm/shared/row_scale_reference.hpp"

#include <cmath>
#include <limits>

namespace kerncast::reference {

RowScale row_scale(double squares, double count, double eps) {
  constexpr double largest = std::numeric_limits<float>::max();
  constexpr double least = std::numeric_limits<float>::min();
  const double mean = squares / count;
  const double total = mean > largest ? std::numeric_limits<double>::infinity() : mean + eps;
  return {1.0 / std::sqrt(total < least ? least : total), squares > largest && std::isfinite(squares)};
}

}  // namespace kerncast::reference
