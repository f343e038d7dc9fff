// Decisions and searches from stored trials.
#include "tools/tune/replay.hpp"

#include <catch2/catch.hpp>

#include "tests/tools/tune/made_up_op.hpp"

using namespace kerncast;
using namespace kerncast::tools;

namespace {

Trial trial(const std::string& tunables, double us, bool is_final = false) {
  Trial made;
  made.tunables = tunables;
  made.samples_us.assign(20, us);
  made.is_final = is_final;
  if (tunables != "threads=128") {
    made.default_us.assign(20, 10.0);
  }
  return made;
}

const std::map<std::string, std::uint32_t> ids = {
    {"threads=64", 0}, {"threads=96", 1}, {"threads=128", 2}, {"threads=160", 3}};

Replayed replayed(const std::vector<Trial>& trials, Rounds rounds = Rounds::all) {
  return replay_decision(trials, "threads=128", ids, rounds, {});
}

}  // namespace

TEST_CASE("the trials that were measured again decide, if there are any") {
  std::vector<Trial> trials = {trial("threads=128", 10), trial("threads=64", 8), trial("threads=96", 9)};
  REQUIRE(replayed(trials).chosen != nullptr);
  CHECK(replayed(trials).chosen->tunables == "threads=64");
  CHECK(replayed(trials).own->tunables == "threads=128");
  trials.push_back(trial("threads=64", 9.9, true));
  trials.push_back(trial("threads=96", 9, true));
  CHECK(replayed(trials).chosen->tunables == "threads=96");
}

TEST_CASE("a winner that did not hold over its bucket is left out, and so is an unknown candidate") {
  Trial refused = trial("threads=64", 8, true);
  refused.outcome = Outcome::not_held;
  CHECK(replayed({trial("threads=128", 10), trial("threads=64", 8, true), refused}).chosen == nullptr);
  CHECK(replayed({trial("threads=128", 10), trial("threads=7", 1)}).chosen == nullptr);
}

TEST_CASE("half of the rounds decide by themselves") {
  Trial odd = trial("threads=64", 10);
  for (std::size_t i = 1; i < odd.samples_us.size(); i += 2) {
    odd.samples_us[i] = 8;
  }
  const std::vector<Trial> trials = {trial("threads=128", 10), odd};
  CHECK(replayed(trials, Rounds::even).chosen == nullptr);
  CHECK(replayed(trials, Rounds::odd).chosen != nullptr);
}

TEST_CASE("a search is replayed over stored times, and what has none cannot be used") {
  const OpDefinition op = test::wrong_at_96_threads();
  const Point point = test::point_on_h100(op, 1024);
  const Space space = space_of(point);
  const std::vector<Trial> trials = {trial("threads=128", 10), trial("threads=64", 8),
                                     trial("threads=96", 9)};
  const ReplayedSearch all = replay_search(parse_strategy("exhaustive"), 1, point, space, trials);
  CHECK(all.trials == 4);
  CHECK(all.candidates == 4);
  CHECK(all.regret == 1);
  const ReplayedSearch one =
      replay_search(parse_strategy("guided:least=1,share=0.25"), 1, point, space, trials);
  CHECK(one.trials == 1);
  CHECK(one.regret == Approx(10.0 / 8));
}
