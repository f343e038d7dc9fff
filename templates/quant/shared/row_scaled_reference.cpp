#include <cmath>

#include "templates/reference/group_quant.hpp"

namespace kerncast::ops {
namespace {

ReferenceResult check(const ReferenceInput& input) {
  const reference::HostRows x(reference::require(input, "x"));
  const reference::HostRows q(reference::require(input, "q"));
  const reference::HostRows s(reference::require(input, "s"));
  reference::Verdict verdict;
  if (q.rows() != x.rows() || q.width() != x.width() || s.rows() != x.rows() || s.width() != 1) {
    verdict.fail("q, s", 0, 0, "have shapes that do not match x");
    return verdict.result();
  }
  for (std::int64_t row = 0; row < x.rows(); ++row) {
    double amax = 0;
    for (std::int64_t i = 0; i < x.width(); ++i) {
      amax = std::fmax(amax, std::fabs(x(row, i)));
    }
    reference::check_scale(verdict, quant::ScaleFormat::f32, row, 0, s(row, 0), amax,
                           reference::largest_of(q.dtype()));
    for (std::int64_t i = 0; i < x.width(); ++i) {
      reference::check_quantised(verdict, row, i, q.dtype(), q(row, i), x(row, i), s(row, 0));
    }
  }
  return verdict.result();
}

}  // namespace

ReferenceResult quant_per_token_fp8_reference(const ReferenceInput& input);
ReferenceResult quant_per_token_fp8_reference(const ReferenceInput& input) {
  return check(input);
}

ReferenceResult quant_per_token_int8_reference(const ReferenceInput& input);
ReferenceResult quant_per_token_int8_reference(const ReferenceInput& input) {
  return check(input);
}

}  // namespace kerncast::ops
