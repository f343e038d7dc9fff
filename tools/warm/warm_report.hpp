#pragma once

#include <set>
#include <string>
#include <vector>

#include "kerncast/runtime.hpp"
#include "tools/io/command_context.hpp"
#include "tools/warm/warm_plan.hpp"
#include "tools/warm/warm_run.hpp"

/// Output of the warm command: tables, or with --json one object; while it compiles, one JSON event on each
/// line.
namespace kerncast::tools {

/// Prints what was read of `models`, the plan and the expected time. Returns the exit code.
[[nodiscard]] int show_plan(CommandContext& context, Runtime& runtime,
                            const std::vector<ModelReading>& models,
                            const std::vector<PlannedKernel>& kernels, const std::vector<LeftOut>& left_out,
                            int jobs);

/// Prints the kernels that are missing, and for the others the place that serves them. Returns exit_failed if
/// there are any, or if something that could be compiled is left out of the plan.
[[nodiscard]] int show_missing(CommandContext& context, const std::vector<PlannedKernel>& kernels,
                               const std::vector<LeftOut>& left_out);

/// Prints the results. Returns exit_failed if a kernel failed, was not reached, or could be compiled and is
/// left out of the plan; exit_interrupted if the user stopped the run. If the plan was `shared` with other
/// machines, what they compiled meanwhile is counted apart from what was cached.
[[nodiscard]] int summarise(CommandContext& context, const std::vector<WarmResult>& results,
                            const std::vector<LeftOut>& left_out, bool shared, bool stopped, double seconds);

/// Reports progress while kernels compile: a bar on a terminal, else a line every ten seconds.
class WarmReporter {
 public:
  explicit WarmReporter(CommandContext& context) : context_(context) {}

  void begin(const std::vector<PlannedKernel>& kernels, int jobs);
  void tick(const WarmProgress& progress);
  void finished(const WarmResult& result);

 private:
  CommandContext& context_;
  double told_ = 0;
  std::set<std::string> told_causes_;
};

}  // namespace kerncast::tools
