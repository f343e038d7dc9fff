#include "tools/tune/decision.hpp"

#include <algorithm>

namespace kerncast::tools {
namespace {

bool was_compared(const TriedCandidate& contender) {
  return contender.trial->timed() && !contender.trial->default_us.empty();
}

bool overlap(const Interval& a, const Interval& b) {
  return a.low <= b.high && b.low <= a.high;
}

}  // namespace

PairedDifference gain_of(const Trial& trial) {
  return compare(trial.default_us, trial.samples_us);
}

bool is_worth_it(const PairedDifference& gain, const DecisionPolicy& policy) {
  return gain.pairs >= policy.least_pairs && gain.interval.low > 0 && gain.gain >= policy.least_gain;
}

std::size_t decide(std::span<const TriedCandidate> contenders, const DecisionPolicy& policy) {
  std::vector<PairedDifference> gains(contenders.size());
  std::vector<std::size_t> worthy;
  for (std::size_t i = 0; i < contenders.size(); ++i) {
    if (was_compared(contenders[i])) {
      gains[i] = gain_of(*contenders[i].trial);
      if (is_worth_it(gains[i], policy)) {
        worthy.push_back(i);
      }
    }
  }
  if (worthy.empty()) {
    return contenders.size();
  }
  const auto lower_id = [&](std::size_t a, std::size_t b) { return contenders[a].id < contenders[b].id; };
  const std::size_t best = *std::min_element(worthy.begin(), worthy.end(), [&](std::size_t a, std::size_t b) {
    return gains[a].gain != gains[b].gain ? gains[a].gain > gains[b].gain : lower_id(a, b);
  });
  std::erase_if(worthy, [&](std::size_t i) {
    return gains[i].gain < gains[best].gain - policy.tie || !overlap(gains[i].interval, gains[best].interval);
  });
  return *std::min_element(worthy.begin(), worthy.end(), lower_id);
}

std::vector<std::size_t> finalists(std::span<const TriedCandidate> contenders, std::size_t most,
                                   const DecisionPolicy& policy) {
  struct Hope {
    std::size_t index;
    double gain;
  };
  std::vector<Hope> hopes;
  for (std::size_t i = 0; i < contenders.size(); ++i) {
    if (was_compared(contenders[i])) {
      const PairedDifference gain = gain_of(*contenders[i].trial);
      if (gain.gain > 0 && gain.interval.high >= policy.least_gain) {
        hopes.push_back({i, gain.gain});
      }
    }
  }
  std::sort(hopes.begin(), hopes.end(), [&](const Hope& a, const Hope& b) {
    return a.gain != b.gain ? a.gain > b.gain : contenders[a.index].id < contenders[b.index].id;
  });
  hopes.resize(std::min(hopes.size(), most));
  std::vector<std::size_t> chosen;
  chosen.reserve(hopes.size());
  for (const Hope& hope : hopes) {
    chosen.push_back(hope.index);
  }
  return chosen;
}

}  // namespace kerncast::tools
