#include <cmath>

#include "templates/host/define_op.hpp"
#include "templates/reference/group_quant.hpp"

namespace kerncast::reference {
namespace {

/// Checks a call of an op that quantises each row with one scale.
ReferenceResult check_row_scaled(const ReferenceInput& input) {
  const HostRows x(require(input, "x"));
  const HostRows q(require(input, "q"));
  const HostRows s(require(input, "s"));
  Verdict verdict;
  if (q.rows() != x.rows() || q.width() != x.width() || s.rows() != x.rows() || s.width() != 1) {
    verdict.fail("q, s", 0, 0, "have shapes that do not match x");
    return verdict.result();
  }
  for (std::int64_t row = 0; row < x.rows(); ++row) {
    double amax = 0;
    for (std::int64_t i = 0; i < x.width(); ++i) {
      amax = std::fmax(amax, std::fabs(x(row, i)));
    }
    check_scale(verdict, quant::ScaleFormat::f32, row, 0, s(row, 0), amax, largest_of(q.dtype()));
    for (std::int64_t i = 0; i < x.width(); ++i) {
      check_quantised(verdict, row, i, q.dtype(), q(row, i), x(row, i), s(row, 0));
    }
  }
  return verdict.result();
}

}  // namespace

}  // namespace kerncast::reference

KERNCAST_REFERENCE(quant, per_token_fp8) {
  return reference::check_row_scaled(input);
}

KERNCAST_REFERENCE(quant, per_token_int8) {
  return reference::check_row_scaled(input);
}
