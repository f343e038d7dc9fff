#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tools/tune/evaluate/evaluator.hpp"
#include "tools/tune/time_budget.hpp"
#include "tools/tune/tune_run.hpp"

namespace kerncast::tools {

/// The progress of a run over many points.
struct RunProgress {
  std::size_t points = 0;  ///< in all
  std::size_t done = 0;
  std::size_t failed = 0;
  std::size_t trials = 0;  ///< of the points that are done
  double seconds = 0;
  std::size_t fresh = 0;  ///< points that are done and of which trials were made now
  /// At the rate of the points that needed trials, and at most what is left of the budget; 0 while nothing is
  /// known.
  double seconds_left = 0;
  std::vector<TuneProgress> now;       ///< of the points under way, one for each device
  std::vector<std::string> in_flight;  ///< compiles under way
};

/// The parts that a device brings to a run. They are made and used on a thread of its own, since the context
/// of a device belongs to a thread.
struct DeviceSeat {
  std::unique_ptr<Evaluator> evaluator;
  std::unique_ptr<TrialStore> store;
};

/// A run over many points.
struct PointsRun {
  const std::vector<Point>* points = nullptr;
  /// Digest of the template text of an op.
  std::function<std::string(const Point&)> templates;
  TunePolicy policy;
  /// Once it is spent, no trial is begun, and those under way are given up. Points whose trials are all
  /// stored are still decided.
  TimeBudget budget;
  /// One for each device. A device that cannot be had ends its thread with an error.
  std::vector<std::function<DeviceSeat()>> seats;
};

/// The result of a run.
struct PointsOutcome {
  std::vector<TuneResult> results;  ///< of the points that were reached, in their order
  std::size_t left = 0;             ///< points that were not reached
  std::vector<std::string> errors;  ///< of devices, and trials that could not be kept
};

/// RunProgress::seconds_left, from the other members.
[[nodiscard]] double estimate_seconds_left(const RunProgress& progress, const TimeBudget& budget);

/// Tunes all points, one at a time on each device. On this thread, `finished` is called with each result, and
/// `tick` about ten times a second. When `stop` becomes true, or one of the two throws, the searches under
/// way end soon.
[[nodiscard]] PointsOutcome run_points(const PointsRun& run, const std::atomic<bool>& stop,
                                       const std::function<void(const RunProgress&)>& tick,
                                       const std::function<void(const TuneResult&)>& finished);

}  // namespace kerncast::tools
