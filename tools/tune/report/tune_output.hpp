#pragma once

#include <string>
#include <vector>

#include "tools/io/command_context.hpp"
#include "tools/io/output.hpp"
#include "tools/tune/tune_points.hpp"

/// Output of the tune command: a table, or with --json one event on each line.
namespace kerncast::tools {

/// The result of one point as an event.
[[nodiscard]] Json to_json(const TuneResult& result);

/// A gain with its interval, as "+12.3 % (11.8 to 12.9)"; without noise the interval is left out.
[[nodiscard]] std::string gain_text(const PairedDifference& gain);

/// A point as a run would tune it.
struct PlannedSearch {
  Point point;
  std::size_t candidates = 0;
  std::size_t pruned = 0;
  std::size_t stored = 0;  ///< candidates that have a trial
  std::string own;
  double bound_us = 0;
};
/// `target` names the devices that would tune it.
[[nodiscard]] Json to_json(const PlannedSearch& search, const std::string& target);

/// Prints what a run would do: each point with its candidates, and how many of them have trials. `points` are
/// a list of what to_json() gives.
void show_searches(CommandContext& context, Json points, const std::string& strategy,
                   const std::string& targets);

/// Prints the first line of the output: for which devices how many points are tuned. `why` is the reason for
/// the choice of the device; empty if the user made it. With --json it prints nothing.
void announce_tuning(CommandContext& context, std::size_t points, const std::string& targets,
                     const std::string& strategy, const std::string& why);

/// Reports a run: progress while it goes on, each point, and a table at its end.
class TuneReporter {
 public:
  explicit TuneReporter(CommandContext& context) : context_(context) {}

  /// Begins with announce_tuning(), or with --json an event.
  void begin(std::size_t points, const std::string& target, const std::string& strategy,
             const std::string& why);
  void tick(const RunProgress& progress);
  /// `recorded` is the reason why the record of the point could not be stored; empty if it was.
  void finished(const TuneResult& result, const std::string& unrecorded);
  /// Prints the table and the sums. Returns the exit code.
  [[nodiscard]] int end(const PointsOutcome& outcome, bool stopped, double seconds);

 private:
  CommandContext& context_;
  std::string target_;
  double told_ = 0;
  std::size_t unrecorded_ = 0;
};

}  // namespace kerncast::tools
