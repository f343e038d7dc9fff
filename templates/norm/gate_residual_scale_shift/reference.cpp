#include "templates/host/define_op.hpp"
#include "templates/norm/scale_shift/spec_index.hpp"
#include "templates/norm/shared/modulation/modulation_reference.hpp"
#include "templates/norm/shared/rms_reference.hpp"
#include "templates/reference/host_float.hpp"
#include "templates/reference/torch_operator.hpp"

KERNCAST_REFERENCE(norm, gate_residual_scale_shift) {
  const reference::HostRows x(reference::require(input, "x"));
  const reference::HostRows residual(reference::require(input, "residual"));
  const reference::HostRows r(reference::require(input, "r"));
  const HostTensor* gate = input.tensor("gate");
  const DType product = reference::promoted(gate != nullptr ? gate->dtype : x.dtype(), x.dtype());
  const bool steps = input.spec[norm::scale_shift_params::aten_rounding] != 0;
  reference::Verdict verdict;
  for (std::int64_t row = 0; row < x.rows(); ++row) {
    std::vector<double> values = reference::row_values(residual, row);
    for (std::int64_t i = 0; i < x.width(); ++i) {
      double& value = values[static_cast<std::size_t>(i)];
      const double added = reference::spread(input, "gate", x.rows(), row, i, 1.0) * x(row, i);
      if (steps) {
        value = reference::operator_result(r.dtype(), value + reference::operator_result(product, added));
        verdict.compare("r", row, i, r.dtype(), r(row, i), value, 0);
      } else {
        value += added;
        verdict.compare("r", row, i, r.dtype(), r(row, i), value, 1);
        value = reference::rounded(DType::f32, value);
      }
    }
    reference::check_modulated(verdict, input, x.rows(), row, values, r.dtype());
  }
  return verdict.result();
}
