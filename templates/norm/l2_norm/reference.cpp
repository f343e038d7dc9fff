#include "templates/host/define_op.hpp"
#include "templates/norm/shared/rms_reference.hpp"

KERNCAST_REFERENCE(norm, l2_norm) {
  const reference::HostRows x(reference::require(input, "x"));
  const reference::HostRows y(reference::require(input, "y"));
  const double eps = static_cast<float>(input.scalar("eps", 1e-6));
  reference::Verdict verdict;
  for (std::int64_t row = 0; reference::same_shape(verdict, x, y) && row < x.rows(); ++row) {
    const std::vector<double> values = reference::row_values(x, row);
    const double scale = reference::row_scale(reference::sum_of_squares(values), 1, eps);
    reference::check_scaled(verdict, row, values, scale, y);
  }
  return verdict.result();
}
