#include "templates/host/define_op.hpp"
#include "templates/moe/shared/weighted_sum_reference.hpp"

KERNCAST_REFERENCE(moe, sum_reduce) {
  const HostTensor& x = reference::require(input, "x");
  return moe::check_weighted_sum(input, [&](std::int64_t token, std::int64_t slot, std::int64_t column) {
    return std::optional<double>(moe::element_of_slot(x, token, slot, column));
  });
}
