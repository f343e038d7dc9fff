#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tools/io/output.hpp"
#include "tools/tune/replay.hpp"
#include "tools/tune/trials/trial_store.hpp"

namespace kerncast::tools {

/// The stored trials of one point, and what they decide.
struct ReportedPoint {
  std::string op;
  std::string spec;
  std::string arch;
  std::int64_t rows = 1;
  std::int64_t rows_low = 1;
  std::int64_t rows_high = 1;
  std::string source;  ///< "measured" or "estimate"
  std::string device;
  std::vector<std::pair<std::string, double>> scalars;  ///< of the calls, by name
  std::string policy;
  std::string own;     ///< the default's tunables
  std::string chosen;  ///< those that the trials decide for
  double own_us = 0;
  double chosen_us = 0;
  double bound_us = 0;  ///< 0 if the device is not described
  PairedDifference gain;
  std::size_t candidates = 0;  ///< of the space of today
  bool is_current = true;      ///< false: the op's templates or its default have changed since
  std::vector<Trial> trials;
};

/// The outcome of a strategy at the points whose whole space was tried.
struct ReportedStrategy {
  std::string name;
  std::size_t points = 0;
  double trials = 0;       ///< mean part of the space that it tried
  double worst = 1;        ///< the largest regret
  std::size_t within = 0;  ///< points within 2 % of the best with at most 30 % of its trials, or 16
};

/// Everything that the trials of a cache directory say.
struct TuneReport {
  std::vector<ReportedPoint> points;  ///< by op, specialisation, architecture, device and rows
  double mean_gain = 0;               ///< 1 minus the geometric mean of the chosen times over the defaults'
  std::size_t default_won = 0;
  /// The geometric mean, over ops with several buckets, of what the best single choice for all of them costs
  /// more than a choice for each.
  double bucket_regret = 0;
  std::size_t several_buckets = 0;           ///< groups of points that this mean is over
  std::size_t flips = 0;                     ///< points that even and odd rounds decide differently
  std::size_t split = 0;                     ///< points with enough rounds for that
  std::vector<ReportedStrategy> strategies;  ///< if they were asked for
};

/// `policy` decides; an estimate needs one round whatever it says. `templates` gives the digest of
/// the template text of an op. With `replay`, every strategy is replayed and
/// the rounds are split.
[[nodiscard]] TuneReport make_tune_report(const std::vector<StoredSearch>& searches, bool replay,
                                          const DecisionPolicy& policy,
                                          const std::function<std::string(const Point&)>& templates);

[[nodiscard]] Json report_json(const TuneReport& report);
void print_report(const TuneReport& report, bool replay);

}  // namespace kerncast::tools
