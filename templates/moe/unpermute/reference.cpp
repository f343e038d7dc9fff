#include "templates/moe/shared/weighted_sum_reference.hpp"

namespace kerncast::ops {

ReferenceResult moe_unpermute_reference(const ReferenceInput& input);

ReferenceResult moe_unpermute_reference(const ReferenceInput& input) {
  const reference::HostRows x(reference::require(input, "x"));
  const reference::HostRows map(reference::require(input, "map"));
  return moe::check_weighted_sum(
      input, [&](std::int64_t token, std::int64_t slot, std::int64_t column) -> std::optional<double> {
        const auto row = static_cast<std::int64_t>(map(token, slot));
        return row < 0 || row >= x.rows() ? std::nullopt : std::optional<double>(x(row, column));
      });
}

}  // namespace kerncast::ops
