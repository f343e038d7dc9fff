#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/tune/decision.hpp"
#include "tools/tune/tune_plan.hpp"

namespace kerncast::tools {

/// The options of `kerncast tune`, as the user wrote them.
struct TuneOptions {
  TuneRequest request;
  std::vector<std::string> archs;
  std::vector<std::string> devices;
  std::string strategy = "guided";
  std::vector<std::string> stop;
  std::string budget;
  std::string least_gain;
  std::string data = "uniform";
  std::string shard;
  std::int64_t seed = 1;
  int jobs = 0;
  int timeout_s = 60;
  bool plan = false;
};

/// Checks what can be checked without a device, and completes the request. Throws UsageError.
void check_request(TuneOptions& options);

/// Seconds that `text` of --budget allows; 0, which is no limit, if it is empty. Throws UsageError.
[[nodiscard]] double budget_seconds(const std::string& text);

/// The policy with the percent that `least_gain` of --least-gain demands, which may be empty. Throws
/// UsageError.
[[nodiscard]] DecisionPolicy decision_policy(const std::string& least_gain);

}  // namespace kerncast::tools
