#include "tools/tune/decision.hpp"

#include <catch2/catch.hpp>

using namespace kerncast::tools;

namespace {

/// A trial whose time is `factor` times the default's in each of `rounds`, give or take `spread`.
Trial trial_of(double factor, double spread = 0.002, int rounds = 20) {
  Trial trial;
  trial.tunables = "threads=1";
  for (int i = 0; i < rounds; ++i) {
    const double own = 10 + 0.01 * i;
    trial.default_us.push_back(own);
    trial.samples_us.push_back(own * factor * (1 + spread * ((i % 5) - 2) / 2.0));
  }
  return trial;
}

std::size_t decided(const std::vector<Trial>& trials, const DecisionPolicy& policy = {}) {
  std::vector<TriedCandidate> contenders;
  for (const Trial& trial : trials) {
    contenders.push_back({static_cast<std::uint32_t>(contenders.size()), &trial});
  }
  return decide(contenders, policy);
}

}  // namespace

TEST_CASE("the default stays unless another saves enough") {
  CHECK(decided({trial_of(1), trial_of(0.98), trial_of(1.2)}) == 3);
  CHECK(decided({trial_of(1), trial_of(0.96)}) == 1);
  CHECK(decided({trial_of(0.98)}, {.least_gain = 0.01}) == 0);
  CHECK(decided({}) == 0);
}

TEST_CASE("a gain whose interval holds zero is none") {
  CHECK(decided({trial_of(0.95, 0.5)}) == 1);
  CHECK(decided({trial_of(0.95, 0.002)}) == 0);
}

TEST_CASE("of candidates that cannot be told apart the lowest identifier wins, in any order") {
  const std::vector<Trial> trials = {trial_of(0.951, 0.02), trial_of(0.95, 0.02), trial_of(0.99, 0.02)};
  CHECK(decided(trials) == 0);
  const std::vector<TriedCandidate> turned = {{1, &trials[1]}, {2, &trials[2]}, {0, &trials[0]}};
  CHECK(decide(turned, {}) == 2);
}

TEST_CASE("a candidate that is clearly quicker wins whatever its identifier") {
  CHECK(decided({trial_of(0.95), trial_of(0.90)}) == 1);
  // Within a percent, but the intervals are apart.
  CHECK(decided({trial_of(0.905, 0.0001), trial_of(0.90, 0.0001)}) == 1);
}

TEST_CASE("exact times need one sample, and equal ones go to the lowest identifier") {
  const DecisionPolicy exact{.least_pairs = 1};
  CHECK(decided({trial_of(0.9, 0, 1), trial_of(0.8, 0, 1), trial_of(0.8, 0, 1)}, exact) == 1);
  CHECK(decided({trial_of(0.971, 0, 1)}, exact) == 1);
}

TEST_CASE("a few rounds have no interval, so no gain from them counts") {
  for (const int rounds : {1, 2, 5}) {
    CHECK(decided({trial_of(0.5, 0.002, rounds)}) == 1);
  }
  CHECK(decided({trial_of(0.5, 0.002, 6)}) == 0);
}

TEST_CASE("what was not timed never wins") {
  std::vector<Trial> trials = {trial_of(0.5), trial_of(0.6), trial_of(0.9)};
  trials[0].outcome = Outcome::wrong_result;
  trials[1].outcome = Outcome::timed_out;
  CHECK(decided(trials) == 2);
  trials[2].default_us.clear();
  CHECK(decided(trials) == 3);
}

TEST_CASE("those that may win are measured again, the quickest first") {
  const std::vector<Trial> trials = {trial_of(0.99), trial_of(0.9), trial_of(0.8), trial_of(1.1),
                                     trial_of(0.985, 0.1)};
  std::vector<TriedCandidate> contenders;
  for (const Trial& trial : trials) {
    contenders.push_back({static_cast<std::uint32_t>(contenders.size()), &trial});
  }
  CHECK(finalists(contenders, 4, {}) == std::vector<std::size_t>{2, 1, 4});
  CHECK(finalists(contenders, 1, {}) == std::vector<std::size_t>{2});
}
