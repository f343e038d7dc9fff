#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "tools/io/console.hpp"
#include "tools/tune/evaluate/evaluator.hpp"
#include "tools/tune/evaluate/hang_guard.hpp"
#include "tools/tune/time_budget.hpp"
#include "tools/tune/trials/trial_store.hpp"

namespace kerncast::tools {

/// Gives up a device on which a candidate hangs: it stores the trial as timed out and starts
/// the command again in place of this process, which takes the device's context with it. The new process goes
/// on from the stored trials, within what is left of the budget. If the trial cannot be stored the process
/// ends with exit code 1, since the new one would hang too. After an interrupt nothing is started again.
/// Thread-safe.
class HangRestart {
 public:
  /// The variable that tells the new process when the budget of this one is spent, as TimeBudget::text().
  static constexpr const char* budget_variable = "KERNCAST_TUNE_BUDGET_END";

  /// `templates` gives the digest of the template text of an op. `make_store` opens a store of its own.
  HangRestart(std::chrono::seconds limit, std::function<Conditions(const Point&)> conditions,
              std::function<std::string(const Point&)> templates,
              std::function<std::unique_ptr<TrialStore>()> make_store, const TimeBudget& budget,
              Console& console);

  /// Says that `candidate` is launched now; null: nothing is.
  void watch(const EvaluationRequest& request, const Candidate* candidate);

 private:
  void restart(const std::string& work);

  struct Launched {
    Point point;
    std::int64_t rows = 1;
    std::string tunables;
    bool is_final = false;
  };
  std::chrono::seconds limit_;
  std::function<Conditions(const Point&)> conditions_;
  std::function<std::string(const Point&)> templates_;
  std::function<std::unique_ptr<TrialStore>()> make_store_;
  TimeBudget budget_;
  Console& console_;
  std::mutex mutex_;
  Launched launched_;
  HangGuard guard_;
};

}  // namespace kerncast::tools
