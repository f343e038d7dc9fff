#include "templates/host/define_op.hpp"
#include "templates/norm/shared/modulation/modulation_reference.hpp"
#include "templates/norm/shared/rms_reference.hpp"

KERNCAST_REFERENCE(norm, scale_shift) {
  const reference::HostRows x(reference::require(input, "x"));
  reference::Verdict verdict;
  for (std::int64_t row = 0; row < x.rows(); ++row) {
    reference::check_modulated(verdict, input, x.rows(), row, reference::row_values(x, row), x.dtype());
  }
  return verdict.result();
}
