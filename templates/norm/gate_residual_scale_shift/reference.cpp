#include "templates/host/define_op.hpp"
#include "templates/norm/shared/modulation_reference.hpp"
#include "templates/norm/shared/rms_reference.hpp"
#include "templates/reference/host_float.hpp"

KERNCAST_REFERENCE(norm, gate_residual_scale_shift) {
  const reference::HostRows x(reference::require(input, "x"));
  const reference::HostRows residual(reference::require(input, "residual"));
  const reference::HostRows r(reference::require(input, "r"));
  reference::Verdict verdict;
  for (std::int64_t row = 0; row < x.rows(); ++row) {
    std::vector<double> values = reference::row_values(residual, row);
    for (std::int64_t i = 0; i < x.width(); ++i) {
      double& value = values[static_cast<std::size_t>(i)];
      value += reference::spread(input, "gate", x.rows(), row, i, 1.0) * x(row, i);
      verdict.compare("r", row, i, r.dtype(), r(row, i), value, 1);
      value = reference::rounded(DType::f32, value);
    }
    reference::check_modulated(verdict, input, x.rows(), row, values);
  }
  return verdict.result();
}
