#include "tools/tune/replay.hpp"

#include <algorithm>
#include <limits>
#include <set>

namespace kerncast::tools {
namespace {

std::vector<double> some_of(const std::vector<double>& samples, Rounds rounds) {
  if (rounds == Rounds::all || samples.size() < 2) {
    return samples;
  }
  std::vector<double> some;
  for (std::size_t i = rounds == Rounds::even ? 0 : 1; i < samples.size(); i += 2) {
    some.push_back(samples[i]);
  }
  return some;
}

}  // namespace

Replayed replay_decision(const std::vector<Trial>& trials, const std::string& own,
                         const std::map<std::string, std::uint32_t>& ids, Rounds rounds,
                         const DecisionPolicy& policy) {
  Replayed replayed;
  // A candidate may have several trials; the last one counts.
  std::map<std::uint32_t, const Trial*> last[2];
  std::set<std::uint32_t> not_held;
  for (const Trial& trial : trials) {
    const auto id = ids.find(trial.tunables);
    if (id == ids.end()) {
      continue;
    }
    if (trial.tunables == own) {
      replayed.own = trial.timed() && !trial.is_final ? &trial : replayed.own;
    } else if (trial.outcome == Outcome::not_held) {
      not_held.insert(id->second);
    } else {
      last[trial.is_final ? 1 : 0][id->second] = &trial;
    }
  }
  std::vector<Trial> halves;
  std::vector<const Trial*> wholes;
  std::vector<std::uint32_t> numbers;
  const bool from_finals = policy.least_pairs > 1 && !last[1].empty();
  for (const auto& [id, trial] : last[from_finals ? 1 : 0]) {
    if (not_held.contains(id)) {
      continue;
    }
    Trial half = *trial;
    half.samples_us = some_of(trial->samples_us, rounds);
    half.default_us = some_of(trial->default_us, rounds);
    halves.push_back(std::move(half));
    wholes.push_back(trial);
    numbers.push_back(id);
  }
  std::vector<TriedCandidate> contenders;
  contenders.reserve(halves.size());
  for (std::size_t i = 0; i < halves.size(); ++i) {
    contenders.push_back({numbers[i], &halves[i]});
  }
  if (const std::size_t winner = decide(contenders, policy); winner < contenders.size()) {
    replayed.chosen = wholes[winner];
    replayed.gain = gain_of(halves[winner]);
  }
  return replayed;
}

ReplayedSearch replay_search(const StrategyChoice& strategy, std::uint64_t seed, const Point& point,
                             const Space& space, const std::vector<Trial>& trials) {
  std::vector<double> times(space.valid.size(), std::numeric_limits<double>::infinity());
  for (const Trial& trial : trials) {
    if (const std::size_t index = space.find(trial.tunables); !trial.is_final && index < times.size()) {
      times[index] = trial.relative_time();
    }
  }
  SearchSpace search_space = search_space_of(point, space);
  if (strategy.info->needs_model) {
    search_space.expected_us = times;
  }
  const std::unique_ptr<Strategy> made = strategy.make(search_space, seed);
  ReplayedSearch replayed;
  replayed.candidates = space.valid.size();
  double best = std::numeric_limits<double>::infinity();
  for (std::vector<std::size_t> next = made->next(1); !next.empty(); next = made->next(1)) {
    ++replayed.trials;
    best = std::min(best, times[next.front()]);
    made->tell(next.front(), times[next.front()]);
  }
  replayed.regret = best / *std::min_element(times.begin(), times.end());
  return replayed;
}

}  // namespace kerncast::tools
