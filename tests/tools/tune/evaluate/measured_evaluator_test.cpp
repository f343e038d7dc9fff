// Candidates that are measured on a device.
#include "tools/tune/evaluate/measured_evaluator.hpp"

#include <atomic>
#include <catch2/catch.hpp>

#include "tests/temporary_directory.hpp"
#include "tests/tools/tune/made_up_op.hpp"

using namespace kerncast;
using namespace kerncast::tools;
using test::with_threads;

namespace {

MeasuringPolicy few_rounds() {
  MeasuringPolicy policy;
  policy.timing.l2 = TimingPolicy::L2::warm;
  policy.timing.most_launches = 2;
  for (RoundPolicy* rounds : {&policy.search, &policy.last}) {
    rounds->least_rounds = 6;
    rounds->most_rounds = 6;
    rounds->most_time = std::chrono::hours(1);
  }
  return policy;
}

/// The kernels of the evaluator are in another cache than those of the compiler, as if its directory were
/// full, so that the evaluator has to compile them itself.
struct Place {
  Place()
      : runtime(options(compiled)),
        compiler(runtime, 1),
        evaluator(listening(), 0, compiler, devices::find_device_description("h100"), "", few_rounds()) {}
  [[nodiscard]] static RuntimeOptions options(const TemporaryDirectory& folder) {
    RuntimeOptions made;
    made.driver = "sim";
    made.cache_directory = folder.path();
    return made;
  }
  [[nodiscard]] RuntimeOptions listening() {
    RuntimeOptions made = options(measured);
    made.listener = [this](const KernelEvent& event) {
      const bool prepares = event.kind == KernelEventKind::compile_end || event.kind == KernelEventKind::load;
      prepared += prepares ? 1 : 0;
      prepared_while_watched += prepares && watched ? 1 : 0;
    };
    return made;
  }
  [[nodiscard]] std::vector<Trial> evaluate(const std::vector<Candidate>& others) {
    const EvaluationRequest request{&point, point.rows, with_threads(point, 128), others, false};
    return evaluator.evaluate(request, [] { return false; });
  }

  TemporaryDirectory compiled;
  TemporaryDirectory measured;
  std::atomic<bool> watched{false};
  std::atomic<int> prepared{0};
  std::atomic<int> prepared_while_watched{0};
  Runtime runtime;
  CandidateCompiler compiler;
  MeasuredEvaluator evaluator;
  OpDefinition op = test::wrong_at_96_threads();
  Point point = test::point_on_h100(op, 1024);
};

}  // namespace

TEST_CASE_METHOD(Place, "a launch is watched, and the compile before it is not") {
  int launches = 0;
  evaluator.set_watch([&](const EvaluationRequest&, const Candidate* candidate) {
    watched = candidate != nullptr;
    launches += watched ? 1 : 0;
  });
  const std::vector<Trial> own = evaluate({});
  REQUIRE(own.size() == 1);
  CHECK(own.front().timed());
  const std::vector<Trial> others = evaluate({with_threads(point, 64)});
  REQUIRE(others.size() == 1);
  CHECK(others.front().timed());
  CHECK(others.front().samples_us.size() == others.front().default_us.size());
  CHECK(launches > 12);
  CHECK(prepared >= 4);
  CHECK(prepared_while_watched == 0);
  CHECK_FALSE(watched);
}

TEST_CASE_METHOD(Place, "a candidate that is wrong or does not compile is a trial that says why") {
  const std::vector<Trial> trials = evaluate({with_threads(point, 96), with_threads(point, 160)});
  REQUIRE(trials.size() == 2);
  CHECK(trials[0].outcome == Outcome::wrong_result);
  CHECK_THAT(trials[0].why, Catch::Contains("y differs from what the default writes"));
  CHECK(trials[1].outcome == Outcome::does_not_compile);
  CHECK_THAT(trials[1].why, Catch::Contains("160 threads are refused"));
}

TEST_CASE_METHOD(Place, "rounds that are cut short are no trial") {
  const EvaluationRequest request{&point, point.rows, with_threads(point, 128), {}, false};
  int asked = 0;
  CHECK(evaluator.evaluate(request, [&] { return ++asked > 1; }).empty());
}
