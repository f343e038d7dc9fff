#include <cmath>

#include "templates/host/define_op.hpp"
#include "templates/reference/group_quant.hpp"

KERNCAST_REFERENCE(quant, per_tensor_fp8) {
  const reference::HostRows x(reference::require(input, "x"));
  const reference::HostRows q(reference::require(input, "q"));
  const bool given = input.tensor("scale") != nullptr;
  const reference::HostRows s(reference::require(input, given ? "scale" : "s"));
  reference::Verdict verdict;
  if (q.rows() != x.rows() || q.width() != x.width()) {
    verdict.fail("q", 0, 0, "has a shape that does not match x");
    return verdict.result();
  }
  if (!given) {
    double amax = 0;
    for (std::int64_t row = 0; row < x.rows(); ++row) {
      for (std::int64_t i = 0; i < x.width(); ++i) {
        amax = std::fmax(amax, std::fabs(x(row, i)));
      }
    }
    reference::check_scale(verdict, quant::ScaleFormat::f32, 0, 0, s(0, 0), amax, 448.0);
  }
  for (std::int64_t row = 0; row < x.rows(); ++row) {
    for (std::int64_t i = 0; i < x.width(); ++i) {
      reference::check_quantised(verdict, row, i, q.dtype(), q(row, i), x(row, i), s(0, 0));
    }
  }
  return verdict.result();
}
