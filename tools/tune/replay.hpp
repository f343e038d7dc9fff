#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tools/tune/decision.hpp"
#include "tools/tune/search/strategy.hpp"
#include "tools/tune/space/space.hpp"
#include "tools/tune/trials/trial.hpp"

/// Decides and searches anew from trials that were stored, without a device.
namespace kerncast::tools {

/// The candidate that stored trials decide for.
struct Replayed {
  const Trial* own = nullptr;     ///< the default's trial; null if it is not there
  const Trial* chosen = nullptr;  ///< the winner's; null if the default stays
  PairedDifference gain;
};

/// The rounds of each trial that count.
enum class Rounds : std::uint8_t { all, even, odd };

/// Decides from the trials of one search: from those that were measured again if there are any and one round
/// does not decide. Winners that did not hold over their bucket are left out. `ids` gives
/// the identifiers of candidates; a trial of a candidate without one is left out. `own` names the default.
/// With even or odd rounds the decision is that of a run that made only these.
[[nodiscard]] Replayed replay_decision(const std::vector<Trial>& trials, const std::string& own,
                                       const std::map<std::string, std::uint32_t>& ids, Rounds rounds,
                                       const DecisionPolicy& policy);

/// The outcome of a search over stored times.
struct ReplayedSearch {
  std::size_t trials = 0;
  std::size_t candidates = 0;
  double regret = 1;  ///< the time of the best that it found, in multiples of the best of all
};

/// Runs a strategy over stored times; a candidate without a trial cannot be used. Deterministic.
[[nodiscard]] ReplayedSearch replay_search(const StrategyChoice& strategy, std::uint64_t seed,
                                           const Point& point, const Space& space,
                                           const std::vector<Trial>& trials);

}  // namespace kerncast::tools
