#include "tools/measure/timing_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace kerncast::tools {

std::string TimingPolicy::text() const {
  return fmt::format("{} of {:g} us and at most {} {}launches, {} L2",
                     launch == Launch::graph ? "graphs" : "streams", least_us, most_launches,
                     programmatic ? "programmatic " : "", l2 == L2::cold ? "cold" : "warm");
}

TimingPlan plan_timing(const TimingPolicy& policy, double call_us, std::size_t bytes, std::size_t l2_bytes) {
  const int most = std::max(policy.most_launches, 1);
  TimingPlan plan;
  plan.launches = static_cast<int>(
      std::clamp(std::ceil(policy.least_us / std::max(call_us, 1e-3)), 1.0, static_cast<double>(most)));
  if (policy.l2 == TimingPolicy::L2::warm || l2_bytes == 0) {
    return plan;
  }
  // When a copy is used again, the others have passed through the cache since. They must be twice as large as
  // it.
  const std::size_t size = std::max<std::size_t>(bytes, 1);
  const std::size_t needed = (2 * l2_bytes + size - 1) / size + 1;
  // Single launches take the copies in turn from sample to sample, so they may be more than a sample's
  // launches.
  const std::size_t usable = static_cast<std::size_t>(plan.launches == 1 ? most : plan.launches);
  plan.overwrite_cache = needed > usable;
  plan.copies = plan.overwrite_cache ? plan.launches : static_cast<int>(needed);
  if (!plan.overwrite_cache && plan.launches > 1) {
    // Whole turns: else the end of one sample and the start of the next would use the same copies.
    plan.launches -= plan.launches % plan.copies;
  }
  return plan;
}

}  // namespace kerncast::tools
