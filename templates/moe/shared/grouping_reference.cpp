#include "templates/moe/shared/grouping_reference.hpp"

#include <optional>

#include "templates/reference/host_rows.hpp"

namespace kerncast::moe {

std::vector<std::vector<std::int64_t>> slots_by_expert(const ReferenceInput& input, std::int64_t experts,
                                                       bool has_expert_map) {
  const reference::HostRows ids(reference::require(input, "ids"));
  std::optional<reference::HostRows> map;
  if (has_expert_map) {
    map.emplace(reference::require(input, "expert_map"));
  }
  std::vector<std::vector<std::int64_t>> slots(static_cast<std::size_t>(experts));
  for (std::int64_t row = 0; row < ids.rows(); ++row) {
    for (std::int64_t k = 0; k < ids.width(); ++k) {
      auto id = static_cast<std::int64_t>(ids(row, k));
      if (map) {
        id = id >= 0 && id < map->width() ? static_cast<std::int64_t>((*map)(0, id)) : -1;
      }
      if (id >= 0 && id < experts) {
        slots[static_cast<std::size_t>(id)].push_back(row * ids.width() + k);
      }
    }
  }
  return slots;
}

}  // namespace kerncast::moe
