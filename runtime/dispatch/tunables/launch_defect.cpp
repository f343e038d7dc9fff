#include "runtime/dispatch/tunables/launch_defect.hpp"

#include <fmt/format.h>

#include <vector>

namespace kerncast {

std::string launch_defect(const OpDefinition& op, const Specialisation& spec, const Tunables& tunables,
                          const DeviceTraits& traits, std::string_view arch, std::int64_t rows) {
  if (op.tunables_defect != nullptr) {
    if (std::string defect = op.tunables_defect(spec, tunables, traits); !defect.empty()) {
      return defect;
    }
  }
  constexpr std::uint64_t most_threads = 1024;
  std::vector<decltype(OpDefinition::geometry)> stages{op.geometry};
  for (const LaterStage& stage : op.later_stages) {
    stages.push_back(stage.geometry);
  }
  for (const auto geometry_of : stages) {
    const LaunchGeometry geometry = geometry_of(spec, tunables, traits, rows);
    const std::uint64_t threads =
        std::uint64_t{geometry.block[0]} * geometry.block[1] * std::uint64_t{geometry.block[2]};
    if (threads == 0 || threads > most_threads) {
      return fmt::format("a block would have {} threads", threads);
    }
    if (geometry.dynamic_shared > static_cast<std::uint64_t>(traits.max_shared_per_block)) {
      return fmt::format("a block would need {} bytes of shared memory, {} has {}", geometry.dynamic_shared,
                         arch, traits.max_shared_per_block);
    }
  }
  return {};
}

}  // namespace kerncast
