#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cache/key.hpp"
#include "tools/tune/decision.hpp"
#include "tools/tune/evaluate/evaluator.hpp"
#include "tools/tune/search/stop_rule.hpp"
#include "tools/tune/search/strategy.hpp"
#include "tools/tune/space/point.hpp"
#include "tools/tune/space/space.hpp"
#include "tools/tune/trials/trial_store.hpp"

namespace kerncast::tools {

/// The rules by which points are tuned.
struct TunePolicy {
  DecisionPolicy decision;
  StrategyChoice strategy = parse_strategy("guided");
  const StopRules* stop = nullptr;  ///< null: the strategy alone ends a search
  std::uint64_t seed = 0;
  /// Candidates that are measured in the same rounds. Few, so that a round is short beside a drift.
  std::size_t batch = 4;
  /// Asked before and during each trial, whatever the phase: true ends the tuning of a point that needs
  /// another one. Empty: never.
  std::function<bool()> is_over = nullptr;
  /// Asked after each batch of the search, once another candidate than the op's own choice was tried: true
  /// ends the search, and the best so far is measured again and validated. Empty: never.
  std::function<bool()> search_is_over = nullptr;
  std::size_t finalists = 4;  ///< candidates that are measured again before one is chosen
};

/// The progress of the search of a point, for a person who waits.
struct TuneProgress {
  const Point* point = nullptr;
  std::size_t trials = 0;
  std::size_t candidates = 0;
  std::size_t expected = 0;  ///< the most candidates that the strategy tries
  double own_us = 0;         ///< the default's time; 0 before it is known
  double best_us = 0;        ///< the quickest so far
  double bound_us = 0;
  std::string phase;  ///< "search", "final", "validation"
};

/// The winner at another row count of its bucket.
struct Validation {
  std::int64_t rows = 1;
  std::string tunables;
  PairedDifference gain;
  std::string defect;  ///< why it does not hold there; empty if it does
};

/// The choice for one point, and how it was found.
struct TuneResult {
  Point point;
  Conditions conditions;
  std::size_t candidates = 0;
  std::size_t pruned = 0;  ///< candidates that were left out before they were compiled
  std::size_t tried = 0;   ///< candidates with a trial
  std::size_t timed = 0;   ///< those of them that were timed
  std::size_t stored = 0;  ///< those of them whose trial was there before
  std::size_t wrong = 0;   ///< those of them whose outputs differ from the default's
  Candidate own;
  Candidate chosen;       ///< the default, unless another one is worth it
  PairedDifference gain;  ///< of the chosen one over the default; zero for the default
  Summary chosen_time;
  Summary own_time;
  double bound_us = 0;
  std::string end;     ///< why the search ended
  std::string reason;  ///< why the default stays, if it does although another was quicker
  std::vector<Validation> validations;
  std::vector<Trial> trials;  ///< those that the choice is based on, in the order of the search
  double measuring_ms = 0;    ///< host time of the trials that were made now
  bool stopped = false;       ///< the user stopped it: no choice was made
  /// The phase in which the budget ran out, so that no choice was made; "start" if it was spent before. Empty
  /// if it did not.
  std::string out_of_time;
  std::string error;  ///< why there is no choice; empty if there is one

  [[nodiscard]] bool decided() const { return error.empty() && !stopped && out_of_time.empty(); }
  [[nodiscard]] bool keeps_own() const { return chosen.id == own.id; }
};

/// The subject of the trials of a search: the point, its row count and the conditions. `templates` is the
/// digest of the op's template text, `tool` the version of this tool, which an estimate depends on.
[[nodiscard]] cache::KeyFieldList search_fields(const Point& point, std::int64_t rows, const Space& space,
                                                const Conditions& conditions, const std::string& templates);

/// Tunes one point: tries candidates as the strategy says until it or a stop rule ends the search, measures
/// the best again, and validates the winner over its bucket. Trials that `store` has are not made again, and
/// each new one is stored before the next begins. When `stop` becomes true, or the time is over and a trial
/// is missing, the tuning ends soon and nothing is chosen. A failure of the point is TuneResult::error;
/// nothing is thrown for it.
[[nodiscard]] TuneResult tune_point(Evaluator& evaluator, TrialStore& store, const Point& point,
                                    const std::string& templates, const TunePolicy& policy,
                                    const std::atomic<bool>& stop,
                                    const std::function<void(const TuneProgress&)>& tick);

/// The record of a decided result.
[[nodiscard]] cache::TunedRecord record_of(const TuneResult& result, const std::string& templates,
                                           std::int64_t now_us);

}  // namespace kerncast::tools
