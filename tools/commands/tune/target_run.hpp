#pragma once

#include <string>
#include <vector>

#include "kerncast/runtime.hpp"
#include "tools/commands/tune/tune_options.hpp"
#include "tools/io/command_context.hpp"
#include "tools/io/output.hpp"
#include "tools/tune/decision.hpp"
#include "tools/tune/space/target.hpp"
#include "tools/tune/time_budget.hpp"

namespace kerncast::tools {

/// Options of a runtime on the driver of `target`.
[[nodiscard]] RuntimeOptions runtime_options(CommandContext& context, const TuneTarget& target);

/// Tunes for `targets` in this process: one described device, or devices of the driver that are alike.
/// `options` must be sound. The virtual GPU takes its device from variables of the process, so the next
/// described device needs another process. Returns the exit code. Throws UsageError for devices that do not
/// go together or nothing to tune, Error for a device that cannot be had.
[[nodiscard]] int tune_targets(CommandContext& context, const TuneOptions& options,
                               const std::vector<TuneTarget>& targets, const TimeBudget& budget);

/// The points that tune_targets() would tune, as show_searches() takes them. Throws as it does.
[[nodiscard]] Json plan_targets(CommandContext& context, const TuneOptions& options,
                                const std::vector<TuneTarget>& targets);

}  // namespace kerncast::tools
