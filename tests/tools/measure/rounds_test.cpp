#include "tools/measure/rounds.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "kerncast/error.hpp"
#include "tools/run/split_mix.hpp"

namespace kerncast::tools {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// A device without a clock of its own: every sample advances the drift that all subjects feel.
struct Bench {
  SplitMix random{3};
  int taken = 0;
  std::string order;
  steady_clock::time_point time;

  Subject subject(const std::string& name, double us, double noise = 0,
                  const std::function<double(int)>& slowdown = nullptr) {
    return {name, [this, name, us, noise, slowdown] {
              order += name;
              const double slow = slowdown ? slowdown(taken) : 1;
              ++taken;
              time += milliseconds(1);
              return us * slow * (1 + noise * random.normal());
            }};
  }
  RoundPolicy policy() {
    RoundPolicy made;
    made.most_time = std::chrono::hours(1);
    made.now = [this] { return time; };
    return made;
  }
};

TEST_CASE("every round samples every subject once, and begins one further than the last") {
  Bench bench;
  RoundPolicy policy = bench.policy();
  policy.least_rounds = 4;
  policy.most_rounds = 4;
  const std::vector<Subject> subjects = {bench.subject("a", 1), bench.subject("b", 2), bench.subject("c", 3)};
  const std::vector<Measured> all = measure_rounds(subjects, policy);
  CHECK(bench.order == "abcbcacababc");
  CHECK(all[1].samples_us == std::vector<double>(4, 2.0));
  bench.order.clear();
  policy.seed = 5;
  static_cast<void>(measure_rounds(subjects, policy));
  CHECK(bench.order == "cababcbcacab");
}

TEST_CASE("the rounds end when every interval is narrow, and not before the least number") {
  Bench bench;
  RoundPolicy policy = bench.policy();
  RoundsEnd end{};
  const std::vector<Subject> still = {bench.subject("a", 1), bench.subject("b", 2)};
  CHECK(measure_rounds(still, policy, &end)[0].summary.samples == 10);
  CHECK(end == RoundsEnd::narrow);

  const std::vector<Subject> one_noisy = {bench.subject("a", 1), bench.subject("b", 2, 0.03)};
  const std::vector<Measured> all = measure_rounds(one_noisy, policy, &end);
  CHECK(end == RoundsEnd::narrow);
  CHECK(all[0].summary.samples > 20);
  CHECK(all[0].summary.samples == all[1].summary.samples);
  CHECK(relative_width(all[1].summary) < 0.02);
}

TEST_CASE("no policy ends the rounds with fewer samples than an interval needs") {
  Bench bench;
  RoundPolicy policy = bench.policy();
  policy.least_rounds = 0;
  const std::vector<Subject> subjects = {bench.subject("a", 1)};
  CHECK(measure_rounds(subjects, policy)[0].summary.samples == least_samples_for_interval);
}

TEST_CASE("the rounds end at their greatest number or at their time, after whole rounds") {
  Bench bench;
  RoundPolicy policy = bench.policy();
  policy.width = 1e-9;
  policy.most_rounds = 25;
  RoundsEnd end{};
  const std::vector<Subject> subjects = {bench.subject("a", 1, 0.1), bench.subject("b", 2, 0.1)};
  CHECK(measure_rounds(subjects, policy, &end)[1].summary.samples == 25);
  CHECK(end == RoundsEnd::rounds);
  policy.most_time = milliseconds(15);  // the eighth round ends at 16 ms
  const std::vector<Measured> all = measure_rounds(subjects, policy, &end);
  CHECK(end == RoundsEnd::time);
  CHECK(all[0].summary.samples == 8);
  CHECK(all[1].summary.samples == 8);
  policy.most_time = milliseconds(0);
  CHECK(measure_rounds(subjects, policy, &end)[0].summary.samples == 1);
}

TEST_CASE("a subject that throws or measures no time is dropped with its text, and the others go on") {
  Bench bench;
  int calls = 0;
  const std::vector<Subject> subjects = {
      bench.subject("a", 1),
      {"b",
       [&]() -> double {
         if (++calls == 3) {
           throw Error(ErrorCode::driver_error, "the launch failed");
         }
         return 2;
       }},
      {"c", [] { return 0.0; }},
      {"d", [] { return std::numeric_limits<double>::quiet_NaN(); }},
      {"e", []() -> double { throw std::runtime_error(""); }},
  };
  RoundsEnd end{};
  const std::vector<Measured> all = measure_rounds(subjects, bench.policy(), &end);
  CHECK(end == RoundsEnd::narrow);
  CHECK(all[0].ok());
  CHECK(all[0].summary.samples == 10);
  CHECK(all[1].defect == "the launch failed");
  CHECK(all[1].summary.samples == 2);
  CHECK(calls == 3);
  CHECK_THAT(all[2].defect, Catch::Contains("0 us"));
  CHECK_THAT(all[3].defect, Catch::Contains("nan us"));
  CHECK_FALSE(all[4].ok());
}

TEST_CASE("the rounds end if no subject is left, or none was given") {
  const std::vector<Subject> subjects = {
      {"a", []() -> double { throw Error(ErrorCode::internal, "broken"); }}};
  RoundsEnd end{};
  CHECK(measure_rounds(subjects, {}, &end)[0].defect == "broken");
  CHECK(end == RoundsEnd::no_subject);
  CHECK(measure_rounds({}, {}, &end).empty());
  CHECK(end == RoundsEnd::no_subject);
}

TEST_CASE("an interruption ends the rounds, and the unfinished round does not count") {
  Bench bench;
  RoundPolicy policy = bench.policy();
  policy.interrupted = [&] { return bench.taken == 7; };
  RoundsEnd end{};
  const std::vector<Subject> subjects = {bench.subject("a", 1), bench.subject("b", 2)};
  const std::vector<Measured> all = measure_rounds(subjects, policy, &end);
  CHECK(end == RoundsEnd::interrupted);
  CHECK(all[0].samples_us.size() == 3);
  CHECK(all[1].samples_us.size() == 3);
}

/// The number of `sets` runs in which the paired interval of two subjects, of which the second takes 0.95 of
/// the first's time, holds 0.05, and how often it excludes zero.
struct Verdicts {
  int right = 0;
  int found = 0;
};
Verdicts judge(const std::function<double(int)>& slowdown, double noise, int sets) {
  Verdicts verdicts;
  for (int set = 0; set < sets; ++set) {
    Bench bench;
    bench.random = SplitMix(static_cast<std::uint64_t>(set));
    RoundPolicy policy = bench.policy();
    policy.least_rounds = 60;
    policy.most_rounds = 60;
    policy.seed = static_cast<std::uint64_t>(set);
    const std::vector<Subject> subjects = {bench.subject("a", 20, noise, slowdown),
                                           bench.subject("b", 19, noise, slowdown)};
    const std::vector<Measured> all = measure_rounds(subjects, policy);
    const PairedDifference gain = compare(all[0].samples_us, all[1].samples_us);
    verdicts.right += gain.interval.low <= 0.05 && 0.05 <= gain.interval.high ? 1 : 0;
    verdicts.found += gain.interval.low > 0 ? 1 : 0;
  }
  return verdicts;
}

TEST_CASE("a drift, steps of throttling and outliers do not hide 5 %") {
  constexpr int sets = 200;
  const std::function<double(int)> disturbances[] = {
      [](int sample) { return 1 + 0.004 * sample; },            // up to half as long again
      [](int sample) { return sample % 40 < 15 ? 1.4 : 1.0; },  // throttling comes and goes
      [](int sample) { return sample % 17 == 0 ? 6.0 : 1.0; },  // rare outliers
      [](int sample) { return (1 + 0.002 * sample) * (sample % 29 == 0 ? 4 : 1); },
  };
  for (const auto& disturbance : disturbances) {
    const Verdicts verdicts = judge(disturbance, 0.02, sets);
    INFO(verdicts.right << " right and " << verdicts.found << " found of " << sets);
    CHECK(verdicts.right >= 0.9 * sets);
    CHECK(verdicts.found >= 0.98 * sets);
  }
}

}  // namespace
}  // namespace kerncast::tools
