#include "tools/tune/search/stop_rule.hpp"

#include <catch2/catch.hpp>

#include "kerncast/error.hpp"

using namespace kerncast::tools;

namespace {

SearchProgress progress_of(std::size_t trials, std::size_t since_best, double seconds, double best,
                           double bound) {
  SearchProgress progress;
  progress.trials = trials;
  progress.since_best = since_best;
  progress.seconds = seconds;
  progress.best_us = best;
  progress.bound_us = bound;
  return progress;
}

}  // namespace

TEST_CASE("each stop rule ends a search at its value") {
  CHECK(StopRules({"trials=10"}).reached(progress_of(9, 0, 0, 1, 0)).empty());
  CHECK_FALSE(StopRules({"trials=10"}).reached(progress_of(10, 0, 0, 1, 0)).empty());
  CHECK(StopRules({"patience=3"}).reached(progress_of(9, 2, 0, 1, 0)).empty());
  CHECK_FALSE(StopRules({"patience=3"}).reached(progress_of(9, 3, 0, 1, 0)).empty());
  CHECK(StopRules({"time=2.5"}).reached(progress_of(9, 3, 2.4, 1, 0)).empty());
  CHECK_FALSE(StopRules({"time=2.5"}).reached(progress_of(9, 3, 2.5, 1, 0)).empty());
  CHECK(StopRules({"bound=5"}).reached(progress_of(9, 3, 2, 1.06, 1)).empty());
  CHECK_FALSE(StopRules({"bound=5"}).reached(progress_of(9, 3, 2, 1.04, 1)).empty());
}

TEST_CASE("a bound that is not known ends nothing, and no rule ends a search before its first trial") {
  CHECK(StopRules({"bound=5"}).reached(progress_of(9, 3, 2, 1, 0)).empty());
  CHECK(StopRules({"bound=5"}).reached(progress_of(9, 3, 2, 0, 1)).empty());
  CHECK(StopRules({"time=1"}).reached(progress_of(0, 0, 9, 0, 0)).empty());
}

TEST_CASE("the first of several rules that is reached ends the search") {
  const StopRules rules({"trials=100", "patience=5"});
  CHECK_THAT(rules.reached(progress_of(20, 5, 0, 1, 0)), Catch::Contains("5 trials in a row"));
  CHECK_THAT(rules.reached(progress_of(100, 0, 0, 1, 0)), Catch::Contains("100 trials"));
  CHECK(rules.text() == "trials=100 patience=5");
  CHECK(StopRules().reached(progress_of(1000, 1000, 1e6, 1, 1)).empty());
}

TEST_CASE("a rule alone has its default, and a wrong one is an error") {
  CHECK(StopRules({"patience"}).text() == "patience=30");
  CHECK_THROWS_WITH(StopRules({"patince=3"}), Catch::Contains("did you mean patience?"));
  CHECK_THROWS_WITH(StopRules({"trials=0"}), Catch::Contains("no number from 1"));
  CHECK_THROWS_WITH(StopRules({"trials=x"}), Catch::Contains("no number"));
  CHECK_THROWS_WITH(StopRules({"trials="}), Catch::Contains("no number"));
}
