#pragma once

#include <set>
#include <string>
#include <vector>

#include "kerncast/runtime.hpp"
#include "tools/io/command_context.hpp"
#include "tools/warm/warm_plan.hpp"
#include "tools/warm/warm_run.hpp"

/// What the warm command says: tables on standard output, or with --json one object, and events a line each
/// while it compiles.
namespace kerncast::tools {

/// The plan and how long it may take. Returns the exit code, like the next two.
[[nodiscard]] int show_plan(CommandContext& context, Runtime& runtime,
                            const std::vector<PlannedKernel>& kernels, int jobs);

/// What is missing; fails where anything is.
[[nodiscard]] int show_missing(CommandContext& context, const std::vector<PlannedKernel>& kernels);

/// What came of it all; fails where something failed or was left.
[[nodiscard]] int summarise(CommandContext& context, const std::vector<WarmResult>& results, double seconds);

/// Speaks while kernels compile: a bar on a terminal, else a line every ten seconds.
class WarmReporter {
 public:
  explicit WarmReporter(CommandContext& context) : context_(context) {}

  void begin(const std::vector<PlannedKernel>& kernels, int jobs);
  void tick(const WarmProgress& progress);
  void finished(const WarmResult& result);

 private:
  CommandContext& context_;
  double told_ = 0;
  std::set<std::string> told_errors_;
};

}  // namespace kerncast::tools
