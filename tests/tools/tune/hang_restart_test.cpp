// The process that is replaced because a candidate hangs.
#include "tools/tune/hang_restart.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>

#include "tests/temporary_directory.hpp"
#include "tests/tools/tune/made_up_op.hpp"
#include "tools/tune/tune_run.hpp"

using namespace kerncast;
using namespace kerncast::tools;
using test::with_threads;

namespace {

constexpr int started_again = 42;
constexpr int spent = 43;

/// Ends this program if it was started by a guard, in place of a child of the tests below.
const bool is_first = [] {
  if (const char* end = std::getenv(HangRestart::budget_variable)) {
    ::_exit(TimeBudget::parse(end).spent() ? spent : started_again);
  }
  return true;
}();

Conditions conditions(const Point&) {
  return {cache::TunedSource::measured, "made-up", "NVRTC 13.0", "1.0", "fixed", "made-up rounds", "", ""};
}

/// The exit code of a process whose candidate of 64 threads hangs at 100 rows.
int exit_of_hanging(const std::string& root, const TimeBudget& budget) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const OpDefinition op = test::wrong_at_96_threads();
    const Point point = test::point_on_h100(op, 100);
    Console console;
    HangRestart guard(
        std::chrono::seconds(1), conditions, [](const Point&) { return std::string("0123"); },
        [&root] { return std::make_unique<TrialStore>(root, nullptr); }, budget, console);
    const Candidate hanging = with_threads(point, 64);
    const EvaluationRequest request{&point, 100, with_threads(point, 128), {}, false};
    guard.watch(request, &hanging);
    while (true) {
      ::pause();
    }
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

TEST_CASE("the trial that hangs is stored, and the process that follows has what is left of the budget") {
  REQUIRE(is_first);
  const TemporaryDirectory folder;
  CHECK(exit_of_hanging(folder.path(), TimeBudget(3600)) == started_again);
  CHECK(exit_of_hanging(folder.path(), TimeBudget(0.1)) == spent);
  const OpDefinition op = test::wrong_at_96_threads();
  const Point point = test::point_on_h100(op, 100);
  const std::vector<Trial> trials =
      TrialStore(folder.path(), nullptr)
          .load(search_fields(point, 100, space_of(point), conditions(point), "0123"));
  REQUIRE(trials.size() == 2);
  CHECK(trials.front().tunables == "threads=64");
  CHECK(trials.front().outcome == Outcome::timed_out);
  CHECK(trials.front().why == "it did not end within 1 s");
}

TEST_CASE("nothing is started again if the trial that hangs cannot be stored") {
  CHECK(exit_of_hanging("/proc/kerncast", TimeBudget(3600)) == 1);
}
