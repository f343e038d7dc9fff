#include "tools/tune/tune_run.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "tests/temporary_directory.hpp"
#include "tests/tools/tune/made_up_evaluator.hpp"
#include "tools/model/settings.hpp"
#include "tools/tune/report/tune_report.hpp"

using namespace kerncast;
using namespace kerncast::tools;
using test::MadeUpEvaluator;
using test::Noise;

namespace {

constexpr std::int64_t rows = 64;

Point point_of_norm(std::int64_t count = rows) {
  const OpDefinition& op = require_op("norm.rms_norm");
  return point_of({&op, "", {{"hidden", "4096"}, {"x_dtype", "bf16"}}, {}}, "sm_90a",
                  DeviceTraits{90, 132, 232448}, count);
}

/// Slow by how far the logarithms of the tunables are from `best`, 4 % for each doubling.
MadeUpEvaluator::Truth valley_at(const Tunables& best, std::size_t tunables) {
  return [best, tunables](const Tunables& made, std::int64_t count) {
    double steps = 0;
    for (std::size_t i = 0; i < tunables; ++i) {
      steps += std::abs(std::log2(1.0 + made[i]) - std::log2(1.0 + best[i]));
    }
    return 0.05 * static_cast<double>(count) * (1 + 0.04 * steps);
  };
}

/// A place for trials, and a run of one point.
struct Bench {
  TuneResult run(MadeUpEvaluator& evaluator, const Point& point, const std::string& strategy = "exhaustive",
                 const StopRules* rules = nullptr) {
    TrialStore store(folder.path(), [this](std::string_view text) { warnings.emplace_back(text); });
    TunePolicy policy;
    policy.strategy = parse_strategy(strategy);
    policy.stop = rules;
    policy.seed = seed;
    TuneResult result = tune_point(evaluator, store, point, "0123", policy, stop, [](const TuneProgress&) {});
    CHECK(store.finish().empty());
    return result;
  }

  TemporaryDirectory folder;
  std::vector<std::string> warnings;
  std::atomic<bool> stop{false};
  std::uint64_t seed = 1;
};

}  // namespace

TEST_CASE("the space of a point holds the default and no candidate that a launch would refuse") {
  const Point point = point_of_norm();
  const Space space = space_of(point);
  CHECK(space.valid.size() > 4);
  CHECK(space.own().tunables == point.op().default_tunables(point.spec, point.traits, rows));
  for (std::size_t i = 1; i < space.valid.size(); ++i) {
    CHECK(space.valid[i - 1].id < space.valid[i].id);
  }
  for (const Pruned& pruned : space.pruned) {
    CHECK_FALSE(pruned.why.empty());
  }
  CHECK(space.find(space.own().text) == space.first);
  CHECK(space.find("threads=nothing") == space.valid.size());
  CHECK(search_space_of(point, space).size() == space.valid.size());
}

TEST_CASE("a choice is validated at the edges of its bucket and inside") {
  CHECK(validation_rows(point_of_norm(1), 1).empty());
  CHECK(validation_rows(point_of_norm(2), 1).empty());
  const std::vector<std::int64_t> checked = validation_rows(point_of_norm(100), 1);
  REQUIRE(checked.size() == 3);
  CHECK(checked.front() == 65);
  CHECK(checked.back() == 128);
  CHECK(checked == validation_rows(point_of_norm(100), 1));
  const std::vector<std::int64_t> endless = validation_rows(point_of_norm(8193), 1);
  REQUIRE_FALSE(endless.empty());
  CHECK(endless.back() == 2 * 8193);
}

TEST_CASE("a masked op is validated at workload rows whose calls are in the bucket") {
  const OpDefinition& op = require_op("activation.silu_and_mul");
  const Point point = point_of({&op, "", {{"hidden", "2048"}, {"x_dtype", "bf16"}, {"experts", "8"}}, {}},
                               "sm_90a", DeviceTraits{90, 132, 232448}, 60);
  REQUIRE(point.rows_low == 257);
  REQUIRE(point.rows_high == 512);
  const std::vector<std::int64_t> checked = validation_rows(point, 1);
  REQUIRE(checked.size() == 3);
  CHECK(checked.front() == 33);
  CHECK(checked.back() == 64);
}

TEST_CASE("the quickest candidate is chosen, recorded and validated") {
  const Point point = point_of_norm();
  const Space space = space_of(point);
  const std::size_t tunables = point.op().tunables.size();
  Bench bench;
  MadeUpEvaluator evaluator(valley_at(space.valid.back().tunables, tunables));
  const TuneResult result = bench.run(evaluator, point);
  INFO(result.error);
  REQUIRE(result.decided());
  CHECK(result.chosen.text == space.valid.back().text);
  CHECK(result.tried == space.valid.size());
  CHECK(result.gain.gain > 0.03);
  CHECK(result.validations.size() == 2);
  const cache::TunedRecord record = record_of(result, "0123", 1'700'000'000'000'000);
  CHECK(cache::defect_of(record).empty());
  CHECK(cache::format_tunables(record) == result.chosen.text);
  CHECK(record.rows_low == 33);
  CHECK(record.rows_high == 64);
  CHECK(record.time_us < record.default_us);
  CHECK(record.trials == space.valid.size());
}

TEST_CASE("the default stays where it is the best, and the record says so") {
  const Point point = point_of_norm();
  const Space space = space_of(point);
  Bench bench;
  MadeUpEvaluator evaluator(valley_at(space.own().tunables, point.op().tunables.size()));
  const TuneResult result = bench.run(evaluator, point);
  REQUIRE(result.decided());
  CHECK(result.keeps_own());
  CHECK_FALSE(result.reason.empty());
  const cache::TunedRecord record = record_of(result, "0123", 1);
  CHECK(cache::format_tunables(record) == space.own().text);
  CHECK(record.time_us == record.default_us);
}

TEST_CASE("a finished search is not made again, and one more candidate is one more trial") {
  const Point point = point_of_norm();
  const Space space = space_of(point);
  Bench bench;
  MadeUpEvaluator first(valley_at(space.valid.back().tunables, point.op().tunables.size()));
  const TuneResult before = bench.run(first, point);
  MadeUpEvaluator second(valley_at(space.valid.back().tunables, point.op().tunables.size()));
  const TuneResult again = bench.run(second, point);
  CHECK(second.asked == 0);
  CHECK(again.stored == space.valid.size());
  CHECK(again.chosen.text == before.chosen.text);
  // The trial of one candidate is taken away: it is as if that candidate were new.
  for (const auto& item : std::filesystem::directory_iterator(bench.folder.path() + "/trials")) {
    std::ifstream in(item.path());
    std::string kept;
    for (std::string line; std::getline(in, line);) {
      kept += line.find("\"" + space.valid[1].text + "\"") == std::string::npos ? line + "\n" : "";
    }
    in.close();
    std::ofstream(item.path(), std::ios::trunc) << kept;
  }
  MadeUpEvaluator third(valley_at(space.valid.back().tunables, point.op().tunables.size()));
  static_cast<void>(bench.run(third, point));
  CHECK(third.asked == 1);
}

TEST_CASE("a search that was stopped goes on from its last trial") {
  const Point point = point_of_norm();
  const Space space = space_of(point);
  Bench bench;
  const auto truth = valley_at(space.valid.back().tunables, point.op().tunables.size());
  MadeUpEvaluator whole(truth);
  int asked = 0;
  for (int at = 1; at < static_cast<int>(space.valid.size()); at += 7) {
    Bench place;
    MadeUpEvaluator first(truth);
    first.after = [&] { place.stop = first.asked >= at; };
    const TuneResult stopped = place.run(first, point);
    CHECK(stopped.stopped);
    CHECK_FALSE(stopped.decided());
    place.stop = false;
    MadeUpEvaluator second(truth);
    const TuneResult result = place.run(second, point);
    CHECK(result.decided());
    CHECK(result.stored > 0);
    asked = first.asked + second.asked;
    // Those of the batch that was stopped are made again, and no other.
    CHECK(asked <= static_cast<int>(space.valid.size()) + 4 + 2);
  }
}

TEST_CASE("candidates that are wrong, hang or fail are never chosen, and only failures are tried again") {
  const Point point = point_of_norm();
  const Space space = space_of(point);
  Bench bench;
  const auto truth = valley_at(space.valid.back().tunables, point.op().tunables.size());
  MadeUpEvaluator evaluator(truth);
  evaluator.outcomes[space.valid.back().text] = Outcome::wrong_result;
  evaluator.outcomes[space.valid[space.valid.size() - 2].text] = Outcome::timed_out;
  evaluator.outcomes[space.valid[space.valid.size() - 3].text] = Outcome::failed;
  const TuneResult result = bench.run(evaluator, point);
  REQUIRE(result.decided());
  CHECK(result.wrong == 1);
  CHECK(result.timed == space.valid.size() - 3);
  CHECK_FALSE(evaluator.outcomes.contains(result.chosen.text));
  MadeUpEvaluator again(truth);
  static_cast<void>(bench.run(again, point));
  CHECK(again.asked == 1);
}

TEST_CASE("a point whose default cannot be timed is an error of that point") {
  const Point point = point_of_norm();
  Bench bench;
  MadeUpEvaluator evaluator(valley_at(space_of(point).own().tunables, 2));
  evaluator.outcomes[space_of(point).own().text] = Outcome::failed;
  const TuneResult result = bench.run(evaluator, point);
  CHECK_FALSE(result.decided());
  CHECK_THAT(result.error, Catch::Contains("cannot be timed"));
}

TEST_CASE("a winner that loses at an edge of its bucket is not chosen") {
  const Point point = point_of_norm();
  const Space space = space_of(point);
  const Tunables best = space.valid.back().tunables;
  const Tunables own = space.own().tunables;
  Bench bench;
  MadeUpEvaluator evaluator([&](const Tunables& made, std::int64_t count) {
    if (made == best) {
      return count == 33 ? 12.0 : 8.0;
    }
    return made == own ? 10.0 : 11.0;
  });
  const TuneResult result = bench.run(evaluator, point);
  REQUIRE(result.decided());
  CHECK(result.keeps_own());
  CHECK_THAT(result.reason, Catch::Contains("33 rows") && Catch::Contains("20.0 % longer"));

  // Whoever decides from the stored trials comes to the same.
  TrialStore store(bench.folder.path(), nullptr);
  const TuneReport report = make_tune_report(store.list(), false, {}, [](const Point&) { return "0123"; });
  REQUIRE(report.points.size() == 1);
  CHECK(report.points.front().chosen == space.own().text);
  CHECK(report.default_won == 1);
  CHECK(bench.run(evaluator, point).keeps_own());
}

TEST_CASE("the next best that holds over the bucket is chosen, and the bucket has one choice") {
  const Point point = point_of_norm();
  const Space space = space_of(point);
  const Tunables best = space.valid.back().tunables;
  const Tunables next = space.valid[space.valid.size() - 2].tunables;
  const Tunables own = space.own().tunables;
  REQUIRE_FALSE(next == own);
  Bench bench;
  const std::vector<std::int64_t> checked = validation_rows(point, bench.seed);
  REQUIRE(checked.size() == 2);
  const std::int64_t inside = checked.back();
  REQUIRE((inside > point.rows_low && inside < point.rows_high));
  MadeUpEvaluator evaluator([&](const Tunables& made, std::int64_t count) {
    if (made == best) {
      return count == inside ? 10.5 : 8.0;
    }
    return made == next ? 9.0 : made == own ? 10.0 : 11.0;
  });
  const TuneResult result = bench.run(evaluator, point);
  REQUIRE(result.decided());
  CHECK(result.chosen.tunables == next);
  const cache::TunedRecord record = record_of(result, "0123", 1);
  CHECK(record.rows_low == point.rows_low);
  CHECK(record.rows_high == point.rows_high);
}

TEST_CASE("a default that hangs where a winner is validated is an error, and not tried for ever") {
  const Point point = point_of_norm();
  const Space space = space_of(point);
  Bench bench;
  MadeUpEvaluator evaluator(valley_at(space.valid.back().tunables, point.op().tunables.size()));
  TrialStore store(bench.folder.path(), nullptr);
  Trial hung;
  hung.tunables = space.own().text;
  hung.outcome = Outcome::timed_out;
  hung.why = "it did not end within 60 s";
  hung.is_final = true;
  for (const std::int64_t count : validation_rows(point, bench.seed)) {
    store.append(search_fields(point, count, space, evaluator.conditions(point), "0123"), {&hung, 1});
  }
  const TuneResult result = bench.run(evaluator, point);
  CHECK_FALSE(result.decided());
  CHECK_THAT(result.error, Catch::Contains("hangs at") && Catch::Contains("60 s"));
}

TEST_CASE("a stop rule ends a search, and what was tried decides") {
  const Point point = point_of_norm();
  const Space space = space_of(point);
  Bench bench;
  MadeUpEvaluator evaluator(valley_at(space.own().tunables, point.op().tunables.size()));
  const StopRules rules({"trials=5"});
  const TuneResult result = bench.run(evaluator, point, "exhaustive", &rules);
  CHECK(result.decided());
  CHECK(result.tried >= 5);
  CHECK(result.tried <= 9);
  CHECK_THAT(result.end, Catch::Contains("5 trials"));
}

TEST_CASE("a budget that is spent ends every phase, keeps the trials, and the next run goes on from them") {
  const Point point = point_of_norm();
  const Space space = space_of(point);
  const std::size_t all = space.valid.size();
  const std::size_t bottom = space.first == 0 ? all - 1 : 0;
  const auto truth = valley_at(space.valid[bottom].tunables, point.op().tunables.size());
  // The trials of a search are all candidates; those of the finalists and of other row counts follow.
  const std::pair<std::size_t, const char*> cases[] = {
      {all / 2, "search"}, {all + 1, "final"}, {all + 5, "validation"}};
  for (const auto& [asked, phase] : cases) {
    const TemporaryDirectory folder;
    TunePolicy policy;
    policy.strategy = parse_strategy("exhaustive");
    const std::atomic<bool> stop{false};
    const auto run = [&](MadeUpEvaluator& evaluator) {
      TrialStore store(folder.path(), nullptr);
      return tune_point(evaluator, store, point, "0123", policy, stop, [](const TuneProgress&) {});
    };
    MadeUpEvaluator evaluator(truth, Noise{0.01, 0, 0, 1});
    policy.is_over = [&evaluator, most = asked] { return static_cast<std::size_t>(evaluator.asked) >= most; };
    const TuneResult cut = run(evaluator);
    INFO(phase << ", " << cut.error);
    CHECK_FALSE(cut.decided());
    CHECK(cut.error.empty());
    CHECK(cut.out_of_time == phase);
    CHECK(cut.end == "the budget is spent");
    CHECK(static_cast<std::size_t>(evaluator.asked) == asked);
    policy.is_over = nullptr;
    MadeUpEvaluator next(truth, Noise{0.01, 0, 0, 1});
    const TuneResult decided = run(next);
    CHECK(decided.decided());
    CHECK(decided.stored > 0);
    // A point whose trials are all there is decided without any time.
    policy.is_over = [] { return true; };
    MadeUpEvaluator none(truth, Noise{0.01, 0, 0, 1});
    const TuneResult again = run(none);
    CHECK(again.decided());
    CHECK(again.chosen.text == decided.chosen.text);
    CHECK(none.asked == 0);
  }
}

TEST_CASE("a search that is over leaves its best to the final rounds") {
  const Point point = point_of_norm();
  const Space space = space_of(point);
  const TemporaryDirectory folder;
  TrialStore store(folder.path(), nullptr);
  MadeUpEvaluator evaluator(valley_at(space.valid[space.first == 0 ? space.valid.size() - 1 : 0].tunables,
                                      point.op().tunables.size()),
                            Noise{0.01, 0, 0, 1});
  TunePolicy policy;
  policy.strategy = parse_strategy("exhaustive");
  policy.search_is_over = [&evaluator] { return evaluator.asked >= 6; };
  const std::atomic<bool> stop{false};
  const TuneResult result =
      tune_point(evaluator, store, point, "0123", policy, stop, [](const TuneProgress&) {});
  CHECK(result.decided());
  CHECK(result.out_of_time.empty());
  CHECK(result.end == "the rest of the budget is for the final rounds");
  CHECK(result.tried < space.valid.size());
  CHECK(result.tried >= 6);
}

TEST_CASE("a point of which only the own choice was tried is not decided") {
  const Point point = point_of_norm();
  const TemporaryDirectory folder;
  TrialStore store(folder.path(), nullptr);
  MadeUpEvaluator evaluator([](const Tunables&, std::int64_t) { return 5.0; });
  TunePolicy policy;
  policy.strategy = parse_strategy("exhaustive");
  policy.batch = 1;
  policy.search_is_over = [] { return true; };
  policy.is_over = [&evaluator] { return evaluator.asked >= 1; };
  const std::atomic<bool> stop{false};
  const TuneResult result =
      tune_point(evaluator, store, point, "0123", policy, stop, [](const TuneProgress&) {});
  CHECK(result.out_of_time == "search");
  CHECK_FALSE(result.decided());
  CHECK(result.tried == 1);

  policy.is_over = nullptr;
  const TuneResult longer =
      tune_point(evaluator, store, point, "0123", policy, stop, [](const TuneProgress&) {});
  CHECK(longer.decided());
  CHECK(longer.tried == 2);
}

TEST_CASE("a point for which no time is left is not begun") {
  const Point point = point_of_norm();
  const TemporaryDirectory folder;
  TrialStore store(folder.path(), nullptr);
  MadeUpEvaluator evaluator([](const Tunables&, std::int64_t) { return 5.0; });
  TunePolicy policy;
  policy.is_over = [] { return true; };
  const std::atomic<bool> stop{false};
  const TuneResult result =
      tune_point(evaluator, store, point, "0123", policy, stop, [](const TuneProgress&) {});
  CHECK(result.out_of_time == "start");
  CHECK_FALSE(result.decided());
  CHECK(evaluator.asked == 0);
}

TEST_CASE("estimates of another model are other trials") {
  const Point point = point_of_norm();
  const Space space = space_of(point);
  Conditions conditions{cache::TunedSource::estimate, "h100", "NVRTC 13.0", "", "", "cost model", "", "a"};
  const cache::KeyFieldList fields = search_fields(point, rows, space, conditions, "0123");
  conditions.model = "b";
  CHECK(fields != search_fields(point, rows, space, conditions, "0123"));
}

TEST_CASE("with noise, drift and outliers the choice is never worse than the default, and near the best") {
  const Point point = point_of_norm();
  const Space space = space_of(point);
  const std::size_t tunables = point.op().tunables.size();
  int near = 0;
  int searches = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    // The valley moves with the seed; every fourth is at the default.
    const std::size_t bottom = seed % 4 == 0 ? space.first : (seed * 7) % space.valid.size();
    const auto truth = valley_at(space.valid[bottom].tunables, tunables);
    double best = truth(space.own().tunables, rows);
    for (const Candidate& candidate : space.valid) {
      best = std::min(best, truth(candidate.tunables, rows));
    }
    Bench bench;
    bench.seed = seed;
    MadeUpEvaluator evaluator(truth, Noise{0.05, 0.1, 0.02, seed});
    const TuneResult result = bench.run(evaluator, point);
    INFO("seed " << seed << ", " << result.chosen.text << ", " << result.error);
    REQUIRE(result.decided());
    const double chosen = truth(result.chosen.tunables, rows);
    CHECK(chosen <= truth(space.own().tunables, rows));
    // A gain of less than 3 % is left to the default.
    const bool small_gain = result.keeps_own() && best > 0.97 * truth(space.own().tunables, rows);
    near += chosen <= 1.02 * best || small_gain ? 1 : 0;
    ++searches;
    // A rank with other noise that shares the trials chooses the same, without a trial of its own.
    MadeUpEvaluator other(truth, Noise{0.05, 0.1, 0.02, seed + 1000});
    CHECK(bench.run(other, point).chosen.text == result.chosen.text);
    CHECK(other.asked == 0);
  }
  CHECK(searches == 20);
  CHECK(near >= 19);
}

TEST_CASE("a thousand trials come back") {
  const TemporaryDirectory folder;
  const cache::KeyFieldList fields = {{"op", "x"}};
  std::vector<Trial> trials(1000);
  for (std::size_t i = 0; i < trials.size(); ++i) {
    trials[i].tunables = "threads=" + std::to_string(i);
    trials[i].samples_us.assign(60, 3.25 + static_cast<double>(i));
    trials[i].default_us.assign(60, 3.5);
  }
  TrialStore store(folder.path(), nullptr);
  store.append(fields, trials);
  CHECK(TrialStore(folder.path(), nullptr).load(fields).size() == 1000);
}
