#include "templates/host/define_op.hpp"
#include "templates/moe/shared/weighted_sum_reference.hpp"
#include "templates/moe/shared/weighted_sum_spec_index.hpp"

KERNCAST_REFERENCE(moe, sum_reduce) {
  using namespace moe::weighted_sum_params;
  const HostTensor& x = reference::require(input, "x");
  std::optional<reference::HostRows> ids;
  std::optional<reference::HostRows> map;
  if (input.spec[has_ids] != 0) {
    ids.emplace(reference::require(input, "ids"));
  }
  if (input.spec[has_expert_map] != 0) {
    map.emplace(reference::require(input, "expert_map"));
  }
  const auto is_here = [&](std::int64_t token, std::int64_t slot) {
    if (!ids) {
      return true;
    }
    double id = (*ids)(token, slot);
    if (map) {
      id = id >= 0 && id < static_cast<double>(map->width()) ? (*map)(0, static_cast<std::int64_t>(id)) : -1;
    }
    return id >= 0 && id < input.spec[experts];
  };
  return moe::check_weighted_sum(input, [&](std::int64_t token, std::int64_t slot, std::int64_t column) {
    return is_here(token, slot) ? std::optional<double>(moe::element_of_slot(x, token, slot, column))
                                : std::nullopt;
  });
}
