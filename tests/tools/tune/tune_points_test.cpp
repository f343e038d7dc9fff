// A run over several points on several devices.
#include "tools/tune/tune_points.hpp"

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "tests/temporary_directory.hpp"
#include "tests/tools/tune/made_up_evaluator.hpp"
#include "tools/model/settings.hpp"

using namespace kerncast;
using namespace kerncast::tools;
using test::MadeUpEvaluator;

namespace {

/// A device on which no trial comes to its end.
class NoTrials : public Evaluator {
 public:
  [[nodiscard]] Conditions conditions(const Point&) const override {
    return {cache::TunedSource::measured, "made-up", "NVRTC 13.0", "1.0", "fixed", "made-up rounds", "", ""};
  }
  [[nodiscard]] bool exact() const override { return true; }
  [[nodiscard]] double bound_us(const Point&, std::int64_t) const override { return 0; }
  void prepare(const Point&, std::span<const Candidate>) override {}
  [[nodiscard]] std::vector<double> expect(const Point&, std::span<const Candidate>) override { return {}; }
  [[nodiscard]] std::vector<std::string> in_flight() const override { return {}; }
};

/// A device that does not come back after its first launch.
class LostDevice final : public NoTrials {
 public:
  explicit LostDevice(std::atomic<bool>& gone) : gone_(gone) {}
  [[nodiscard]] std::vector<Trial> evaluate(const EvaluationRequest&, const std::function<bool()>&) override {
    gone_ = true;
    throw Error(ErrorCode::driver_error, "the device does not come back");
  }
  [[nodiscard]] bool lost() const override { return gone_; }

 private:
  std::atomic<bool>& gone_;
};

/// A device whose trials last until they are stopped.
class Endless final : public NoTrials {
 public:
  [[nodiscard]] std::vector<Trial> evaluate(const EvaluationRequest&,
                                            const std::function<bool()>& stop) override {
    while (!stop()) {
      std::this_thread::yield();
    }
    return {};
  }
};

struct Fixture {
  Fixture() {
    const OpDefinition& op = require_op("norm.rms_norm");
    for (const std::int64_t rows : {1, 64, 1000}) {
      points.push_back(point_of({&op, "", {{"hidden", "4096"}, {"x_dtype", "bf16"}}, {}}, "sm_90a",
                                DeviceTraits{90, 132, 232448}, rows));
    }
    run.points = &points;
    run.templates = [](const Point&) { return std::string("0123"); };
    run.policy.strategy = parse_strategy("exhaustive");
    run.seats.push_back([this] { return DeviceSeat{std::make_unique<LostDevice>(gone), store()}; });
  }
  [[nodiscard]] std::unique_ptr<TrialStore> store() const {
    return std::make_unique<TrialStore>(folder.path(), nullptr);
  }
  [[nodiscard]] PointsOutcome outcome() const {
    const std::atomic<bool> stop{false};
    return run_points(run, stop, [](const RunProgress&) {}, [](const TuneResult&) {});
  }

  TemporaryDirectory folder;
  std::vector<Point> points;
  PointsRun run;
  std::atomic<bool> gone{false};
};

}  // namespace

TEST_CASE_METHOD(Fixture, "a device that is lost ends its part of the run, and its points are left") {
  const PointsOutcome made = outcome();
  CHECK(made.results.empty());
  CHECK(made.left == 3);
  REQUIRE(made.errors.size() == 1);
  CHECK_THAT(made.errors.front(), Catch::Contains("lost") && Catch::Contains("does not come back"));
}

TEST_CASE_METHOD(Fixture, "another device tunes the point of a device that is lost") {
  run.seats.push_back([this] {
    auto other = std::make_unique<MadeUpEvaluator>([this](const Tunables& made, std::int64_t) {
      while (!gone.load()) {
        std::this_thread::yield();
      }
      return 5.0 + made[0];
    });
    return DeviceSeat{std::move(other), store()};
  });
  const PointsOutcome made = outcome();
  CHECK(made.results.size() == 3);
  CHECK(made.left == 0);
  CHECK(made.errors.size() == 1);
  for (const TuneResult& result : made.results) {
    CHECK(result.decided());
  }
}

TEST_CASE_METHOD(Fixture, "a budget that is spent leaves every point whose trials are not stored") {
  run.budget = TimeBudget(1e-9);
  run.seats.clear();
  run.seats.push_back([this] {
    return DeviceSeat{
        std::make_unique<MadeUpEvaluator>([](const Tunables& made, std::int64_t) { return 5.0 + made[0]; }),
        store()};
  });
  const PointsOutcome left = outcome();
  REQUIRE(left.results.size() == 3);
  for (const TuneResult& result : left.results) {
    CHECK(result.out_of_time == "start");
  }
  run.budget = {};
  CHECK(outcome().results.front().decided());
  run.budget = TimeBudget(1e-9);
  for (const TuneResult& result : outcome().results) {
    CHECK(result.decided());
  }
}

TEST_CASE_METHOD(Fixture, "an exception of the one who is told stops the searches under way") {
  run.seats.clear();
  run.seats.push_back([this] { return DeviceSeat{std::make_unique<Endless>(), store()}; });
  const std::atomic<bool> stop{false};
  const auto fails = [](const RunProgress&) { throw std::runtime_error("the output is closed"); };
  CHECK_THROWS_WITH(run_points(run, stop, fails, [](const TuneResult&) {}), "the output is closed");
}

TEST_CASE("the time that is left counts what the strategy will try, and no points whose trials were stored") {
  RunProgress progress;
  progress.points = 10;
  progress.seconds = 30;
  CHECK(estimate_seconds_left(progress, {}) == 0);
  // Seven were stored, one was searched, and one is half done.
  progress.done = 8;
  progress.fresh = 1;
  TuneProgress now;
  now.trials = 15;
  now.expected = 30;
  now.candidates = 100;
  progress.now = {now};
  CHECK(estimate_seconds_left(progress, {}) == Approx(30));
  CHECK(estimate_seconds_left(progress, TimeBudget(10)) <= 10);
  progress.done = 10;
  progress.now.clear();
  CHECK(estimate_seconds_left(progress, {}) == 0);
}
