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

/// Prints what a run would do: each point with its candidates, and how many of them have trials.
struct PlannedSearch {
  Point point;
  std::size_t candidates = 0;
  std::size_t pruned = 0;
  std::size_t stored = 0;
  std::string own;
  double bound_us = 0;
};
void show_searches(CommandContext& context, const std::vector<PlannedSearch>& searches,
                   const std::string& strategy, const std::string& target);

/// Reports a run: progress while it goes on, each point, and a table at its end.
class TuneReporter {
 public:
  explicit TuneReporter(CommandContext& context) : context_(context) {}

  /// Says on the first line of the output for which devices how many points are tuned. `why` is the reason
  /// for the choice of the device; empty if the user made it.
  void announce(std::size_t points, const std::string& target, const std::string& strategy,
                const std::string& why) const;
  void begin(std::size_t points, const std::string& target, const std::string& strategy,
             const std::string& why) const;
  void tick(const RunProgress& progress);
  /// `recorded` is the reason why the record of the point could not be stored; empty if it was.
  void finished(const TuneResult& result, const std::string& unrecorded);
  /// Prints the table and the sums. Returns the exit code.
  [[nodiscard]] int end(const PointsOutcome& outcome, bool stopped, double seconds);

 private:
  CommandContext& context_;
  double told_ = 0;
  std::size_t unrecorded_ = 0;
};

}  // namespace kerncast::tools
