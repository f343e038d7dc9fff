#include "tests/templates/catalogue/launchable_tunables.hpp"

#include <algorithm>
#include <bit>

namespace kerncast::test {
namespace {

/// True for the values of a tunable that launchable_tunables() keeps if it is to be coarse.
bool is_coarse(const TunableSpec& tunable, std::int32_t value) {
  constexpr std::size_t few = 8;
  const std::vector<std::int32_t> values = tunable_values(tunable);
  return values.size() <= few || std::has_single_bit(static_cast<std::uint32_t>(value));
}

}  // namespace

std::vector<Tunables> launchable_tunables(const OpDefinition& op, const Call& call,
                                          const DeviceTraits& traits, bool coarse) {
  std::vector<Tunables> all = all_tunables(op, call.spec, traits, call.rows);
  std::erase_if(all, [&](const Tunables& made) {
    for (std::size_t i = 0; i < op.tunables.size(); ++i) {
      const bool idle = op.tunables[i].name == "rows_per_block" && made[i] > call.rows;
      if (idle || (coarse && !is_coarse(op.tunables[i], made[i]))) {
        return true;
      }
    }
    return false;
  });
  return all;
}

}  // namespace kerncast::test
