#include "templates/host/define_op.hpp"
#include "templates/quant/shared/group_scaled_spec_index.hpp"
#include "templates/reference/group_quant.hpp"

KERNCAST_REFERENCE(quant, per_token_group) {
  namespace params = quant::group_scaled_params;
  const reference::HostRows x(reference::require(input, "x"));
  const reference::HostRows q(reference::require(input, "q"));
  reference::Verdict verdict;
  if (q.rows() != x.rows() || q.width() != x.width()) {
    verdict.fail("q", 0, 0, "has a shape that does not match x");
    return verdict.result();
  }
  reference::check_groups(verdict, x, x.rows(), q, reference::require(input, "s"), input.spec[params::group],
                          static_cast<quant::ScaleFormat>(input.spec[params::scale_format]));
  return verdict.result();
}
