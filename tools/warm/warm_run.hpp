#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kerncast/runtime.hpp"
#include "tools/warm/warm_plan.hpp"

namespace kerncast::tools {

/// How one planned kernel came out.
struct WarmResult {
  const PlannedKernel* planned = nullptr;
  KernelReport report;  ///< empty where it failed or was not reached
  std::string error;    ///< why it failed
  bool reached = false;
};

/// How far a run is.
struct WarmProgress {
  std::size_t total = 0;
  std::size_t cached = 0;  ///< before it began
  std::size_t compiled = 0;
  std::size_t failed = 0;
  double seconds = 0;
  std::vector<std::string> in_flight;

  [[nodiscard]] std::size_t done() const { return cached + compiled + failed; }
  /// Kernels compiled a second, and the seconds the rest takes at that rate; 0 while there is none.
  [[nodiscard]] double rate() const {
    return seconds > 0 ? static_cast<double>(compiled + failed) / seconds : 0;
  }
  [[nodiscard]] double seconds_left() const {
    return rate() > 0 ? static_cast<double>(total - done()) / rate() : 0;
  }
};

/// Compiles what `kernels` lack, `jobs` at once, and returns one result for each, in their order. `tick` is
/// called about ten times a second, `finished` as each is done, both on this thread. When `stop` becomes true
/// no more is begun, what is under way is abandoned, and the rest stays unreached.
[[nodiscard]] std::vector<WarmResult> run_warm(Runtime& runtime, const std::vector<PlannedKernel>& kernels,
                                               int jobs, const std::atomic<bool>& stop,
                                               const std::function<void(const WarmProgress&)>& tick,
                                               const std::function<void(const WarmResult&)>& finished);

}  // namespace kerncast::tools
