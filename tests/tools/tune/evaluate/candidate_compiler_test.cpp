// Compiling candidates ahead of their trials.
#include "tools/tune/evaluate/candidate_compiler.hpp"

#include <atomic>
#include <catch2/catch.hpp>

#include "tests/temporary_directory.hpp"
#include "tests/tools/tune/made_up_op.hpp"

using namespace kerncast;
using namespace kerncast::tools;
using test::with_threads;

namespace {

struct Place {
  Place() : runtime(options()) {}
  RuntimeOptions options() {
    RuntimeOptions made;
    made.driver = "sim";
    made.cache_directory = folder.path();
    made.listener = [this](const KernelEvent& event) {
      compiles += event.kind == KernelEventKind::compile_end ? 1 : 0;
    };
    return made;
  }

  TemporaryDirectory folder;
  std::atomic<int> compiles{0};
  Runtime runtime;
  OpDefinition op = test::wrong_at_96_threads();
  Point point = test::point_on_h100(op, 256);
};

}  // namespace

TEST_CASE_METHOD(Place, "a candidate is compiled once, however often it is asked for") {
  CandidateCompiler compiler(runtime, 1);
  const Candidate candidate = with_threads(point, 64);
  compiler.prepare(point, {&candidate, 1});
  const Compiled made = compiler.take(point, candidate);
  CHECK(made.error.empty());
  CHECK(made.registers > 0);
  CHECK(compiler.take(point, candidate).registers == made.registers);
  compiler.prepare(point, {&candidate, 1});
  CHECK(compiler.take(point, candidate).error.empty());
  CHECK(compiles == 1);
  CHECK(compiler.in_flight().empty());
}

TEST_CASE_METHOD(Place,
                 "a candidate that the compiler refuses is told from one at which the machine failed") {
  CandidateCompiler compiler(runtime, 1);
  const Compiled refused = compiler.take(point, with_threads(point, 160));
  CHECK(refused.refused);
  CHECK_THAT(refused.error, Catch::Contains("160 threads are refused"));
  CHECK(compiler.take(point, with_threads(point, 160)).refused);
  CHECK(compiles == 1);
}

TEST_CASE_METHOD(Place, "what waits is abandoned at the end") {
  const Space space = space_of(point);
  {
    // Nobody compiles.
    CandidateCompiler compiler(runtime, 0);
    compiler.prepare(point, space.valid);
  }
  CHECK(compiles == 0);
}
