#include "templates/host/define_op.hpp"
#include "templates/norm/shared/quantised/quantised_reference.hpp"

KERNCAST_REFERENCE(norm, rms_norm_quant) {
  const reference::HostRows x(reference::require(input, "x"));
  reference::Verdict verdict;
  reference::check_quantised_norm(verdict, input, x,
                                  [&](std::int64_t row) { return reference::row_values(x, row); });
  return verdict.result();
}
