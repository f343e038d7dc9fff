#include "templates/host/define_op.hpp"
#include "templates/norm/shared/rms_reference.hpp"

// A world of one rank: the sum over the ranks is the rank's own row.
KERNCAST_REFERENCE(comm, all_reduce) {
  const reference::HostRows x(reference::require(input, "x"));
  const reference::HostRows y(reference::require(input, "y"));
  reference::Verdict verdict;
  for (std::int64_t row = 0; reference::same_shape(verdict, x, y) && row < x.rows(); ++row) {
    reference::check_scaled(verdict, row, reference::row_values(x, row), 1.0, y);
  }
  return verdict.result();
}
