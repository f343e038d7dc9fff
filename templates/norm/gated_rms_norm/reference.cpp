#include <cmath>

#include <kerncast/ops/norm/norm_gate.h>
#include "templates/host/define_op.hpp"
#include "templates/norm/gated_rms_norm/spec_index.hpp"
#include "templates/norm/shared/rms_params.hpp"
#include "templates/norm/shared/rms_reference.hpp"

KERNCAST_REFERENCE(norm, gated_rms_norm) {
  const reference::HostRows x(reference::require(input, "x"));
  const reference::HostRows z(reference::require(input, "z"));
  const reference::HostRows y(reference::require(input, "y"));
  const reference::RmsNormReference norm(input);
  const bool is_silu =
      static_cast<norm::NormGate>(input.spec[norm::gated_rms_norm_params::gate]) == norm::NormGate::silu;
  const bool twice = input.spec[norm::rms_params::hf_rounding] != 0;

  reference::Verdict verdict;
  if (y.rows() != x.rows() || y.width() != x.width() || z.rows() != x.rows() || z.width() != x.width()) {
    verdict.fail("y", 0, 0, "has another shape than x, or z has");
    return verdict.result();
  }
  for (std::int64_t row = 0; row < x.rows(); ++row) {
    const std::vector<double> values = reference::row_values(x, row);
    norm.check(verdict, row, values, norm.scale(values), y, twice ? std::optional(x.dtype()) : std::nullopt,
               [&](std::int64_t column) {
                 const double gate = z(row, column);
                 return (is_silu ? gate : 1.0) / (1.0 + std::exp(-gate));
               });
  }
  return verdict.result();
}
