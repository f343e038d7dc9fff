#include "tools/measure/timing_plan.hpp"

#include <catch2/catch.hpp>

namespace kerncast::tools {
namespace {

constexpr std::size_t mib = std::size_t{1} << 20;
constexpr std::size_t l2 = 50 * mib;

TEST_CASE("a sample of a short call has as many launches as its time needs, within the bound") {
  TimingPolicy policy;
  policy.l2 = TimingPolicy::L2::warm;
  CHECK(plan_timing(policy, 100, mib, l2).launches == 2);
  CHECK(plan_timing(policy, 30, mib, l2).launches == 7);
  CHECK(plan_timing(policy, 2, mib, l2).launches == 64);
  CHECK(plan_timing(policy, 0, mib, l2).launches == 64);
  CHECK(plan_timing(policy, 5000, mib, l2).launches == 1);
  policy.most_launches = 0;
  CHECK(plan_timing(policy, 2, mib, l2).launches == 1);
}

TEST_CASE("a warm cache takes one copy, and so does a device that tells no cache") {
  TimingPolicy policy;
  CHECK(plan_timing(policy, 2, mib, 0).copies == 1);
  policy.l2 = TimingPolicy::L2::warm;
  const TimingPlan plan = plan_timing(policy, 2, mib, l2);
  CHECK(plan.copies == 1);
  CHECK_FALSE(plan.overwrite_cache);
}

TEST_CASE("copies in turn exceed twice the cache before one is used again, and a sample is whole turns") {
  for (const double us : {3.0, 20.0, 150.0, 1000.0}) {
    for (const std::size_t bytes : {2 * mib, 9 * mib, 60 * mib, 200 * mib}) {
      const TimingPlan plan = plan_timing({}, us, bytes, l2);
      INFO(us << " us, " << bytes << " bytes: " << plan.launches << " launches, " << plan.copies
              << " copies");
      CHECK(plan.launches >= 1);
      CHECK(plan.launches <= 64);
      if (plan.overwrite_cache) {
        CHECK(plan.copies == plan.launches);
        CHECK(static_cast<std::size_t>(plan.copies - 1) * bytes < 2 * l2);
        continue;
      }
      CHECK(static_cast<std::size_t>(plan.copies - 1) * bytes >= 2 * l2);
      CHECK((plan.launches == 1 || plan.launches % plan.copies == 0));
    }
  }
}

TEST_CASE("the cache is overwritten where a sample has too few launches for enough copies") {
  const TimingPlan tiny = plan_timing({}, 2, 64 << 10, l2);
  CHECK(tiny.overwrite_cache);
  CHECK(tiny.launches == 64);
  CHECK(tiny.copies == 64);
  const TimingPlan large = plan_timing({}, 60, 170 * mib, l2);
  CHECK_FALSE(large.overwrite_cache);
  CHECK(large.copies == 2);
  CHECK(large.launches == 4);
  const TimingPlan long_call = plan_timing({}, 900, 30 * mib, l2);
  CHECK_FALSE(long_call.overwrite_cache);
  CHECK(long_call.launches == 1);
  CHECK(long_call.copies == 5);
}

TEST_CASE("a policy in words names everything that makes times comparable") {
  TimingPolicy policy;
  CHECK(policy.text() == "graphs of 200 us and at most 64 launches, cold L2");
  policy.l2 = TimingPolicy::L2::warm;
  policy.launch = TimingPolicy::Launch::stream;
  policy.least_us = 50;
  policy.most_launches = 8;
  CHECK(policy.text() == "streams of 50 us and at most 8 launches, warm L2");
  policy.programmatic = true;
  CHECK(policy.text() == "streams of 50 us and at most 8 programmatic launches, warm L2");
}

}  // namespace
}  // namespace kerncast::tools
