#include <cmath>

#include "templates/host/define_op.hpp"
#include "templates/reference/compare.hpp"
#include "templates/reference/host_rows.hpp"

KERNCAST_REFERENCE(norm, relative_l1) {
  const reference::HostRows a(reference::require(input, "a"));
  const reference::HostRows b(reference::require(input, "b"));
  const reference::HostRows d(reference::require(input, "d"));
  reference::Verdict verdict;
  double distance = 0;
  double magnitude = 0;
  for (std::int64_t row = 0; row < a.rows(); ++row) {
    for (std::int64_t i = 0; i < a.width(); ++i) {
      distance += std::fabs(a(row, i) - b(row, i));
      magnitude += std::fabs(a(row, i));
    }
  }
  // The tolerance is that of a quotient of sums.
  const double want = distance == 0 && magnitude == 0 ? 0.0 : distance / magnitude;
  verdict.compare("d", 0, 0, DType::f32, d(0, 0), want, 2);
  return verdict.result();
}
