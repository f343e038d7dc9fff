// Candidates whose times are estimated.
#include "tools/tune/evaluate/estimate_evaluator.hpp"

#include <catch2/catch.hpp>

#include "runtime/dispatch/runtime_impl.hpp"
#include "tests/temporary_directory.hpp"
#include "tests/tools/tune/made_up_op.hpp"
#include "tools/tune/evaluate/model_digest.hpp"

using namespace kerncast;
using namespace kerncast::tools;
using test::with_threads;

namespace {

struct Place {
  Place()
      : runtime(options()),
        compiler(runtime, 1),
        evaluator([this] { return make(); }, compiler, h100, "13.0") {}
  [[nodiscard]] std::unique_ptr<Runtime> make() {
    auto made = std::make_unique<Runtime>(options());
    latest = made.get();
    return made;
  }
  [[nodiscard]] RuntimeOptions options() const {
    RuntimeOptions made;
    made.driver = "sim";
    made.cache_directory = folder.path();
    return made;
  }
  [[nodiscard]] std::vector<Trial> evaluate(const std::vector<Candidate>& others,
                                            const std::function<bool()>& stop) {
    const EvaluationRequest request{&point, point.rows, with_threads(point, 128), others, false};
    return evaluator.evaluate(request, stop);
  }

  const devices::DeviceDescription& h100 = *devices::find_device_description("h100");
  TemporaryDirectory folder;
  Runtime* latest = nullptr;  ///< that the evaluator has
  Runtime runtime;
  CandidateCompiler compiler;
  EstimateEvaluator evaluator;
  OpDefinition op = test::wrong_at_96_threads();
  Point point = test::point_on_h100(op, 100);
};

}  // namespace

TEST_CASE_METHOD(Place, "an estimate is one sample beside the default's, and says which model it is of") {
  const std::vector<Trial> trials = evaluate({with_threads(point, 64)}, [] { return false; });
  REQUIRE(trials.size() == 1);
  CHECK(trials.front().timed());
  CHECK(trials.front().samples_us.size() == 1);
  CHECK(trials.front().default_us.size() == 1);
  CHECK(evaluator.exact());
  CHECK(evaluator.conditions(point).model == model_digest(h100));
  CHECK(evaluator.bound_us(point, 100) > 0);
  CHECK_THAT(evaluator.explain(point, with_threads(point, 64)), Catch::Contains("2 blocks of 2 warps"));
}

TEST_CASE_METHOD(Place, "a candidate that is wrong or does not compile is a trial that says why") {
  const std::vector<Trial> trials =
      evaluate({with_threads(point, 96), with_threads(point, 160)}, [] { return false; });
  REQUIRE(trials.size() == 2);
  CHECK(trials[0].outcome == Outcome::wrong_result);
  CHECK(trials[1].outcome == Outcome::does_not_compile);
}

TEST_CASE_METHOD(Place, "a stop ends an estimate between its launches, and nothing is made up") {
  // It is asked before the candidate, then before each launch that counts.
  int asked = 0;
  CHECK(evaluate({with_threads(point, 64)}, [&] { return ++asked > 1; }).empty());
  CHECK(asked == 2);
  CHECK(evaluate({with_threads(point, 64)}, [] { return false; }).front().timed());
}

TEST_CASE_METHOD(Place, "the kernels of a workload are unloaded when another follows") {
  const RunDevice held(runtime, 0);
  REQUIRE(evaluate({with_threads(point, 64)}, [] { return false; }).front().timed());
  REQUIRE(latest != nullptr);
  Runtime::Impl& seat = implementation_of(*latest);
  const Variant variant{&op, point.spec, with_threads(point, 64).tunables, point.arch};
  const std::shared_ptr<const KernelBinary> binary =
      seat.builder.load_or_compile(variant, BuildPolicy::cached_or_compile);
  auto* const function =
      static_cast<driver::CUfunction>(seat.device(0).load(binary, "a kernel of the seat").functions[0]);
  const auto is_loaded = [&] {
    int bytes = 0;
    return held.api().cuFuncGetAttribute(&bytes, driver::CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, function) ==
           driver::CUDA_SUCCESS;
  };
  CHECK(is_loaded());
  CHECK(evaluate({with_threads(point, 128)}, [] { return false; }).front().timed());
  CHECK(is_loaded());
  OpDefinition other = op;
  other.name = "own.other";
  point = test::point_on_h100(other, 100);
  CHECK(evaluate({with_threads(point, 64)}, [] { return false; }).front().timed());
  CHECK_FALSE(is_loaded());
}
