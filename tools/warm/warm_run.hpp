#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kerncast/runtime.hpp"
#include "tools/warm/shared_work.hpp"
#include "tools/warm/warm_plan.hpp"
#include "tools/warm/warm_store.hpp"

namespace kerncast::tools {

/// Result of one planned kernel.
struct WarmResult {
  const PlannedKernel* planned = nullptr;
  KernelReport report;   ///< empty if it failed or was not reached
  std::string error;     ///< the reason, if it failed
  bool reached = false;  ///< false if the run stopped before it
};

/// Progress of a run.
struct WarmProgress {
  std::size_t total = 0;
  std::size_t cached = 0;  ///< kernels that were cached before the run began
  std::size_t compiled = 0;
  std::size_t failed = 0;
  double seconds = 0;
  std::vector<std::string> in_flight;

  [[nodiscard]] std::size_t done() const { return cached + compiled + failed; }
  /// Kernels compiled in a second. 0 at the beginning.
  [[nodiscard]] double rate() const {
    return seconds > 0 ? static_cast<double>(compiled + failed) / seconds : 0;
  }
  /// Time in seconds for the remaining kernels at that rate. 0 if there is no rate yet.
  [[nodiscard]] double seconds_left() const {
    return rate() > 0 ? static_cast<double>(total - done()) / rate() : 0;
  }
};

/// Compiles the kernels that are not cached, `jobs` at once, and returns one result for each of `kernels`, in
/// their order. A kernel that `store` did not keep has failed; if it can keep none, nothing is compiled. On
/// this thread, `finished` is called as each kernel is done (again if a kernel was lost later), and `tick`
/// about ten times a second. When `stop` becomes true, no further compile begins, running ones are abandoned,
/// and the remaining kernels are not reached. If other machines may compile the same kernels under leases,
/// each has an order of its own. With `shared`, if it is not null, this machine compiles what it takes from
/// the queue and, when that is over, what is missing then.
[[nodiscard]] std::vector<WarmResult> run_warm(Runtime& runtime, const WarmStore& store,
                                               const std::vector<PlannedKernel>& kernels, int jobs,
                                               SharedWork* shared, const std::atomic<bool>& stop,
                                               const std::function<void(const WarmProgress&)>& tick,
                                               const std::function<void(const WarmResult&)>& finished);

}  // namespace kerncast::tools
