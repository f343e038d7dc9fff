#include "templates/host/define_op.hpp"
#include "templates/norm/shared/rms_params.hpp"
#include "templates/norm/shared/rms_reference.hpp"

KERNCAST_REFERENCE(norm, rms_norm) {
  const reference::HostRows x(reference::require(input, "x"));
  const reference::HostRows y(reference::require(input, "y"));
  const reference::RmsNormReference norm(input);
  const bool twice = input.spec[norm::rms_params::hf_rounding] != 0;

  reference::Verdict verdict;
  for (std::int64_t row = 0; reference::same_shape(verdict, x, y) && row < x.rows(); ++row) {
    const std::vector<double> values = reference::row_values(x, row);
    norm.check(verdict, row, values, norm.scale(values), y, twice ? std::optional(x.dtype()) : std::nullopt);
  }
  return verdict.result();
}
