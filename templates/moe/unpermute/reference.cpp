#include "templates/host/define_op.hpp"
#include "templates/moe/shared/weighted_sum_reference.hpp"

KERNCAST_REFERENCE(moe, unpermute) {
  const reference::HostRows x(reference::require(input, "x"));
  const reference::HostRows map(reference::require(input, "map"));
  return moe::check_weighted_sum(
      input, [&](std::int64_t token, std::int64_t slot, std::int64_t column) -> std::optional<double> {
        const auto row = static_cast<std::int64_t>(map(token, slot));
        return row < 0 || row >= x.rows() ? std::nullopt : std::optional<double>(x(row, column));
      });
}
